"""Images, sound and files that come inside a message.

The engine never fetches: a URL that is not `data:` is refused here, before anyone could be made
to call an address for the caller.
"""

import base64
from typing import NoReturn

from portico import errors
from portico.dialects.diagnosis import brief, shown

MEDIA_BYTES_MAX = 20_000_000
"""Of one decoded file."""

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_HEAD_CHARACTERS = 64
_PIECE_CHARACTERS = 1 << 16


def check_image(path: str, url: str) -> int:
    """Give the characters of base64 in `url`.  Raises: Refusal: media_url_not_supported,
    invalid_media, media_too_large."""
    start = _start_of_data(path, url)
    head = _check_base64(path, url, start)
    if not _is_image(head):
        _refuse(path, "not a PNG, JPEG, GIF or WEBP image", head, "PNG, JPEG, GIF or WEBP")
    return len(url) - start


def check_image_data(path: str, data: str) -> int:
    """The same for base64 without a URL around it."""
    head = _check_base64(path, data, 0)
    if not _is_image(head):
        _refuse(path, "not a PNG, JPEG, GIF or WEBP image", head, "PNG, JPEG, GIF or WEBP")
    return len(data)


def check_audio(path: str, data: str, kind: str) -> int:
    """The same for `input_audio.data`, which is base64 without a URL around it."""
    head = _check_base64(path, data, 0)
    if not (_is_wav(head) if kind == "wav" else _is_mp3(head)):
        _refuse(path, f"not {kind} sound, as its format says", head, kind)
    return len(data)


def check_file(path: str, file_data: str) -> int:
    """The same for `file.file_data`: a `data:` URL, or bare base64."""
    start = _start_of_data(path, file_data) if ":" in file_data[:16] else 0
    _check_base64(path, file_data, start)
    return len(file_data) - start


def kind_and_data(url: str) -> tuple[str, str]:
    """Media type and base64 of a `data:` URL that was checked; ("", text) of bare base64."""
    if url[:5].lower() != "data:":
        return "", url
    head, _, data = url.partition(",")
    return head[5:].split(";")[0].lower(), data


def _start_of_data(path: str, url: str) -> int:
    if url[:5].lower() != "data:":
        raise errors.MEDIA_URL_REFUSED(
            f"{path!r} is {shown(url)}; only `data:` URLs are read, nothing is fetched.",
            field=path,
            value=brief(url),
            limit="data:",
        )
    comma = url.find(",")
    if comma < 0 or not url[:comma].lower().endswith(";base64"):
        raise errors.INVALID_MEDIA(
            f"{path!r} starts with {shown(url[:40])}; it must be "
            "`data:<media type>;base64,<data>`.",
            field=path,
            value=brief(url[:40]),
            limit="data:<media type>;base64,<data>",
        )
    return comma + 1


def _check_base64(path: str, text: str, start: int) -> bytes:
    """Look at all of `text` from `start`; give its first bytes, decoded."""
    characters = len(text) - start
    size_bytes = characters * 3 // 4
    if size_bytes > MEDIA_BYTES_MAX + 2:
        raise errors.MEDIA_TOO_LARGE(
            f"{path!r} holds {size_bytes} bytes; one file may have at most {MEDIA_BYTES_MAX} "
            "(20 MB).",
            field=path,
            value=size_bytes,
            limit=MEDIA_BYTES_MAX,
        )
    strange = _strange_characters(text, start)
    padding = "=" * (characters > 0 and text[-1] == "=") + "=" * (text[-2:] == "==")
    problem = ""
    if not characters:
        problem = "it is empty"
    elif strange != padding:
        problem = f"it holds {shown(strange.removesuffix(padding)[:1] or '=')}"
    elif characters % 4:
        problem = f"it has {characters} characters, not a multiple of 4"
    if problem:
        raise errors.INVALID_MEDIA(
            f"{path!r} is not valid base64: {problem}.",
            field=path,
            value=brief(text[start : start + 40]),
            limit="base64 with padding, without line breaks",
        )
    return base64.b64decode(text[start : start + _HEAD_CHARACTERS])


def _strange_characters(text: str, start: int) -> str:
    """The first characters outside the alphabet, padding included.

    Deleting the alphabet costs a fifth of decoding; piece by piece, because memory for a second
    and a third image costs more than the work.
    """
    found = ""
    for at in range(start, len(text), _PIECE_CHARACTERS):
        piece = text[at : at + _PIECE_CHARACTERS].encode("ascii", "replace")
        found += piece.translate(None, _ALPHABET).decode()
        if len(found) > len("=="):
            break
    return found


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
