"""Text that only this server can read again: handed to a caller, who brings it back one day.

Deterministic (AES-SIV): the same text is sealed the same, so no chance has to be drawn and none can
be drawn badly.  Whoever holds two sealed texts can tell whether they are equal, and nothing else.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha512

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

MARK = "pt1."
"""What every sealed text begins with: made here, in this form."""


class Seal:
    """secrets: the last one seals, every one opens; so one can be replaced."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._ciphers = [AESSIV(_key(secret)) for secret in reversed(secrets)]

    def close(self, text: str, purpose: str, owner: str = "") -> str:
        """`text`, sealed: ASCII, `pt1.` and base64url.  Opens for the same purpose only, and where
        it has an owner, for nobody else's."""
        # A byte ahead of it: the cipher takes no empty text.
        plain = b"\0" + text.encode("utf-8", "surrogatepass")
        sealed = self._ciphers[0].encrypt(plain, _bound(purpose, owner))
        return MARK + base64.urlsafe_b64encode(sealed).decode()

    def open(self, sealed: str, purpose: str, owner: str = "") -> str | None:
        """None where this server did not seal it for `purpose` and `owner`, or somebody changed it."""
        if not sealed.startswith(MARK):
            return None
        try:
            data = base64.b64decode(sealed[len(MARK) :], altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        for cipher in self._ciphers:
            try:
                plain = cipher.decrypt(data, _bound(purpose, owner))
            except (InvalidTag, ValueError):
                continue
            return plain[1:].decode("utf-8", "surrogatepass")
        return None


def _bound(purpose: str, owner: str) -> list[bytes]:
    """Data that the seal is made with, and that does not stand in it."""
    return [purpose.encode(), owner.encode()] if owner else [purpose.encode()]


def _key(secret: bytes) -> bytes:
    """A key of its own, so that it says nothing about what else the secret is used for."""
    return hmac.digest(secret, b"portico sealed text", sha512)
