"""Whose request it is when proxies stand in between.  Pure."""

import ipaddress
from collections.abc import Collection, Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED = "::ffff:"


def plain(peer: str) -> str:
    """The address as it is written where only its own version is spoken: a socket that takes both
    says "::ffff:192.0.2.1" of every IPv4 client, and all of those lie in one network of IPv6."""
    return peer.removeprefix(_MAPPED) if "." in peer else peer


def trusts(peer: str, proxies: Collection[Network]) -> bool:
    """Is `peer` one of our own proxies?"""
    address = _address(peer)
    return address is not None and any(address in network for network in proxies)


def client_of(peer: str, headers: Mapping[bytes, bytes], proxies: Collection[Network]) -> str:
    """The address a request comes from.  `peer` is a proxy of ours.

    Each proxy writes behind the others who it got the request from, so the list is read from its end:
    the first that is none of our proxies is the client.  What stands before that, anybody may have
    written.  Where something is no address, nothing before it can be known: the last proxy it is.
    """
    nearest = peer
    for text in reversed(headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
        address = _address(text)
        if address is None:
            return nearest
        nearest = str(address)
        if not any(address in network for network in proxies):
            return nearest
    return nearest


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Of "192.0.2.1", "192.0.2.1:4711", "2001:db8::1" or "[2001:db8::1]:4711"."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def counted_as(peer: str) -> str:
    """What the per-address cap counts: an IPv6 client has a whole /64 to choose from, this machine
    has not."""
    if ":" not in peer or peer == "::1":
        return peer
    return str(ipaddress.ip_network((peer.partition("%")[0], 64), strict=False))
