"""What an API key looks like.  Pure.

`pk_live_` or `pk_test_`, 37 random base62 characters (220 bits), then the CRC32 of everything
before it in 6 base62 characters.  The CRC refuses mistyped and made-up keys before anything is
looked up, and lets secret scanners confirm a hit: it is no secret and proves nothing.
"""

import hashlib
import hmac
import re
import secrets
import zlib

from portico.callers.model import Mode

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_PATTERN = r"pk_(live|test)_[0-9A-Za-z]{43}"
"""For secret scanners."""

_RANDOM_CHARACTERS = 37
_CHECK_CHARACTERS = 6
_KEY = re.compile(KEY_PATTERN)
_MODES: dict[str, Mode] = {"live": "live", "test": "test"}


def new_key(mode: Mode) -> str:
    unique = "".join(secrets.choice(BASE62) for _ in range(_RANDOM_CHARACTERS))
    head = f"pk_{mode}_{unique}"
    return head + _check(head)


def mode_of(credential: str) -> Mode | None:
    """The mode of a well-formed key; None for anything else."""
    match = _KEY.fullmatch(credential)
    if match is None or _check(credential[:-_CHECK_CHARACTERS]) != credential[-_CHECK_CHARACTERS:]:
        return None
    return _MODES[match[1]]


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
