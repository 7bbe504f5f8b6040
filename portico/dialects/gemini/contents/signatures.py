"""Thought signatures: what only the maker of a thought can read, as the bytes this dialect has for
it.  Gemini's own pass as they are.  Those of other makers are sealed for the caller's project, so
that they find back to their maker, from whichever server, and to nobody else's.
"""

import base64
import binascii
from collections.abc import Sequence

from portico import errors
from portico.dialects.diagnosis import brief
from portico.dialects.gemini import request as wire
from portico.kit.sealing import MARK, Seal

_OWN = "gemini"
_PURPOSE = "thought signature"
_MARK = b"portico/"
_APART = "\n"
MARKED = base64.b64encode(_MARK)[:10]
"""How all begin that are sealed here, in either alphabet."""


class Signatures:
    def __init__(self, seal: Seal, project_id: str = "") -> None:
        self._seal = seal
        self._project_id = project_id

    def of(self, project_id: str) -> "Signatures":
        return Signatures(self._seal, project_id)

    def written(self, blob: str, issuer: str) -> str:
        """A `thoughtSignature`: base64."""
        if issuer == _OWN:
            return blob
        sealed = self._seal.close(f"{issuer}{_APART}{blob}", _PURPOSE, self._project_id)
        data = base64.urlsafe_b64decode(sealed.removeprefix(MARK))
        return base64.b64encode(_MARK + data).decode()

    def read(self, signature: str) -> tuple[str, str]:
        """Blob and issuer.  Clients hand signatures back in either alphabet of base64."""
        sealed = _sealed(signature)
        if sealed is None:
            return signature, _OWN
        told = self._seal.open(sealed, _PURPOSE, self._project_id) or ""
        issuer, _, blob = told.partition(_APART)
        return blob, issuer

    def check(self, contents: Sequence[wire.Content]) -> None:
        """Raises: Refusal: sealed_item_invalid."""
        for path, content in wire.placed("contents", contents):
            for at, part in wire.placed(f"{path}.parts", content.parts):
                signature = part.thought_signature or ""
                if not self.read(signature)[1]:
                    raise _invalid(f"{at}.thoughtSignature", signature)


def _sealed(signature: str) -> str | None:
    """As it was sealed; None where it was not, here."""
    try:
        data = base64.b64decode(standard(signature), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not data.startswith(_MARK):
        return None
    return MARK + base64.urlsafe_b64encode(data.removeprefix(_MARK)).decode()


def _invalid(path: str, signature: str) -> errors.Refusal:
    return errors.SEALED_ITEM_INVALID(
        f"{path!r} was not signed by this server for this project, or was changed since.",
        field=path,
        value=brief(signature),
        limit="the signature as it was given, unchanged",
        remedy="Send the part again without it: what was said and called stays valid.",
    )


def standard(data: str) -> str:
    """Base64 in its usual alphabet and padded, from any form of it.  (Google's SDK for Python
    sends the one for URLs.)"""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4) if len(data) % 4 in (2, 3) else data
