"""Sizes by header: what a real decoder says, and never an exception for what is none."""

import io
import wave
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from portico.dialects.pixels import base64_reader, image_size, sound_seconds

SIZES = st.tuples(st.integers(1, 400), st.integers(1, 400))
FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}),
    ("GIF", {}),
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"exif": b"Exif\x00\x00" + bytes(60_000)}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"lossless": False}),
    ("WEBP", {"lossless": False, "exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"}),
]


def encoded(kind: str, size: tuple[int, int], how: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size).save(out, kind, **how)
    return out.getvalue()


def measured(data: bytes) -> tuple[int, int] | None:
    return image_size(base64_reader("data:," + b64encode(data).decode(), 6))


@pytest.mark.parametrize(("kind", "how"), FORMATS, ids=str)
@given(SIZES)
@settings(deadline=None, max_examples=15)
def test_a_size_is_what_a_decoder_says(
    kind: str, how: dict[str, Any], size: tuple[int, int]
) -> None:
    assert measured(encoded(kind, size, how)) == size


def test_tables_before_the_frame_are_no_frame() -> None:
    data = encoded("JPEG", (37, 41), {})
    for marker in (0xC4, 0xC8, 0xCC, 0xDB, 0xE1, 0xFE):
        segment = bytes((0xFF, marker, 0, 12)) + bytes(range(10))
        assert measured(data[:2] + segment + b"\xff\xff" + data[3:]) == (37, 41)


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(1, 64))
def test_base64_is_read_at_any_place(data: bytes, offset: int, length: int) -> None:
    assert base64_reader(b64encode(data).decode())(offset, length) == data[offset:][:length]


@pytest.mark.parametrize(("kind", "how"), FORMATS, ids=str)
def test_half_a_file_has_its_size_or_none(kind: str, how: dict[str, Any]) -> None:
    data = encoded(kind, (37, 41), how)
    for end in [*range(60), *range(60, len(data), 97)]:
        assert measured(data[:end]) in (None, (37, 41), (0, 0)) or end < 32


@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF0000WEBPVP8 "]),
    st.binary(max_size=200),
)
def test_anything_is_a_size_or_none(head: bytes, rest: bytes) -> None:
    size = measured(head + rest)
    assert size is None or min(size) >= 0
    seconds = sound_seconds(
        base64_reader(b64encode(b"RIFF0000WAVE" + rest).decode()), 12 + len(rest)
    )
    assert seconds is None or seconds >= 0


def sound(frames: int, rate: int, channels: int, width: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(rate)
        written.writeframes(bytes(frames * channels * width))
    return out.getvalue()


def lasts(data: bytes) -> float | None:
    return sound_seconds(base64_reader(b64encode(data).decode()), len(data))


@given(st.integers(0, 5_000), st.integers(1, 96_000), st.integers(1, 3), st.integers(1, 4))
@settings(deadline=None)
def test_a_sound_lasts_as_long_as_its_frames(
    frames: int, rate: int, channels: int, width: int
) -> None:
    found = lasts(sound(frames, rate, channels, width))
    assert found is not None
    assert frames / rate <= found <= (frames + 1) / rate


@pytest.mark.parametrize(
    ("at", "lie"),
    [
        (40, b"\x02\x00\x00\x00"),  # the data is said to be 2 bytes
        (40, b"\xff\xff\xff\xff"),  # or to go on for ever
        (32, b"\xff\xff"),  # a frame is said to be larger than its samples
        (28, b"\xff\xff\xff\xff"),  # so many bytes a second
    ],
)
def test_a_header_cannot_make_a_sound_shorter(at: int, lie: bytes) -> None:
    data = sound(8_000, 8_000, 1, 2)
    found = lasts(data[:at] + lie + data[at + len(lie) :])
    assert found is not None
    assert found >= 1


def test_a_packed_sound_has_no_length_that_is_seen() -> None:
    data = sound(100, 8_000, 1, 2)
    assert lasts(data[:20] + b"\x55\x00" + data[22:]) is None  # MP3 inside WAV
