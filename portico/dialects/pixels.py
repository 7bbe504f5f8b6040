"""How large an image or a sound is, by its header alone.  Nothing is decoded but base64, and of
that only what has to be looked at."""

from base64 import b64decode
from collections.abc import Callable

Read = Callable[[int, int], bytes]
"""Offset and length in bytes to those bytes, fewer at the end of the file."""

_SEGMENTS_MAX = 4_096
"""Of a JPEG, before its frame: more are no photograph."""
_CHUNKS_MAX = 64
_UNPACKED = frozenset({1, 3, 6, 7, 0xFFFE})
"""WAV formats in which each sample has its bits: PCM, float, A-law, mu-law, extensible."""
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})
"""Markers between 0xC0 and 0xCF that begin no frame."""


def base64_reader(text: str, start: int = 0) -> Read:
    """Reads the file that `text` holds from character `start` on, which was found to be base64."""

    def read(offset: int, length: int) -> bytes:
        first = offset // 3
        last = (offset + length + 2) // 3
        piece = b64decode(text[start + 4 * first : start + 4 * last])
        return piece[offset - 3 * first :][:length]

    return read


def image_size(read: Read) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, JPEG, GIF or WEBP; None where its header does not say."""
    head = read(0, 32)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _both(head[16:20], head[20:24], "big")
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _both(head[6:8], head[8:10], "little")
    if head.startswith(b"\xff\xd8"):
        return _jpeg(read)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(head)
    return None


def sound_seconds(read: Read, size_bytes: int) -> float | None:
    """Of a WAV file of `size_bytes`: the longest it can be at the rate it says; None where it says
    nothing that can be true, or is packed in a way whose length nobody sees."""
    if read(0, 4) != b"RIFF" or read(8, 4) != b"WAVE":
        return None
    at, bytes_per_s = 12, 0.0
    for _ in range(_CHUNKS_MAX):
        head = read(at, 8)
        if len(head) < 8:
            return None
        if head[:4] == b"data":
            # To the end of the file, whatever the chunk says: some readers believe it, some do not.
            return (size_bytes - at - 8) / bytes_per_s if bytes_per_s else None
        if head[:4] == b"fmt ":
            bytes_per_s = _rate(read(at + 8, 16))
        size = int.from_bytes(head[4:8], "little")
        at += 8 + size + size % 2
    return None


def _rate(form: bytes) -> float:
    """Bytes a second, by what the samples are; 0 where it is not known."""
    kind, channels, frames_per_s, _, align, bits = (
        int.from_bytes(form[at:end], "little")
        for at, end in ((0, 2), (2, 4), (4, 8), (8, 12), (12, 14), (14, 16))
    )
    return frames_per_s * min(align, channels * bits / 8) if kind in _UNPACKED else 0


def _jpeg(read: Read) -> tuple[int, int] | None:
    """From marker to marker, until the one that begins the frame."""
    at = 2
    for _ in range(_SEGMENTS_MAX):
        head = read(at, 9)
        if len(head) < 9 or head[0] != 0xFF:
            return None
        marker = head[1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            return _both(head[7:9], head[5:7], "big")
        else:
            length = int.from_bytes(head[2:4], "big")
            if length < 2:
                return None
            at += 2 + length
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8 ":
            size = _both(head[26:28], head[28:30], "little")
            return size and (size[0] & 0x3FFF, size[1] & 0x3FFF)
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width, height = head[24:27], head[27:30]
            return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    return None


def _both(width: bytes, height: bytes, order: str) -> tuple[int, int] | None:
    if not width or len(width) != len(height):
        return None
    if order == "big":
        return int.from_bytes(width, "big"), int.from_bytes(height, "big")
    return int.from_bytes(width, "little"), int.from_bytes(height, "little")
