"""What the decoder makes of files that are whole."""

import io
from base64 import b64decode

import pytest
from PIL import Image

from portico.media.model import Kept, Made, Page, Pages, Paper, Picture, Refused, Reply
from portico.media.service import Decoders
from tests.media.corpus import base64, moving, pdf, picture

pytestmark = pytest.mark.anyio

TAKEN = ("image/jpeg", "image/png")
ORIENTATION = 0x0112


async def seen(decoders: Decoders, data: bytes, sent_max: int = 10_000_000) -> Reply:
    return await decoders.ask(Picture(base64(data), TAKEN, 25_000_000, sent_max))


async def made(decoders: Decoders, data: bytes, sent_max: int = 10_000_000) -> Image.Image:
    reply = await seen(decoders, data, sent_max)
    assert isinstance(reply, Made), reply
    image = Image.open(io.BytesIO(b64decode(reply.data)), formats=("PNG", "JPEG"))
    assert Image.MIME[image.format or ""] == reply.media_type
    return image


async def read(decoders: Decoders, data: bytes, images_max: int = 0) -> Reply:
    return await decoders.ask(Paper(base64(data), 100, 10_000, images_max, 100_000))


@pytest.mark.parametrize(
    ("mode", "form"),
    [("RGB", "PNG"), ("RGBA", "PNG"), ("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("RGB", "JPEG")],
)
async def test_an_ordinary_picture_stays_as_it_is(decoders: Decoders, mode: str, form: str) -> None:
    assert await seen(decoders, picture(mode, form=form)) == Kept()


async def test_a_format_that_is_not_taken_is_made_one_that_is(decoders: Decoders) -> None:
    whole = await made(decoders, picture("RGB", form="WEBP", lossless=True, colour=(200, 10, 30)))
    assert (whole.format, whole.getpixel((5, 5))) == ("PNG", (200, 10, 30))
    photo = await made(decoders, picture("RGB", form="WEBP"))
    assert photo.format == "JPEG"
    clear = await made(decoders, picture("RGBA", form="WEBP", lossless=True))
    assert (clear.format, clear.mode) == ("PNG", "RGBA")
    still = await made(decoders, picture("P", form="GIF"))
    assert still.format == "PNG"


async def test_inks_become_light(decoders: Decoders) -> None:
    image = await made(decoders, picture("CMYK", form="JPEG", colour=(0, 0, 0, 255)))
    assert (image.format, image.mode) == ("JPEG", "RGB")


async def test_sixteen_bits_become_eight(decoders: Decoders) -> None:
    image = await made(decoders, picture("I;16", colour=0x8040))
    assert (image.mode, image.getpixel((0, 0))) == ("L", 0x80)


async def test_a_clear_colour_of_a_palette_becomes_a_channel(decoders: Decoders) -> None:
    image = await made(decoders, picture("P", transparency=0))
    assert (image.mode, image.getpixel((0, 0))[3]) == ("RGBA", 0)  # type: ignore[index]  # of four


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
async def test_of_what_moves_the_first_frame_is_sent(decoders: Decoders, form: str) -> None:
    reply = await seen(decoders, moving(3, form))
    assert isinstance(reply, Made)
    assert reply.still
    image = Image.open(io.BytesIO(b64decode(reply.data))).convert("RGB")
    assert max(image.getpixel((2, 2))) < 40  # type: ignore[arg-type,type-var]  # three bytes


async def test_a_turned_picture_is_turned_and_says_nothing_more(decoders: Decoders) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010F] = "maker"
    image = await made(decoders, picture("RGB", (40, 20), "JPEG", exif=exif))
    assert image.size == (20, 40)
    assert dict(image.getexif()) == {}
    assert "exif" not in image.info


@pytest.mark.parametrize(("mode", "form"), [("CMYK", "JPEG"), ("RGB", "WEBP"), ("P", "GIF")])
async def test_what_is_made_anew_holds_nothing_but_its_pixels(
    decoders: Decoders, mode: str, form: str
) -> None:
    said = {"comment": b"at home", "icc_profile": b"at home" * 30, "xmp": b"at home", "dpi": (7, 7)}
    data = picture(mode, form=form, **said)
    assert b"at home" in data
    image = await made(decoders, data)
    assert not {"comment", "icc_profile", "xmp", "dpi", "exif"} & image.info.keys()


async def test_a_picture_that_stays_keeps_what_it_says_of_itself(decoders: Decoders) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    assert await seen(decoders, picture(form="JPEG", exif=exif)) == Kept()


async def test_too_many_pixels_for_the_engine_are_made_fewer(decoders: Decoders) -> None:
    for form in ("PNG", "JPEG", "WEBP"):
        reply = await seen(decoders, picture("RGB", (400, 200), form), 20_000)
        assert isinstance(reply, Made)
        assert reply.shrunk
        image = Image.open(io.BytesIO(b64decode(reply.data)))
        assert image.size == (200, 100)


async def test_the_same_file_gives_the_same_bytes(decoders: Decoders) -> None:
    for data in (moving(3), picture("CMYK", form="JPEG")):
        assert await seen(decoders, data) == await seen(decoders, data)
    paper = pdf("once", "twice")
    assert await read(decoders, paper, 2) == await read(decoders, paper, 2)


async def test_only_the_four_formats_are_decoded(decoders: Decoders) -> None:
    for form in ("BMP", "TIFF", "PPM", "ICO", "PCX"):
        assert await seen(decoders, picture("RGB", form=form)) == Refused("broken")


async def test_pages_of_a_paper_are_text(decoders: Decoders) -> None:
    reply = await read(decoders, pdf("Hello there", "General"))
    assert reply == Pages([Page("Hello there"), Page("General")])


async def test_pages_are_shown_as_far_as_is_asked(decoders: Decoders) -> None:
    reply = await read(decoders, pdf("a", "b", "c"), images_max=2)
    assert isinstance(reply, Pages)
    first, second, third = reply.pages
    assert second.image
    assert not third.image
    image = Image.open(io.BytesIO(b64decode(first.image)))
    assert image.format == "JPEG"
    assert image.size == (417, 209)  # 200 x 100 points at 150 dots per inch, rounded up
    darkest, _ = image.convert("L").getextrema()
    assert darkest < 100  # type: ignore[operator]  # of one channel; the word was drawn


async def test_what_stands_beside_the_page_is_not_read(decoders: Decoders) -> None:
    assert await read(decoders, pdf("seen", size="0 0 5 5")) == Pages([Page("")])


@pytest.mark.parametrize(
    ("pages", "refused"),
    [
        (["x"] * 101, Refused("pages", 101, 100)),
        (["y" * 6_000] * 2, Refused("characters", 12_000, 10_000)),
    ],
)
async def test_too_much_of_a_paper_is_refused(
    decoders: Decoders, pages: list[str], refused: Refused
) -> None:
    assert await read(decoders, pdf(*pages, size="0 0 90000 100")) == refused
