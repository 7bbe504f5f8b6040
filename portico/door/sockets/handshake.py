"""Which requests may go on as a WebSocket.  Pure."""

import binascii
from base64 import b64decode
from collections.abc import Mapping

from websockets.utils import accept_key

from portico import errors

_VERSION = "13"
_NONCE_BYTES = 16
_ASK = b"upgrade: websocket\r\nsec-websocket-version: 13\r\n"


def accepted(headers: Mapping[bytes, bytes], *, offered: bool) -> bytes:
    """Header lines that accept.  offered: the connection can change its protocol behind this request.

    Raises: Refusal: upgrade_required, bad_request.
    """
    if not offered or headers.get(b"upgrade", b"").lower() != b"websocket":
        raise _upgrade_required(
            "This path answers a GET only as the beginning of a WebSocket.", None, "websocket"
        )
    version = headers.get(b"sec-websocket-version", b"").decode("latin-1")
    if version != _VERSION:
        raise _upgrade_required(
            f"'Sec-WebSocket-Version' is {version[:50]!r}; {_VERSION} is spoken here.",
            version[:50],
            _VERSION,
        )
    nonce = headers.get(b"sec-websocket-key", b"")
    if not _is_nonce(nonce):
        raise errors.BAD_REQUEST(
            "'Sec-WebSocket-Key' must be 16 bytes in base64, sent once.", field="Sec-WebSocket-Key"
        )
    accept = accept_key(nonce.decode("ascii")).encode("ascii")
    return b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: %b\r\n" % accept


def check_origin(headers: Mapping[bytes, bytes], allowed: frozenset[str]) -> None:
    """A page may open a WebSocket to anywhere, and no browser asks first: so it is asked here.

    allowed: as for `Origins`.  Whoever is no page says no origin; a page of this very host is at home.
    Raises: Refusal: origin_not_allowed.
    """
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin or origin in allowed or "*" in allowed:
        return
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if origin.lower() in (f"https://{host}", f"http://{host}"):
        return
    raise errors.ORIGIN_NOT_ALLOWED(
        f"The page is of {origin[:200]!r}, whose scripts may not use this server.",
        field="Origin",
        value=origin[:200],
    )


def _is_nonce(nonce: bytes) -> bool:
    try:
        return len(b64decode(nonce, validate=True)) == _NONCE_BYTES
    except binascii.Error:
        return False


def _upgrade_required(message: str, value: str | None, limit: str) -> errors.Refusal:
    refusal = errors.UPGRADE_REQUIRED(message, value=value, limit=limit)
    refusal.lines = _ASK
    return refusal
