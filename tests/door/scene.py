"""A real server on a real socket, and a client that writes bytes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from portico import errors
from portico.door.edge import Edge, Render, Serve
from portico.door.exchange import Exchange
from portico.door.limits import EdgeLimits
from portico.door.lines import refusal_lines
from portico.door.server import Server, bind
from portico.kit.clock import SystemClock

PATIENT_S = 5.0
QUICK = EdgeLimits(linger_s=0.2)


def render(refusal: errors.Refusal, request_id: str) -> tuple[bytes, bytes]:
    body = {"error": {"message": refusal.message, "type": refusal.entry.kind, "code": refusal.code}}
    told = [(b"retry-after", b"1")] if refusal.retry_after_ms else []
    named = b"x-request-id: %b\r\n" % request_id.encode()
    return named + refusal_lines(refusal, told), json.dumps(body).encode()


@dataclass
class Watching:
    answered_: list[tuple[str, int]] = field(default_factory=list)
    refused_: list[str] = field(default_factory=list)

    def answered(self, route: str, status: int, seconds: float) -> None:
        self.answered_.append((route, status))

    def refused(self, code: str) -> None:
        self.refused_.append(code)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw_head: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head_only: bool = False) -> Answer:
        async with asyncio.timeout(PATIENT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
            answer = Answer(int(status_line.split()[1]), headers, b"", head)
            if head_only or answer.status in (100, 204):
                return answer
            if headers.get("transfer-encoding") == "chunked":
                answer.body = b"".join([chunk async for chunk in self.chunks()])
            elif "content-length" in headers:
                answer.body = await self.reader.readexactly(int(headers["content-length"]))
            else:
                answer.body = await self.reader.read()
            return answer

    async def read_until(self, mark: bytes) -> bytes:
        async with asyncio.timeout(PATIENT_S):
            return await self.reader.readuntil(mark)

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            chunk = await self.reader.readexactly(size + 2)
            if not size:
                return
            yield chunk[:-2]

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, however it ends."""
        async with asyncio.timeout(PATIENT_S):
            got = b""
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65_536):
                    got += data
            return got

    def hang_up(self) -> None:
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Scene:
    port: int
    edge: Edge
    server: Server
    watching: Watching
    stopped: list[str]
    wires: list[Wire] = field(default_factory=list)

    async def connect(self, local: str | None = None) -> Wire:
        wire = Wire(
            *await asyncio.open_connection(
                "127.0.0.1", self.port, local_addr=(local, 0) if local else None
            )
        )
        self.wires.append(wire)
        return wire

    async def ask(self, data: bytes) -> Answer:
        wire = await self.connect()
        await wire.send(data)
        return await wire.answer()

    async def ask_from(self, local: str) -> Wire:
        wire = await self.connect(local)
        await wire.send(request())
        return wire

    async def everybody_gone(self) -> None:
        """Until the server has noticed that no client is left."""
        async with asyncio.timeout(PATIENT_S):
            await self.edge.empty.wait()

    async def quiet(self) -> None:
        """Until no request is under way."""
        async with asyncio.timeout(PATIENT_S):
            while self.server.server_state.tasks:
                await asyncio.wait(list(self.server.server_state.tasks))


@contextlib.asynccontextmanager
async def serving(
    serve: Serve,
    limits: EdgeLimits = QUICK,
    *,
    drain_s: float = 2.0,
    hosts_allowed: frozenset[bytes] = frozenset(),
    on_stop: Callable[[], None] = lambda: None,
    uncapped: frozenset[str] = frozenset(),
    watching: Watching | None = None,
    render: Render = render,
    host: str = "127.0.0.1",
) -> AsyncIterator[Scene]:
    watching = watching or Watching()
    stopped: list[str] = []
    edge = Edge(
        serve,
        render,
        watching,
        limits,
        SystemClock(),
        hosts_allowed=hosts_allowed,
        uncapped=uncapped,
    )

    def stopping() -> None:
        stopped.append("stopping")
        on_stop()

    server = Server(edge, drain_s=drain_s, on_stop=stopping)
    socket = bind(host, 0)
    running = asyncio.get_running_loop().create_task(server.serve(sockets=[socket]))
    scene = Scene(socket.getsockname()[1], edge, server, watching, stopped)
    try:
        await server.listening()
        yield scene
    finally:
        for wire in scene.wires:
            wire.hang_up()
        if not running.done():
            server.stop()
        async with asyncio.timeout(PATIENT_S):
            await running


class Echo:
    """Answers with what it read, and remembers every path it served."""

    def __init__(self, limit_bytes: int = 1_000_000) -> None:
        self.served: list[str] = []
        self.limit_bytes = limit_bytes

    async def __call__(self, exchange: Exchange) -> None:
        self.served.append(exchange.path)
        try:
            body = await exchange.body(self.limit_bytes)
        except errors.Refusal as refusal:
            exchange.reply(refusal.status, *render(refusal, exchange.request_id))
            return
        exchange.reply(200, b"content-type: text/plain\r\n", exchange.path.encode() + b" " + body)


def request(
    path: str = "/echo",
    body: bytes = b"",
    *headers: str,
    method: str = "POST",
    version: str = "1.1",
) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: door.test", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def limits(**changed: Any) -> EdgeLimits:
    return replace(QUICK, **changed)
