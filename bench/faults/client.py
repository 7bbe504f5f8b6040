"""A client that can hang up at any moment: one connection, HTTP/1.1 by hand, no product code in it."""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

PATH = "/v1/chat/completions"
GONE = (OSError, EOFError)
"""What every wait raises when the server is no longer there."""
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Head:
    status: int
    headers: dict[str, str]

    @property
    def request_id(self) -> str:
        return self.headers["x-request-id"]


@dataclass
class Heard:
    """What has arrived of one answer.

    pieces: events with content; the drills ask for one token an event, so these are tokens.
    cost_nano, output_tokens: what the answer says of itself; None until it does.
    """

    pieces: int = 0
    cost_nano: int | None = None
    output_tokens: int | None = None
    stopped: str = ""
    done: bool = False
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """More of a stream, cut anywhere."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def whole(self, head: Head, body: bytes) -> None:
        """An answer that was not streamed."""
        answer = json.loads(body)
        cost = head.headers.get("portico-cost-nano-usd")
        self.cost_nano = None if cost is None else int(cost)
        self.output_tokens = self.pieces = answer["usage"]["completion_tokens"]
        self.done = True

    def _line(self, line: bytes) -> None:
        if line.startswith(b": portico-cost-nano-usd "):
            self.cost_nano = int(line.rpartition(b" ")[2])
        elif line == b"data: [DONE]":
            self.done = True
        elif line.startswith(b"data: "):
            self._event(json.loads(line[6:]))

    def _event(self, event: dict[str, Any]) -> None:
        for choice in event.get("choices", ()):
            self.pieces += bool(choice["delta"].get("content"))
            self.stopped = choice.get("portico_stop_reason", self.stopped)
        if event.get("usage"):
            self.output_tokens = event["usage"]["completion_tokens"]


def request(key: str, body: bytes) -> bytes:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: drill\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def chat(model: str, text: str, **fields: Any) -> bytes:
    return json.dumps(
        {"model": model, "messages": [{"role": "user", "content": text}], **fields}
    ).encode()


class Line:
    """One connection, one request at a time.  Every wait raises one of GONE when it breaks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, host: str, port: int) -> "Line":
        return cls(*await asyncio.open_connection(host, port))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self) -> Head:
        text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return Head(int(first.split()[1]), {k.lower(): v.strip() for k, _, v in pairs})

    async def chunk(self) -> bytes:
        """The next one of a chunked body; b"" is the end of it."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def body(self, head: Head) -> bytes:
        if "content-length" in head.headers:
            return await self._reader.readexactly(int(head.headers["content-length"]))
        pieces = []
        while piece := await self.chunk():
            pieces.append(piece)
        return b"".join(pieces)

    async def ask(self, data: bytes) -> tuple[Head, Heard, bytes]:
        """A whole request and a whole answer; its bytes where it was refused, else b""."""
        await self.send(data)
        head, heard = await self.head(), Heard()
        body = await self.body(head)
        if head.status != 200:
            return head, heard, body
        if head.headers["content-type"].startswith("text/event-stream"):
            heard.feed(body)
        else:
            heard.whole(head, body)
        return head, heard, b""

    def hang_up(self, *, reset: bool = False) -> None:
        """At once, whatever is still to be read.  reset: with RST and not with FIN."""
        found: socket.socket | None = self._writer.get_extra_info("socket")
        if reset and found is not None and found.fileno() >= 0:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()


def code_of(body: bytes) -> str:
    """The code of a refusal."""
    code: str = json.loads(body)["error"]["code"]
    return code
