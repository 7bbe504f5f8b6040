"""What a decoder is asked, and what it says.  Written as MessagePack between the two processes."""

from typing import Literal

from msgspec import Struct

Problem = Literal[
    "broken",
    "characters",
    "crashed",
    "encrypted",
    "memory",
    "page_broken",
    "pages",
    "pixels",
    "time",
]
"""Why nothing was made of a file.

broken: it is not what it says, or not whole.  page_broken: one page of it; `value` is which one.
characters, pages, pixels: `value` is how many it has, `limit` how many it may have.
memory, time, crashed: what it did to the decoder; `limit` is what a decoder may use.
"""


class Limits(Struct, frozen=True):
    """
    pixels_max: of a picture, before it is decoded.  pixels_sent_max: of one an engine gets.
    pages_max, characters_max: of a PDF file and of all its text.
    images_max: pages of it that are shown as pictures; 0 for none.  page_pixels_max: of each.
    sound_s_max: of one sound.
    workers: decoders at once.  timeout_s: for one file.  wait_s: for a free decoder.
    memory_bytes: what a decoder may use for a file, beyond what it needs itself.
    """

    pixels_max: int = 25_000_000
    pixels_sent_max: int = 25_000_000
    pages_max: int = 100
    characters_max: int = 1_000_000
    images_max: int = 20
    page_pixels_max: int = 1_000_000
    sound_s_max: int = 3_600
    workers: int = 1
    timeout_s: float = 10.0
    wait_s: float = 10.0
    memory_bytes: int = 314_572_800


# Jobs
class Picture(Struct, frozen=True, tag="picture"):
    """data: base64.  taken: media types the engine takes.  pixels_max: more are not decoded;
    pixels_sent_max: more are made fewer."""

    data: str
    taken: tuple[str, ...]
    pixels_max: int
    pixels_sent_max: int


class Paper(Struct, frozen=True, tag="paper"):
    """A PDF file.  data: base64.  The rest as in `Limits`."""

    data: str
    pages_max: int
    characters_max: int
    images_max: int
    page_pixels_max: int


Job = Picture | Paper


# Replies
class Kept(Struct, frozen=True, tag="kept"):
    """The picture was decoded and needs no change."""


class Made(Struct, frozen=True, tag="made"):
    """Another file of the same picture.  data: base64.
    still: it moved, and this is where it began.  shrunk: it had more pixels."""

    media_type: str
    data: str
    still: bool
    shrunk: bool


class Page(Struct, frozen=True):
    """image: a JPEG in base64, "" for none."""

    text: str
    image: str = ""


class Pages(Struct, frozen=True, tag="pages"):
    pages: list[Page]


class Refused(Struct, frozen=True, tag="refused"):
    problem: Problem
    value: int | None = None
    limit: int | float | None = None


Reply = Kept | Made | Pages | Refused


class Start(Struct, frozen=True):
    """The first thing a decoder is told.  It answers `Kept` once it is ready."""

    parent_pid: int
    memory_bytes: int
    cpu_s: int
    """Of the processor, for one file."""
