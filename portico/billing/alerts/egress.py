"""Where a webhook may go: to the outside, over HTTP, and to the very address that was looked at."""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

_PRINTABLE = re.compile(r"[!-~]+")
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/32")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """Why nothing is sent there."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL says.  host: as in the URL, without brackets.  path: with the query."""

    tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"
        )


def place_of(url: str) -> Place:
    """Raises: Refused."""
    if not _PRINTABLE.fullmatch(url):
        raise Refused("a URL has no spaces and no letters beyond ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"it is no URL: {error}") from error
    if parts.scheme not in _PORTS:
        raise Refused("a webhook URL begins with https:// or http://")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise Refused("a webhook URL names a host, and neither user nor password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme == "https", parts.hostname, port or _PORTS[parts.scheme], path)


async def address_of(place: Place, *, private_allowed: bool) -> str:
    """An address of the place, to connect to and no other: a second look-up could say another.

    Raises: Refused, also where one of several addresses is not allowed; OSError, for no answer.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        place.host, place.port, type=socket.SOCK_STREAM
    )
    addresses = [str(each[4][0]) for each in found]
    for each in addresses:
        if not private_allowed and not is_outside(ipaddress.ip_address(each.partition("%")[0])):
            raise Refused(f"{place.host} is {each}, which is not an address on the Internet")
    return addresses[0]


def is_outside(address: Address) -> bool:
    """Not this machine, not a private network, not a way around to one of them."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_outside(inner)
        if address in _NAT64:
            return False
    return address.is_global and not address.is_multicast
