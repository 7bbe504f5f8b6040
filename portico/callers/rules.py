"""What an API key looks like.  Pure.

`pk_` and its kind, such as `pk_live_`, 37 random base62 characters (220 bits), then the CRC32 of everything
before it in 6 base62 characters.  The CRC refuses mistyped and made-up keys before anything is
looked up, and lets secret scanners confirm a hit: it is no secret and proves nothing.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from ipaddress import IPv6Address, ip_address
from typing import get_args

from portico import errors
from portico.callers.model import Caller, KeyKind, Network

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_PATTERN = r"pk_(live|test|admin|ephemeral)_[0-9A-Za-z]{43}"
"""For secret scanners."""

_RANDOM_CHARACTERS = 37
_CHECK_CHARACTERS = 6
_KEY = re.compile(KEY_PATTERN)
_KINDS: dict[str, KeyKind] = {kind: kind for kind in get_args(KeyKind)}


def new_key(kind: KeyKind) -> str:
    unique = "".join(secrets.choice(BASE62) for _ in range(_RANDOM_CHARACTERS))
    head = f"pk_{kind}_{unique}"
    return head + _check(head)


def kind_of(credential: str) -> KeyKind | None:
    """The kind of a well-formed key; None for anything else."""
    match = _KEY.fullmatch(credential)
    if match is None or _check(credential[:-_CHECK_CHARACTERS]) != credential[-_CHECK_CHARACTERS:]:
        return None
    return _KINDS[match[1]]


def check(caller: Caller, scope: str, address: str) -> None:
    """May it do this, from there?  address: as the connection, or a trusted proxy, says.

    Raises: Refusal: address_not_allowed, permission_denied.
    """
    if caller.networks and not within(address, caller.networks):
        raise errors.ADDRESS_NOT_ALLOWED(
            f"This key may not be used from {address or 'an unknown address'}.", value=address
        )
    if scope not in caller.scopes:
        raise errors.PERMISSION_DENIED(
            f"This needs the scope {scope!r}, which this key does not have.",
            field="scope",
            value=scope,
            limit=sorted(caller.scopes),
        )


def digest(pepper: bytes, credential: str) -> bytes:
    """What is stored and looked up instead of the key.  220 random bits need no slow hash."""
    return hmac.digest(pepper, credential.encode(), hashlib.sha256)


def _check(head: str) -> str:
    left = zlib.crc32(head.encode())
    characters = []
    for _ in range(_CHECK_CHARACTERS):
        left, place = divmod(left, 62)
        characters.append(BASE62[place])
    return "".join(reversed(characters))


def within(address: str, networks: tuple[Network, ...]) -> bool:
    """May it come from there?  address: "" when unknown."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)
