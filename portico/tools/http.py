"""One message to a server that a request named: no cookies, no proxy, no cache.

It goes to the address that was checked, and is redirected only within the same origin: its headers
hold secrets that are meant for nobody else.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urljoin

import httptools

from portico.kit.dial import Connect, answered, connected
from portico.kit.egress import (
    WEB_PORTS,
    Network,
    Place,
    Refused,
    Resolve,
    address_of,
    check_way,
    place_of,
    resolved,
)
from portico.kit.sse import EventReader, EventTooLarge
from portico.tools.model import ToolFailed

_HEAD_BYTES_MAX = 65_536
_READ_BYTES = 65_536
_REDIRECTS_MAX = 3
_SAME_METHOD = frozenset({307, 308})
EVENTS = "text/event-stream"
Wanted = Callable[[bytes], bool]
"""Is this event, or this body, the answer?"""


@dataclass(frozen=True, slots=True)
class Ways:
    """private_allowed: may a server stand in a private network, without TLS, on any port?
    never: networks that are refused besides those that always are."""

    private_allowed: bool = False
    never: tuple[Network, ...] = ()


@dataclass(slots=True)
class Reply:
    """body: whole, or of the event that was wanted; b"" without one."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Poster:
    """tls: None trusts the system's authorities."""

    def __init__(
        self,
        ways: Ways,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolved,
        connect: Connect = connected,
    ) -> None:
        self._ways = ways
        self._tls = tls
        self._resolve = resolve
        self._connect = connect

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        wanted: Wanted,
        bytes_max: int,
    ) -> Reply:
        """Raises: ToolFailed.  The caller bounds the time."""
        try:
            for _ in range(_REDIRECTS_MAX + 1):
                place = self._checked(url)
                head = _head(method, place, headers, len(body))
                reply = await self._ask(place, head + body, wanted, bytes_max)
                if not 300 <= reply.status < 400:
                    return reply
                url = _followed(url, place, reply)
        except Refused as refused:
            raise ToolFailed("server_refused", f"{refused}.") from refused
        except (OSError, UnicodeError) as error:
            raise ToolFailed("server_unreachable", "The server cannot be reached.") from error
        raise ToolFailed("server_refused", "The server redirects again and again.")

    def _checked(self, url: str) -> Place:
        """Raises: Refused."""
        place = place_of(url)
        private = self._ways.private_allowed
        check_way(place, http=private, ports=frozenset({place.port}) if private else WEB_PORTS)
        return place

    async def _ask(self, place: Place, message: bytes, wanted: Wanted, bytes_max: int) -> Reply:
        ways = self._ways
        address = await address_of(
            place, private_allowed=ways.private_allowed, never=ways.never, resolve=self._resolve
        )
        read = partial(_read, reading=_Reading(wanted, bytes_max))
        return await answered(place, address, message, read, tls=self._tls, connect=self._connect)


def _head(method: str, place: Place, headers: Mapping[str, str], size: int) -> bytes:
    said = {
        "host": place.authority,
        "user-agent": "portico",
        "accept-encoding": "identity",
        "connection": "close",
        "content-length": str(size),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{method} {place.path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def _followed(url: str, place: Place, reply: Reply) -> str:
    """Raises: Refused: it leads to somebody else, or asks for another message."""
    location = reply.headers.get("location", "")
    if reply.status not in _SAME_METHOD or not location:
        raise Refused(f"the server answers with status {reply.status}")
    try:
        there = urljoin(url, location)
    except ValueError:
        raise Refused("the server redirects to something that is no URL") from None
    other = place_of(there)
    if (other.tls, other.host, other.port) != (place.tls, place.host, place.port):
        raise Refused("the server redirects to another one, which is never followed")
    return there


async def _read(reader: asyncio.StreamReader, reading: "_Reading") -> Reply:
    """Raises: ToolFailed; OSError."""
    parser = httptools.HttpResponseParser(reading)
    while not reading.complete:
        data = await reader.read(_READ_BYTES)
        if not data:
            reading.end()
            break
        reading.came(len(data))
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise reading.failed or ToolFailed(
                "server_invalid", "The server does not speak HTTP."
            ) from error
        reading.reply.status = reading.reply.status or reading.status_of(parser)
    return reading.reply


class _Reading:
    """What httptools calls while it reads."""

    def __init__(self, wanted: Wanted, bytes_max: int) -> None:
        self.reply = Reply()
        self.complete = False
        self.failed: ToolFailed | None = None
        self._wanted = wanted
        self._bytes_max = bytes_max
        self._bytes = 0
        self._begun = False
        self._sized = False
        self._events: EventReader | None = None
        self._body = bytearray()

    def status_of(self, parser: httptools.HttpResponseParser) -> int:
        return int(parser.get_status_code()) if self._begun else 0

    def came(self, size_bytes: int) -> None:
        """Before each read is looked at.  Raises: ToolFailed."""
        self._bytes += size_bytes
        if not self._begun and self._bytes > _HEAD_BYTES_MAX:
            raise ToolFailed("server_invalid", "The server's answer has too long a head.")
        if self._bytes > self._bytes_max + _HEAD_BYTES_MAX:
            raise self._too_large()

    def end(self) -> None:
        """The server hung up.  Raises: ToolFailed: in the middle."""
        if not self._begun or self._sized:
            raise ToolFailed("server_unreachable", "The server hung up before the end.")
        self.on_message_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower().decode("latin-1")
        self.reply.headers[lower] = value.decode("latin-1").strip()
        if lower in ("content-length", "transfer-encoding"):
            self._sized = True
        if lower == "content-encoding" and value.strip().lower() not in (b"", b"identity"):
            self._fail(ToolFailed("server_invalid", "The answer comes compressed, unasked."))

    def on_headers_complete(self) -> None:
        self._begun = True
        if self.reply.headers.get("content-type", "").lower().startswith(EVENTS):
            self._events = EventReader(self._bytes_max)

    def on_body(self, body: bytes) -> None:
        if self.complete:
            return
        if self._events is None:
            self._body += body
            return
        try:
            self._look_at([event.data for event in self._events.feed(body)])
        except EventTooLarge:
            self._fail(self._too_large())

    def on_message_complete(self) -> None:
        if self._events is not None and not self.complete:
            self._look_at([event.data for event in self._events.finish()])
        elif self._events is None:
            self.reply.body = bytes(self._body)
        self.complete = True

    def _look_at(self, events: list[bytes]) -> None:
        for data in events:
            if self._wanted(data):
                self.reply.body, self.complete = data, True
                return

    def _too_large(self) -> ToolFailed:
        return ToolFailed("result_too_large", f"The answer is over {self._bytes_max} bytes.")

    def _fail(self, why: ToolFailed) -> None:
        self.failed = why
        raise why
