"""One GET of a URL that somebody else gave, and nothing more: no cookies, no proxy, no cache.

It connects to the address that was checked (`egress`), checks each redirect from the start, and is
bounded in bytes and in time.
"""

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urljoin

import httptools

from portico.kit.dial import Connect, answered, connected
from portico.kit.egress import (
    WEB_PORTS,
    Network,
    Place,
    Resolve,
    address_of,
    check_way,
    place_of,
    resolved,
)

_HEAD_BYTES_MAX = 65_536
_READ_BYTES = 65_536
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class FetchFailed(Exception):
    """Why there is no file, in words for whoever gave the URL."""


@dataclass(frozen=True, slots=True)
class Limits:
    """total_s: for everything, redirects included.  ports: that may be connected to.
    http: may it go without TLS?  never: networks that are refused besides those that always are."""

    bytes_max: int
    total_s: float
    http: bool = False
    redirects_max: int = 3
    ports: frozenset[int] = WEB_PORTS
    never: tuple[Network, ...] = ()


class Fetcher:
    """tls: None trusts the system's authorities."""

    def __init__(
        self,
        limits: Limits,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolved,
        connect: Connect = connected,
    ) -> None:
        self.limits = limits
        self._tls = tls
        self._resolve = resolve
        self._connect = connect

    async def get(self, url: str) -> bytes:
        """The file.  Raises: Refused: it leads where nothing is fetched from; FetchFailed."""
        try:
            async with asyncio.timeout(self.limits.total_s):
                return await self._follow(url)
        except TimeoutError:
            raise FetchFailed(f"it took longer than {self.limits.total_s:g} s") from None
        except (OSError, UnicodeError) as error:
            raise FetchFailed("its server cannot be reached") from error

    async def _follow(self, url: str) -> bytes:
        for _ in range(self.limits.redirects_max + 1):
            place = place_of(url)
            check_way(place, http=self.limits.http, ports=self.limits.ports)
            reply = await self._ask(place)
            if reply.status == 200:
                return bytes(reply.body)
            if reply.status not in _REDIRECTS or not reply.location:
                raise FetchFailed(f"its server answers with status {reply.status}")
            url = _joined(url, reply.location)
        raise FetchFailed(f"it is redirected more than {self.limits.redirects_max} times")

    async def _ask(self, place: Place) -> "_Reply":
        address = await address_of(
            place, private_allowed=False, never=self.limits.never, resolve=self._resolve
        )
        return await answered(
            *(place, address, _request(place), self._read), tls=self._tls, connect=self._connect
        )

    async def _read(self, reader: asyncio.StreamReader) -> "_Reply":
        reply = _Reply(self.limits.bytes_max)
        parser = httptools.HttpResponseParser(reply)
        while not reply.complete:
            data = await reader.read(_READ_BYTES)
            if not data:
                reply.end()
                break
            try:
                parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise reply.failed or FetchFailed("its server does not speak HTTP") from error
            reply.came(len(data), parser)
        return reply


def _joined(url: str, location: str) -> str:
    """Raises: FetchFailed."""
    try:
        return urljoin(url, location)
    except ValueError:  # a bracket too many, say
        raise FetchFailed("its server redirects to something that is no URL") from None


def _request(place: Place) -> bytes:
    return (
        f"GET {place.path} HTTP/1.1\r\nhost: {place.authority}\r\nuser-agent: portico\r\n"
        "accept: */*\r\naccept-encoding: identity\r\nconnection: close\r\n\r\n"
    ).encode("ascii")


class _Reply:
    """What httptools calls while it reads."""

    def __init__(self, bytes_max: int) -> None:
        self.status = 0
        self.location = ""
        self.body = bytearray()
        self.complete = False
        self.failed: FetchFailed | None = None
        self._bytes_max = bytes_max
        self._head_bytes = 0
        self._begun = False
        self._sized = False

    def came(self, size_bytes: int, parser: httptools.HttpResponseParser) -> None:
        """After each read.  Raises: FetchFailed: too long a head."""
        if not self._begun:
            self._head_bytes += size_bytes
            if self._head_bytes > _HEAD_BYTES_MAX:
                raise FetchFailed("its server's answer has too long a head")
        elif not self.status:
            self.status = parser.get_status_code()
            if self.status != 200:
                self.complete = True  # whatever else it says is of no use

    def end(self) -> None:
        """The server hung up.  Raises: FetchFailed: in the middle."""
        if not self._begun or self._sized:
            raise FetchFailed("its server hung up before the end")

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"location":
            self.location = value.decode("latin-1").strip()
        elif lower == b"content-length":
            self._sized = True
            if value.isdigit() and int(value[:20]) > self._bytes_max:
                self._too_large()
        elif lower == b"transfer-encoding":
            self._sized = True
        elif lower == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            self._fail("it comes compressed, which was not asked for")

    def on_headers_complete(self) -> None:
        self._begun = True

    def on_body(self, body: bytes) -> None:
        if len(self.body) + len(body) > self._bytes_max:
            self._too_large()
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True

    def _too_large(self) -> None:
        self._fail(f"it is larger than {self._bytes_max} bytes")

    def _fail(self, why: str) -> None:
        self.failed = FetchFailed(why)
        raise self.failed
