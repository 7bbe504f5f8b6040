import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from portico import errors
from portico.door.intake.decoding import codings_of, decoded

pytestmark = pytest.mark.anyio

LIMIT_BYTES = 8_388_608


def bare_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


def streamed_zstd(data: bytes) -> bytes:
    """Without the size in its header, as a client that streams writes it."""
    compress = zstandard.ZstdCompressor().compressobj()
    return compress.compress(data) + compress.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip in two members": ("gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without wrapper": ("deflate", bare_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
    "zstd streamed": ("zstd", streamed_zstd),
}


async def code_of(body: bytes, coding: str, limit_bytes: int = LIMIT_BYTES) -> str:
    with pytest.raises(errors.Refusal) as refused:
        await decoded(body, coding.encode(), limit_bytes, allowed=True)
    return refused.value.code


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [0, 1, 1_000, 3_000_000])
async def test_what_was_encoded_is_decoded(name: str, size: int) -> None:
    coding, encode = ENCODERS[name]
    body = bytes(range(251)) * (size // 251) + b"x" * (size % 251)
    assert await decoded(encode(body), coding.encode(), LIMIT_BYTES, allowed=True) == body


@pytest.mark.parametrize("name", ENCODERS)
async def test_a_bomb_is_refused_at_the_limit_and_never_held(name: str) -> None:
    coding, encode = ENCODERS[name]
    bomb = encode(b"\0" * 30_000_000)
    tracemalloc.start()
    try:
        assert await code_of(bomb, coding, 1_000_000) == "body_too_large"
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ENCODERS)
async def test_exactly_the_limit_fits_and_one_more_byte_does_not(name: str) -> None:
    coding, encode = ENCODERS[name]
    body = b"a" * 10_000
    assert await decoded(encode(body), coding.encode(), 10_000, allowed=True) == body
    assert await code_of(encode(body), coding, 9_999) == "body_too_large"


@pytest.mark.parametrize("name", ENCODERS)
async def test_a_damaged_body_is_corrupt_wherever_it_is_cut(name: str) -> None:
    coding, encode = ENCODERS[name]
    whole = encode(b"some text that is long enough to be cut anywhere" * 3)
    for cut in range(len(whole)):
        if name == "gzip in two members" and cut == len(gzip.compress(b"some ")):
            continue  # the first member alone is a whole gzip file
        assert await code_of(whole[:cut], coding) == "corrupt_encoding", cut
    assert await code_of(b"not compressed at all, and long enough", coding) == "corrupt_encoding"


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "zstd"]))
async def test_any_bytes_are_decoded_or_refused(body: bytes, coding: str) -> None:
    try:
        await decoded(body, coding.encode(), 1_000, allowed=True)
        code = ""
    except errors.Refusal as refusal:
        code = refusal.code
    assert code in ("", "corrupt_encoding", "body_too_large")


async def test_several_codings_are_taken_off_in_reverse() -> None:
    body = brotli.compress(gzip.compress(b"text"))
    assert await decoded(body, b"gzip, br", LIMIT_BYTES, allowed=True) == b"text"
    assert await decoded(b"text", b"identity", LIMIT_BYTES, allowed=True) == b"text"


@pytest.mark.parametrize("said", [b"compress", b"gzip, aes128gcm", b"gzip,gzip,gzip,gzip", b"\xff"])
def test_an_unknown_coding_is_refused_and_named(said: bytes) -> None:
    with pytest.raises(errors.Refusal) as refused:
        codings_of(said, allowed=True)
    assert refused.value.code == "unsupported_encoding"
    assert refused.value.limit == ["br", "deflate", "gzip", "zstd"]


async def test_the_operator_can_switch_it_off() -> None:
    with pytest.raises(errors.Refusal) as refused:
        await decoded(gzip.compress(b"x"), b"gzip", LIMIT_BYTES, allowed=False)
    assert refused.value.code == "unsupported_encoding"
    assert await decoded(b"x", b"identity", LIMIT_BYTES, allowed=False) == b"x"
