"""The salts that keep one tenant apart from another where something is remembered.

The first keeps one tenant's prompts apart from another's in an engine's prefix cache.

Without it, time to first token and `cached_tokens` tell whoever asks that somebody else has sent
the beginning of a prompt before.  Made here and never taken from a request: a text of a caller's
own choosing has brought an engine down (docs/design/0016).
"""

import hmac
from hashlib import sha256
from typing import Literal

from portico.callers.model import Caller

Scope = Literal["organisation", "project"]
_KEPT_MAX = 65_536
_LABEL = b"portico cache salt"
_PRINT_LABEL = b"portico request fingerprint"


class Salts:
    """secret: of this installation; scope: who shares what the engine has read already."""

    def __init__(self, secret: bytes, scope: Scope) -> None:
        # A key of its own, so that a salt says nothing about what else the secret is used for.
        self._key = hmac.digest(secret, _LABEL, sha256)
        self._print_key = hmac.digest(secret, _PRINT_LABEL, sha256)
        self._of_project = scope == "project"
        self._kept: dict[tuple[str, str], str] = {}

    def of(self, caller: Caller, model: str) -> str:
        """64 hexadecimal digits, always the same for a tenant and a model."""
        tenant = caller.project_id if self._of_project else caller.organisation_id
        salt = self._kept.get((tenant, model))
        if salt is None:
            if len(self._kept) >= _KEPT_MAX:  # model names are whatever callers write
                self._kept.clear()
            said = f"{tenant}\0{model}".encode("utf-8", "surrogatepass")
            salt = self._kept[tenant, model] = hmac.new(self._key, said, sha256).hexdigest()
        return salt

    def of_prints(self, caller: Caller) -> bytes:
        """64 hexadecimal digits that go before a body whose hash is stored: without them whoever
        has the database could try out what a short request may have said."""
        return hmac.new(self._print_key, caller.project_id.encode(), sha256).hexdigest().encode()
