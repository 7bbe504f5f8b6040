"""What has to be done to a picture, and what is said of a file nothing can be made of.  Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from math import sqrt

from portico import errors
from portico.media.model import Problem, Refused

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
"""Pillow's names of all that is ever decoded."""
MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with more pictures behind the first
    "GIF": "image/gif",
    "WEBP": "image/webp",
}
_PLAIN = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
_SIDE_MAX = 8_192
_POINTS_PER_INCH = 72
_DPI_MAX = 150


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a picture, as Pillow tells them.

    turned: it says that it is to be shown turned or mirrored.  moving: it has several frames.
    deep: it has 16 bits for each channel.  clear: one colour of its palette is transparent.
    """

    form: str
    mode: str
    width: int
    height: int
    turned: bool = False
    moving: bool = False
    deep: bool = False
    clear: bool = False


def stays(facts: Facts, taken: Collection[str], pixels_sent_max: int) -> bool:
    """May the engine get the very bytes that came?  Then a picture sent again is the same picture
    to its prefix cache, and keeps what its maker wrote into it.

    Everything else is made anew: what the engine does not take, or takes and each decoder reads
    differently (many frames, CMYK, 16 bits, a transparent colour in a palette, a turn that only
    some obey), or has too many pixels.
    """
    plain = facts.mode in _PLAIN and not (facts.deep or facts.turned or facts.moving)
    odd = facts.clear and facts.form != "GIF"  # of a GIF it is the usual form
    return (
        plain
        and not odd
        and facts.form != "MPO"
        and MEDIA_TYPES[facts.form] in taken
        and facts.width * facts.height <= pixels_sent_max
    )


def shrunk(width: int, height: int, pixels_max: int) -> tuple[int, int]:
    """The size with at most so many pixels and nearly the same shape."""
    if width * height <= pixels_max:
        return width, height
    scale = sqrt(pixels_max / (width * height))
    small = max(1, int(min(width, height) * scale))
    large = max(1, min(int(max(width, height) * scale), pixels_max // small))
    return (large, small) if width >= height else (small, large)


def page_scale(width: float, height: float, pixels_max: int) -> float:
    """Pixels for each point of a page; 0 for a page without a surface."""
    if not (width > 0 and height > 0):
        return 0.0
    return min(
        _DPI_MAX / _POINTS_PER_INCH,
        sqrt(pixels_max / (width * height)),
        _SIDE_MAX / max(width, height),
    )


_SAID: dict[Problem, str] = {
    "broken": "is not whole, or not what it says it is: it cannot be decoded",
    "characters": "holds {value} characters of text; at most {limit} are read",
    "crashed": "cannot be decoded: its decoder broke, or ran out of memory",
    "encrypted": "is encrypted, and opens only with a password",
    "memory": "takes more than {limit} bytes of memory to decode",
    "page_broken": "cannot be read: its page {value} is damaged",
    "pages": "has {value} pages; at most {limit} are read",
    "pixels": "has {value} pixels; at most {limit} are decoded",
    "time": "takes longer than {limit:g} s to decode",
}
_REMEDIES: dict[Problem, str] = {
    "characters": "Send fewer pages.",
    "encrypted": "Send it without a password: print it to a new PDF file, for example.",
    "page_broken": "Print it to a new PDF file and send that.",
    "pages": "Send fewer pages.",
    "pixels": "Send it with fewer pixels.",
}
_SIZES = frozenset({"characters", "memory", "pages", "pixels", "time"})


def refusal(field: str, refused: Refused) -> errors.Refusal:
    """invalid_media (400) or media_too_large (413), to be raised."""
    problem, value, limit = refused.problem, refused.value, refused.limit
    said = _SAID[problem].format(value=value, limit=limit)
    entry = errors.MEDIA_TOO_LARGE if problem in _SIZES else errors.INVALID_MEDIA
    return entry(
        f"{field!r} {said}.",
        field=field,
        value=problem if value is None else value,
        limit=limit,
        remedy=_REMEDIES.get(problem, ""),
    )
