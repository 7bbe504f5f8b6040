"""Pictures and sound at the real engine: they arrive, they count, and broken ones are refused.

The tower has random weights, so nothing is understood; what a picture costs in tokens is real.
"""

import base64
import math
import struct
import zlib
from typing import Any

import pytest

from engines.openai_compatible.prompts import Heard, prompt_of
from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.parse import parse
from portico.door.intake.files import Files
from portico.errors import Refusal
from portico.kit.leaving import Leaving
from portico.media.model import Limits
from portico.media.service import Decoders
from portico.routing.model import Deployment
from tests.media.corpus import base64 as in_base64
from tests.media.corpus import moving, pdf, picture

from .tower import IMAGE_TOKENS

pytestmark = pytest.mark.anyio

RED, BLUE = (255, 0, 0), (0, 0, 255)
SAMPLES_PER_S = 16_000


def png(colour: tuple[int, int, int], side: int = 8) -> bytes:
    def piece(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(colour) * side for _ in range(side))
    pieces = piece(b"IHDR", head) + piece(b"IDAT", zlib.compress(rows)) + piece(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + pieces


def wav(seconds: float) -> bytes:
    count = int(seconds * SAMPLES_PER_S)
    sound = b"".join(
        struct.pack("<h", int(8_000 * math.sin(440 * math.tau * at / SAMPLES_PER_S)))
        for at in range(count)
    )
    form = struct.pack("<IHHIIHH", 16, 1, 1, SAMPLES_PER_S, 2 * SAMPLES_PER_S, 2, 16)
    length = struct.pack("<I", 36 + len(sound))
    return b"RIFF" + length + b"WAVEfmt " + form + b"data" + struct.pack("<I", len(sound)) + sound


def image(data: bytes) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def sound(data: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    return {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}


async def asked(seeing: Any, *parts: dict[str, Any]) -> Heard:
    """Checked by the dialect, as the door would, then generated."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}, *parts]}]
    prompt = prompt_of(messages=messages, max_tokens=8, temperature=0)
    heard = Heard(parse(prompt.body, {}))
    await seeing.engine.generate(parse(prompt.body, {}), heard.relay)
    return heard


async def asked_at_the_door(seeing: Any, *parts: dict[str, Any]) -> Heard:
    """The same, once the door has made of the files what this engine takes."""
    prompt = prompt_of(
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}, *parts]}],
        max_tokens=8,
        temperature=0,
    )
    fitted = await at_the_door(seeing, parse(prompt.body, {}))
    heard = Heard(fitted)
    await seeing.engine.generate(fitted, heard.relay)
    return heard


async def at_the_door(seeing: Any, prompt: Prompt) -> Prompt:
    decoders = Decoders(Limits())
    serving = [Deployment("d", prompt.model, seeing.engine, "us", 0)]
    files = Files(decoders, lambda _, __: serving, bytes_max=10_000_000)
    caller = Caller("key_a", "proj_a", "org_a", "live", 10)
    try:
        return await files.fit(prompt, caller, lambda body: parse(body, {}), Leaving())
    finally:
        await decoders.close()


def text_of(heard: Heard) -> str:
    return "".join(getattr(e, "text", "") for delta in heard.deltas for e in delta.events)


async def test_the_engine_says_that_it_takes_pictures_and_sound(seeing: Any) -> None:
    assert {"image", "audio"} <= seeing.engine.abilities.features


async def test_each_picture_costs_its_tokens(seeing: Any) -> None:
    none = (await asked(seeing)).meters.input_tokens
    one = (await asked(seeing, image(png(RED)))).meters.input_tokens
    two = (await asked(seeing, image(png(RED)), image(png(BLUE)))).meters.input_tokens
    assert (one - none, two - one) == (IMAGE_TOKENS, IMAGE_TOKENS)


async def test_what_is_in_the_picture_reaches_the_model(seeing: Any) -> None:
    red, blue = await asked(seeing, image(png(RED))), await asked(seeing, image(png(BLUE)))
    assert text_of(red) != text_of(blue)


async def test_sound_costs_by_its_length(seeing: Any) -> None:
    none = (await asked(seeing)).meters.input_tokens
    short = (await asked(seeing, sound(wav(1)))).meters.input_tokens - none
    long = (await asked(seeing, sound(wav(40)))).meters.input_tokens - none
    assert (short, long) == (150, 300)  # one, and two, windows of thirty seconds


async def test_a_broken_picture_is_the_callers_fault_and_the_engine_lives_on(seeing: Any) -> None:
    with pytest.raises(Refusal) as caught:
        await asked(seeing, image(b"\x89PNG\r\n\x1a\n" + bytes(30)))
    assert caught.value.status == 400
    assert (await asked(seeing)).over


@pytest.mark.parametrize(
    "data",
    [
        picture("RGB", form="WEBP"),
        picture("CMYK", form="JPEG"),
        picture("I;16"),
        moving(5),
        moving(3, "WEBP"),
    ],
    ids=["webp", "cmyk", "sixteen bits", "moving gif", "moving webp"],
)
async def test_the_door_makes_of_a_picture_what_the_engine_takes(seeing: Any, data: bytes) -> None:
    none = (await asked(seeing)).meters.input_tokens
    heard = await asked_at_the_door(seeing, image(data))
    assert heard.over
    assert heard.meters.input_tokens - none == IMAGE_TOKENS


async def test_without_the_door_the_engine_refuses_a_webp(seeing: Any) -> None:
    with pytest.raises(Refusal):
        await asked(seeing, image(picture("RGB", form="WEBP")))


async def test_a_paper_reaches_the_engine_as_text_and_pages(seeing: Any) -> None:
    none = (await asked(seeing)).meters.input_tokens
    file = {"file_data": in_base64(pdf("one", "two")), "filename": "a.pdf"}
    heard = await asked_at_the_door(seeing, {"type": "file", "file": file})
    words = heard.meters.input_tokens - none - 2 * IMAGE_TOKENS
    assert 0 < words < 2 * len("[a.pdf, page 1 of 2]\none") + 10


async def test_nobody_counts_a_picture_so_a_bound_is_told(seeing: Any) -> None:
    messages = [{"role": "user", "content": [image(png(RED))]}]
    assert await seeing.engine.count(parse(prompt_of(messages=messages).body, {})) is None
