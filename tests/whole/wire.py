"""A client made of a socket: it can stop, hang up or go silent at any byte."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any, ClassVar

from tests.whole.conftest import Served

END = b"\r\n0\r\n\r\n"


class Wire:
    """One connection, one request at a time.  Those still open when a test ends are closed."""

    opened: ClassVar[list["Wire"]] = []

    def __init__(self, served: Served, timeout_s: float = 30.0) -> None:
        self.served = served
        self.socket = socket.create_connection(served.host_port, timeout=timeout_s)
        self.received = b""
        self.opened.append(self)

    def ask(self, **fields: Any) -> "Wire":
        """POST /v1/chat/completions with these fields."""
        return self.post("/v1/chat/completions", json.dumps(fields).encode())

    def post(self, path: str, body: bytes, *headers: str) -> "Wire":
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: test",
            f"Authorization: Bearer {self.served.api_key}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self

    def read_until(self, mark: bytes, count: int = 1) -> bytes:
        """Everything up to and with the `count`-th `mark`, or to the end of the answer; fails if
        the peer ends first."""
        while self.received.count(mark) < count and END not in self.received:
            data = self.socket.recv(65_536)
            assert data, f"the connection ended early: {self.received[-300:]!r}"
            self.received += data
        return self.received

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a whole answer with a Content-Length or chunks."""
        self.read_until(b"\r\n\r\n")
        head, _, rest = self.received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        if "content-length" in headers:
            while len(rest) < int(headers["content-length"]):
                data = self.socket.recv(65_536)
                assert data, "the body was cut"
                rest += data
            self.received = b""
            return int(lines[0].split()[1]), headers, rest
        self.read_until(b"0\r\n\r\n")
        body = self.received.partition(b"\r\n\r\n")[2]
        self.received = b""
        return int(lines[0].split()[1]), headers, unchunked(body)

    def hang_up(self) -> None:
        self.socket.close()
        self.opened.remove(self)


def ask(served: Served, **fields: Any) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own."""
    wire = Wire(served)
    try:
        return wire.ask(**fields).answer()
    finally:
        wire.hang_up()


def post(served: Served, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    wire = Wire(served)
    try:
        return wire.post(path, body).answer()
    finally:
        wire.hang_up()


def unchunked(body: bytes) -> bytes:
    """The content of a complete chunked body."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        content, body = content + body[:length], body[length + 2 :]
    return content


def question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def get(served: Served, path: str, key: str | None = None) -> tuple[int, dict[str, str], bytes]:
    wire = Wire(served)
    sent = served.api_key if key is None else key
    authorization = f"Authorization: Bearer {sent}\r\n" if sent else ""
    wire.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n{authorization}\r\n".encode())
    try:
        return wire.answer()
    finally:
        wire.hang_up()


def eventually(check: Callable[[], bool], within_s: float = 40.0) -> None:
    """Returns as soon as `check` holds; fails when it does not in time."""
    until = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)


def metric(served: Served, name: str) -> float:
    """The sum over all labels of one Prometheus figure."""
    _, _, page = get(served, "/metrics")
    lines = [line for line in page.decode().splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
