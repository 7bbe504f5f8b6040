"""A scripted upstream: raw bytes over real loopback sockets, and a record of what it saw."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from trustme import CA

from portico.engines.transport.base import Call, Deadlines, Headers, Origin


@dataclass(frozen=True)
class Request:
    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class Peer:
    """One accepted connection."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    changed: asyncio.Event
    requests: list[Request] = field(default_factory=list)

    async def request(self) -> Request:
        """Raises: EOFError when the client closed instead."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None
        line, *rest = head[:-4].split(b"\r\n")
        headers = [(name, value) for name, _, value in (row.partition(b": ") for row in rest)]
        request = Request(line, headers, b"")
        length = int((request.values(b"content-length") or [b"0"])[0])
        request = Request(line, headers, await self.reader.readexactly(length))
        self.requests.append(request)
        self.changed.set()
        return request

    async def send(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            raise ConnectionResetError("the client left")
        self.writer.write(data)
        await self.writer.drain()

    async def until_client_closes(self) -> None:
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionError:
            pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Upstream:
    """Runs `script` on each connection, then closes it."""

    def __init__(self, script: Script) -> None:
        self.peers: list[Peer] = []
        self.ended = 0
        self.origin = Origin("http", "127.0.0.1", 0)
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()

    async def open(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        self.origin = Origin("https" if tls else "http", host, port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), reader, writer, self._changed)
        self.peers.append(peer)
        task = asyncio.create_task(self._live(peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, peer: Peer) -> None:
        try:
            await self._script(peer)
        except (EOFError, ConnectionError):
            pass
        finally:
            self.ended += 1
            self._changed.set()
            peer.writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await peer.writer.wait_closed()

    async def until_ended(self, count: int) -> None:
        """Wait until the scripts of `count` connections have run to their end."""
        await self._until(lambda: self.ended >= count)

    async def until_asked(self, count: int) -> None:
        """Wait until `count` whole requests have arrived."""
        await self._until(lambda: len(self.requests) >= count)

    async def _until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):  # only so that a broken law fails instead of hanging
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    @property
    def requests(self) -> list[Request]:
        return [request for peer in self.peers for request in peer.requests]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def call(
        self,
        method: str = "POST",
        target: str = "/v1/chat/completions",
        *,
        headers: Headers | None = None,
        body: bytes = b"{}",
        deadlines: Deadlines | None = None,
        reuse: bool = True,
    ) -> Call:
        return Call(
            self.origin, method, target, headers or [], body, deadlines or Deadlines(), reuse
        )


def certified(ca: CA, *names: str) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for `names`; offers HTTP/2 too, as many do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    ca.issue_cert(*names).configure_cert(context)
    return context


def answering(response: bytes) -> Script:
    """Every request on every connection gets `response`."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(response)

    return script


def sized(body: bytes, *, status: bytes = b"200 OK", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)


def chunked(pieces: list[bytes], trailers: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        + b"0\r\n%b\r\n" % trailers
    )


def cut(data: bytes, at: list[int]) -> Iterator[bytes]:
    """`data` in pieces that end at the offsets `at`."""
    edges = [0, *sorted({min(edge, len(data)) for edge in at}), len(data)]
    return (data[start:end] for start, end in itertools.pairwise(edges) if start < end)
