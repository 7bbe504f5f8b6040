"""What is set aside for images and sound is never below the rule, however they are written."""

import base64
import io
import json
import struct
from math import ceil
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from portico.dialects.openai_chat.parse import parse
from portico.pricing.counter import input_tokens_max
from portico.pricing.media import (
    IMAGE_TOKENS_MIN,
    WINDOW_TOKENS,
    image_bound,
    media_bounds,
    sound_bound,
)


def png(width: int, height: int) -> bytes:
    """Only its header, which is all that is looked at."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(5)


def url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def chat(*urls: str, text: str = "x") -> Any:
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": each}} for each in urls]
    said = [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]
    return parse(json.dumps({"model": "m", "messages": said}).encode(), {})


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_an_image_is_bounded_by_its_pixels_and_never_below_the_least(w: int, h: int) -> None:
    bound = image_bound(url(png(w, h)))
    assert bound == IMAGE_TOKENS_MIN + ceil(w / 14) * ceil(h / 14)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]))
@settings(deadline=None, max_examples=40)
def test_the_same_for_real_files(w: int, h: int, kind: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (w, h)).save(out, kind)
    assert image_bound(url(out.getvalue())) == IMAGE_TOKENS_MIN + ceil(w / 14) * ceil(h / 14)


def test_a_tiny_file_is_not_taken_for_a_tiny_image() -> None:
    """One token for each character of base64, as before, was far too little here."""
    out = io.BytesIO()
    Image.new("1", (4_000, 4_000)).save(out, "PNG")
    made = url(out.getvalue())
    assert image_bound(made) > 80_000 > len(made)


@given(st.binary(min_size=1, max_size=400))
def test_an_image_that_cannot_be_read_is_bounded_by_its_characters(data: bytes) -> None:
    made = url(b"\xff\xd8\xff" + data)
    assert image_bound(made) >= IMAGE_TOKENS_MIN


def test_sound_is_taken_in_whole_windows() -> None:
    assert sound_bound(base64.b64encode(bytes(1_000)).decode(), "mp3") >= WINDOW_TOKENS
    hour = sound_bound(base64.b64encode(bytes(3_600_000)).decode(), "mp3")
    assert hour >= 3_600 * 50


def test_the_bound_of_a_request_is_its_text_and_its_media() -> None:
    prompt = chat(url(png(140, 140)), url(png(14, 14)))
    images = 2 * IMAGE_TOKENS_MIN + 100 + 1
    assert media_bounds(prompt) == {"image": images}
    text = len(prompt.body) - sum(prompt.media_characters.values())
    assert input_tokens_max(prompt, None) == text + images


@given(st.integers(1, 200_000), st.integers(1, 5_000))
@settings(deadline=None, max_examples=30)
def test_no_prompt_is_longer_than_the_context(context: int, letters: int) -> None:
    prompt = chat(text="a" * letters)
    assert input_tokens_max(prompt, context) == min(context, len(prompt.body))
