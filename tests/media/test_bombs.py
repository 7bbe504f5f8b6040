"""Files that are made to hurt: each is refused by name, and hurts nobody else."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from portico.media.child import Child, start_child
from portico.media.model import Job, Kept, Limits, Made, Pages, Paper, Picture, Problem, Refused
from portico.media.service import Decoders
from tests.media.corpus import (
    base64,
    blank_png,
    locked_pdf,
    looped_pdf,
    lying_png,
    many_frames,
    moving,
    pdf,
    pdf_with,
    pdf_with_image,
    picture,
    strewn_pdf,
)

pytestmark = pytest.mark.anyio

MIB = 1_048_576
LIMITS = Limits()
HURRIED = Limits(timeout_s=2.0)
RISE_BYTES_MAX = 300_000_000
"""Of a decoder's memory, whatever it is sent."""


def a_picture(data: bytes) -> Job:
    return Picture(
        base64(data),
        ("image/gif", "image/jpeg", "image/png"),
        LIMITS.pixels_max,
        LIMITS.pixels_sent_max,
    )


def a_paper(data: bytes) -> Job:
    return Paper(base64(data), LIMITS.pages_max, LIMITS.characters_max, 3, LIMITS.page_pixels_max)


REFUSED: dict[str, tuple[Callable[[], Job], set[Problem]]] = {
    "64 million pixels": (lambda: a_picture(blank_png(8_000, 8_000)), {"pixels"}),
    "a small header and 200 MB behind it": (
        lambda: a_picture(lying_png(10, 10, 200_000_000)),
        {"broken"},
    ),
    "a JPEG cut off": (lambda: a_picture(picture("RGB", (300, 300), "JPEG")[:700]), {"broken"}),
    "a PNG cut off": (lambda: a_picture(picture("RGBA", (300, 300))[:150]), {"broken"}),
    "a GIF cut off": (lambda: a_picture(moving(2)[:30]), {"broken"}),
    "a WEBP cut off": (lambda: a_picture(picture("RGB", form="WEBP")[:40]), {"broken"}),
    "no picture": (lambda: a_picture(b"\x89PNG\r\n\x1a\n" + bytes(40)), {"broken"}),
    "a stream of 100 MiB of one word": (
        lambda: a_paper(pdf_with(b"(" + b"a" * 100 * MIB + b") Tj")),
        {"crashed", "memory", "time"},
    ),
    "five million levels": (lambda: a_paper(pdf_with(b"q " * 5_000_000)), {"crashed", "time"}),
    "half a million lines": (
        lambda: a_paper(pdf_with(b"0 0 m 100 100 l S " * 500_000)),
        {"time"},
    ),
    "10,000 pages": (lambda: a_paper(pdf(*["x"] * 10_000)), {"pages"}),
    "a tree that is its own child": (lambda: a_paper(looped_pdf()), {"page_broken", "broken"}),
    "a table of nothing": (lambda: a_paper(strewn_pdf()), {"broken"}),
    "a password": (lambda: a_paper(locked_pdf()), {"encrypted"}),
    "no paper": (lambda: a_paper(b"%PDF-1.7 and so on"), {"broken"}),
    "nothing": (lambda: a_paper(b""), {"broken"}),
}
TAKEN: dict[str, Callable[[], Job]] = {
    "10,000 frames": lambda: a_picture(many_frames(10_000)),
    "25 million pixels": lambda: a_picture(blank_png(5_000, 5_000)),
    "a stream of 100 MiB of moves": lambda: a_paper(pdf_with(b"0 0 m " * (100 * MIB // 6))),
    "an image of 432 MB": lambda: a_paper(pdf_with_image(12_000)),
    "a page as large as a town": lambda: a_paper(pdf("x", size="0 0 1000000 1000000")),
}


def peak_bytes(child: Child) -> int:
    for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError


class Watched:
    """Starts decoders and remembers them."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    async def __call__(self, limits: Limits) -> Child:
        self.children.append(await start_child(limits))
        return self.children[-1]


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_by_name_and_the_next_file_is_read(name: str) -> None:
    make, problems = REFUSED[name]
    decoders = Decoders(HURRIED)
    try:
        said = await decoders.ask(make())
        assert isinstance(said, Refused), said
        assert said.problem in problems
        assert await decoders.ask(a_picture(picture())) == Kept()
        assert decoders.started <= 2
    finally:
        await decoders.close()


@pytest.mark.parametrize(
    "name", [*TAKEN, "64 million pixels", "a small header and 200 MB behind it"]
)
async def test_its_decoder_stays_small(name: str) -> None:
    watched = Watched()
    decoders = Decoders(LIMITS, watched)
    try:
        assert await decoders.ask(a_picture(picture())) == Kept()
        (child,) = watched.children
        before = peak_bytes(child)
        make = TAKEN[name] if name in TAKEN else REFUSED[name][0]
        said = await decoders.ask(make())
        assert isinstance(said, Kept | Made | Pages if name in TAKEN else Refused), said
        assert child.alive
        assert peak_bytes(child) - before <= RISE_BYTES_MAX
    finally:
        await decoders.close()


async def test_what_needs_more_memory_than_there_is_is_refused() -> None:
    tight = Decoders(Limits(memory_bytes=64 * MIB))
    try:
        said = await tight.ask(a_picture(picture("RGBA", (4_900, 4_900))))
        assert said == Refused("memory", None, 64 * MIB)
        assert await tight.ask(a_picture(picture())) == Kept()
        assert tight.started == 1
    finally:
        await tight.close()


@pytest.mark.parametrize("seed", range(4))
async def test_damaged_in_any_place_a_file_is_read_or_refused(seed: int) -> None:
    """Nothing else can be said of it, and the decoder is there for the next."""
    chance = random.Random(seed)
    whole: list[tuple[Callable[[bytes], Job], bytes]] = [
        *((a_picture, picture(mode, form=form)) for mode, form in WHOLE),
        (a_picture, moving(3)),
        (a_picture, moving(3, "WEBP")),
        (a_paper, pdf("one", "two")),
        (a_paper, pdf_with(b"BT /F 12 Tf 10 50 Td (packed) Tj ET")),
    ]
    decoders = Decoders(HURRIED)
    try:
        for make, data in whole * 6:
            said = await decoders.ask(make(damaged(data, chance)))
            assert isinstance(said, Kept | Made | Pages | Refused)
        assert await decoders.ask(a_picture(picture())) == Kept()
    finally:
        await decoders.close()


WHOLE = [("RGB", "PNG"), ("P", "PNG"), ("RGB", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "WEBP")]


def damaged(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(12, len(changed))
        match chance.randrange(3):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at : at + chance.randrange(1, 20)]
            case _:
                changed[at:at] = chance.randbytes(chance.randrange(1, 20))
        if len(changed) < 14:
            break
    return bytes(changed)
