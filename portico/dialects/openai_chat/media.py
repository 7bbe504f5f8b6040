"""Images, sound and files that come inside a message.

The engine never fetches: a URL that is not `data:` is refused here, before anyone could be made
to call an address for the caller.
"""

import base64
import binascii
from typing import NoReturn

from portico import errors
from portico.dialects.diagnosis import brief, shown

MEDIA_BYTES_MAX = 20_000_000
"""Of one decoded file."""

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_HEAD_CHARACTERS = 64


def check_image(path: str, url: str) -> int:
    """Give the characters of base64 in `url`.  Raises: Refusal: media_url_not_supported,
    invalid_media, media_too_large."""
    data = _data_of(path, url)
    head = _check_base64(path, data)
    if not _is_image(head):
        _refuse(path, "not a PNG, JPEG, GIF or WEBP image", head, "PNG, JPEG, GIF or WEBP")
    return len(data)


def check_audio(path: str, data: str, kind: str) -> int:
    """The same for `input_audio.data`, which is base64 without a URL around it."""
    head = _check_base64(path, data)
    if not (_is_wav(head) if kind == "wav" else _is_mp3(head)):
        _refuse(path, f"not {kind} sound, as its format says", head, kind)
    return len(data)


def check_file(path: str, file_data: str) -> int:
    """The same for `file.file_data`: a `data:` URL, or bare base64."""
    data = _data_of(path, file_data) if ":" in file_data[:16] else file_data
    _check_base64(path, data)
    return len(data)


def _data_of(path: str, url: str) -> str:
    if url[:5].lower() != "data:":
        raise errors.MEDIA_URL_REFUSED(
            f"{path!r} is {shown(url)}; only `data:` URLs are read, nothing is fetched.",
            field=path,
            value=brief(url),
            limit="data:",
        )
    start, comma, data = url.partition(",")
    if not comma or not start.lower().endswith(";base64"):
        raise errors.INVALID_MEDIA(
            f"{path!r} starts with {shown(start[:40])}; it must be "
            "`data:<media type>;base64,<data>`.",
            field=path,
            value=brief(start[:40]),
            limit="data:<media type>;base64,<data>",
        )
    return data


def _check_base64(path: str, data: str) -> bytes:
    """The first bytes of `data`, all of which was looked at."""
    size_bytes = len(data) * 3 // 4
    if size_bytes > MEDIA_BYTES_MAX + 2:
        raise errors.MEDIA_TOO_LARGE(
            f"{path!r} holds {size_bytes} bytes; one file may have at most {MEDIA_BYTES_MAX} "
            "(20 MB).",
            field=path,
            value=size_bytes,
            limit=MEDIA_BYTES_MAX,
        )
    text = data.encode("ascii", "replace")
    padding = text[len(text.rstrip(b"=")) :]
    # Deleting the alphabet costs a fifth of decoding, and what is left names the culprit.
    left = text.translate(None, _ALPHABET)
    if left != padding or len(padding) > 2 or len(text) % 4 or not text:
        problem = f"it holds {left[:1].decode()!r}" if left != padding else "its length is wrong"
        raise errors.INVALID_MEDIA(
            f"{path!r} is not valid base64: {problem if text else 'it is empty'}.",
            field=path,
            value=brief(data[:40]),
            limit="base64 with padding, without line breaks",
        )
    try:
        return base64.b64decode(text[:_HEAD_CHARACTERS])
    except binascii.Error:
        return b""


def _refuse(path: str, what: str, head: bytes, limit: str) -> NoReturn:
    raise errors.INVALID_MEDIA(
        f"{path!r} is {what}: it starts with 0x{head[:8].hex()}.",
        field=path,
        value=head[:8].hex(),
        limit=limit,
    )


def _is_image(head: bytes) -> bool:
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")):
        return True
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_wav(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"


def _is_mp3(head: bytes) -> bool:
    return head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)
