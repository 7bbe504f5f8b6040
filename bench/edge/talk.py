"""What a server has said, cut into answers."""

import contextlib
import socket
from dataclasses import dataclass

_PATIENT_S = 15.0


class Cut(Exception):
    """The bytes end within an answer, or are none."""


@dataclass(frozen=True, slots=True)
class Heard:
    """headers: lower-case names; those that came twice, joined with ", "."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(said: bytes, *, heads_only: bool = False) -> list[Heard]:
    """Every final answer in `said`, in order; 1xx are left out.

    heads_only: the requests were HEAD.  Raises: Cut.
    """
    found = []
    while said:
        heard, said = _one(said, heads_only)
        if heard.status >= 200:
            found.append(heard)
    return found


def _one(said: bytes, heads_only: bool) -> tuple[Heard, bytes]:
    head, end, rest = said.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    if not end or not line.startswith("HTTP/1."):
        raise Cut(repr(said[:200]))
    headers: dict[str, str] = {}
    for name, _, value in (each.partition(":") for each in lines):
        known = headers.get(name.lower())
        headers[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
    status = int(line.split()[1])
    if status < 200 or status in (204, 304) or heads_only:
        return Heard(status, headers, b""), rest
    if headers.get("transfer-encoding") == "chunked":
        body, rest = _unchunked(rest)
    elif "content-length" in headers:
        size = int(headers["content-length"])
        body, rest = rest[:size], rest[size:]
        if len(body) < size:
            raise Cut(repr(said[:200]))
    else:
        body, rest = rest, b""
    return Heard(status, headers, body), rest


def _unchunked(rest: bytes) -> tuple[bytes, bytes]:
    """Raises: Cut."""
    content = b""
    while True:
        size, end, rest = rest.partition(b"\r\n")
        length = int(size, 16) if end else -1
        if length < 0 or len(rest) < length + 2:
            raise Cut(repr(size[:50]))
        content, rest = content + rest[:length], rest[length + 2 :]
        if not length:
            return content, rest


def ask(host: str, port: int, *parts: bytes, patient_s: float = _PATIENT_S) -> bytes:
    """What a server says to `parts`, up to the end of the connection, which it has to bring about.

    Raises: TimeoutError: it keeps the connection open.
    """
    with socket.create_connection((host, port), timeout=patient_s) as wire:
        for part in parts:
            # A refusal may come, and end the connection, while there is more to say.
            with contextlib.suppress(ConnectionError):
                wire.sendall(part)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while data := wire.recv(65_536):
                heard += data
        return heard
