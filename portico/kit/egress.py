"""Where a URL that somebody else gave may lead: to the Internet, and to the very address that was
looked at."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

_PRINTABLE = re.compile(r"[!-\[\]-~]+")
_PORTS = {"http": 80, "https": 443}
_NEVER_V4 = tuple(
    ipaddress.ip_network(each)
    for each in (
        "100.64.0.0/10",  # shared address space of carriers; a cloud's metadata, too
        "168.63.129.16/32",  # a cloud's host, under a global address
        "192.0.0.0/24",  # of protocols, not of hosts
        "192.88.99.0/24",  # relays of 6to4
    )
)
_INTERNET_V6 = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that was ever given to hosts.  Outside it lie IPv4 addresses in four disguises, networks'
own addresses, old and new, and what Python's `is_global` says yes to only because it is not known yet."""
_NEVER_V6 = tuple(
    ipaddress.ip_network(each)
    for each in (
        "2001::/23",  # of protocols: Teredo, benchmarks, hashes instead of addresses
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""Third word of an address whose last is the IPv4 address of a tunnel's end."""
WEB_PORTS = frozenset({80, 443})
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port to addresses, at least one.  Raises: OSError, for no answer."""


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
    """The one reading of a URL: what is checked here is what is connected to.  Raises: Refused."""
    if not _PRINTABLE.fullmatch(url):
        raise Refused("a URL has no spaces, no backslashes and no letters beyond ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"it is no URL: {error}") from error
    if parts.scheme not in _PORTS:
        raise Refused("the URL must begin with https:// or http://")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise Refused("the URL must name a host, and neither user nor password")
    if port == 0:
        raise Refused("there is no port 0")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme == "https", parts.hostname, port or _PORTS[parts.scheme], path)


def check_way(place: Place, *, http: bool, ports: frozenset[int] = WEB_PORTS) -> None:
    """http: may it go without TLS?  ports: that may be connected to.  Raises: Refused."""
    if not place.tls and not http:
        raise Refused("the URL must begin with https://")
    if place.port not in ports:
        shown = " and ".join(str(port) for port in sorted(ports))
        raise Refused(f"its port is {place.port}; only {shown} are connected to")


async def resolved(host: str, port: int) -> list[str]:
    """As the machine resolves names.  Raises: OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


async def address_of(
    place: Place,
    *,
    private_allowed: bool,
    never: tuple[Network, ...] = (),
    resolve: Resolve = resolved,
) -> str:
    """An address of the place, to connect to and no other: a second look-up could say another.

    never: networks that are refused whatever else is allowed.
    Raises: Refused, also where one of several addresses is not allowed; OSError, for no answer.
    """
    addresses = await resolve(place.host, place.port)
    for each in addresses:
        address = ipaddress.ip_address(each.partition("%")[0])
        if _among(address, never):
            raise Refused(f"{place.host} is never connected to from here")
        if not private_allowed and not is_outside(address):
            # Not which address: whoever asks would have names of a private network looked up.
            raise Refused(f"{place.host} is not an address on the Internet, nor the name of one")
    return addresses[0]


def is_outside(address: Address) -> bool:
    """Not this machine, not a private network, not a way around to one of them."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return is_outside(address.ipv4_mapped)
    if isinstance(address, ipaddress.IPv6Address) and (
        address not in _INTERNET_V6 or int(address) >> 32 & 0xFFFF_FFFF in _ISATAP
    ):
        return False
    if _among(address, _NEVER_V4 if address.version == 4 else _NEVER_V6):
        return False
    return address.is_global and not address.is_multicast


def _among(address: Address, networks: tuple[Network, ...]) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address.version == each.version and address in each for each in networks)
