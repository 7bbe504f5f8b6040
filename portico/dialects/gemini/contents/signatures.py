"""Thought signatures: what only the maker of a thought can read, as the bytes this dialect has for
it.  Those of other makers are marked with their names, so that they find back to them."""

import base64
import binascii

_OWN = "gemini"
_MARK = b"portico/"


def written(blob: str, issuer: str) -> str:
    """A `thoughtSignature`: base64."""
    if issuer == _OWN:
        return blob
    return base64.b64encode(_MARK + f"{issuer}/{blob}".encode("utf-8", "replace")).decode()


def read(signature: str) -> tuple[str, str]:
    """Blob and issuer.  Clients hand signatures back in either alphabet of base64."""
    try:
        data = base64.b64decode(standard(signature), validate=True)
        marked = data.removeprefix(_MARK).decode() if data.startswith(_MARK) else ""
    except (binascii.Error, ValueError):
        return signature, _OWN
    issuer, slash, blob = marked.partition("/")
    return (blob, issuer) if slash else (signature, _OWN)


def standard(data: str) -> str:
    """Base64 in its usual alphabet and padded, from any form of it.  (Google's SDK for Python
    sends the one for URLs.)"""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4) if len(data) % 4 in (2, 3) else data
