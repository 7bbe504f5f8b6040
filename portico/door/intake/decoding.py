"""Request bodies in gzip, deflate, br and zstd, never larger than allowed once decoded."""

import asyncio
import zlib
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

import brotli  # type: ignore[import-untyped]  # ships no types
import zstandard

from portico import errors
from portico.door.visits.carrier import Carrier

_INLINE_SENT_BYTES_MAX = 65_536
_INLINE_DECODED_BYTES_MAX = 1_048_576
"""Beyond either, decoding would hold up every other stream on the loop for milliseconds."""

_threads = ThreadPoolExecutor(2, thread_name_prefix="decoding")
"""So many bombs unpack at once, however many have come."""
_LAYERS_MAX = 3
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd"}


class _TooLarge(Exception):
    pass


class _Corrupt(Exception):
    pass


def body_of(exchange: Carrier, limit_bytes: int, *, compression: bool) -> Awaitable[bytes]:
    """The whole body, decoded.

    Raises: Refusal: body_too_large, body_timeout, unsupported_encoding, corrupt_encoding; Left.
    """
    coding = exchange.headers.get(b"content-encoding")
    if coding is None:
        return exchange.body(limit_bytes)
    return _decoded_body(exchange, coding, limit_bytes, allowed=compression)


async def _decoded_body(
    exchange: Carrier, coding: bytes, limit_bytes: int, *, allowed: bool
) -> bytes:
    return await decoded(await exchange.body(limit_bytes), coding, limit_bytes, allowed=allowed)


async def decoded(
    body: bytes, content_encoding: bytes, limit_bytes: int, *, allowed: bool
) -> bytes:
    """`body` without its content codings.

    Raises: Refusal: unsupported_encoding, corrupt_encoding, body_too_large (decoded).
    """
    codings = codings_of(content_encoding, allowed=allowed)
    if not codings:
        return body
    try:
        return await _decoded(body, codings, limit_bytes)
    except _TooLarge:
        raise errors.BODY_TOO_LARGE(
            f"The body is larger than {limit_bytes} bytes once decoded.", limit=limit_bytes
        ) from None
    except _Corrupt:
        raise errors.CORRUPT_ENCODING(
            f"The body is not valid {', '.join(codings)}.", field="Content-Encoding"
        ) from None


async def _decoded(body: bytes, codings: list[str], limit_bytes: int) -> bytes:
    """Small ones here, others on a thread.  Raises: _TooLarge, _Corrupt."""
    inline_bytes = min(limit_bytes, _INLINE_DECODED_BYTES_MAX)
    if len(body) <= _INLINE_SENT_BYTES_MAX:
        try:
            return decode(body, codings, inline_bytes)
        except _TooLarge:
            if inline_bytes == limit_bytes:
                raise
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, decode, body, codings, limit_bytes)


def codings_of(content_encoding: bytes, *, allowed: bool) -> list[str]:
    """The codings in the order they were applied, `identity` left out.

    Raises: Refusal: unsupported_encoding.
    """
    codings: list[str] = []
    for part in content_encoding.decode("latin-1").lower().split(","):
        name = part.strip()
        if name in ("", "identity"):
            continue
        if name not in _NAMES or not allowed or len(codings) == _LAYERS_MAX:
            raise errors.UNSUPPORTED_ENCODING(
                f"Content-Encoding {content_encoding[:200].decode('latin-1')!r} is not accepted "
                "here.",
                field="Content-Encoding",
                limit=sorted(set(_NAMES.values())) if allowed else [],
                remedy="" if allowed else "Send the body uncompressed.",
            )
        codings.append(_NAMES[name])
    return codings


def decode(body: bytes, codings: list[str], limit_bytes: int) -> bytes:
    """Raises: _TooLarge, _Corrupt."""
    try:
        for coding in reversed(codings):
            body = _DECODERS[coding](body, limit_bytes)
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        raise _Corrupt from error
    return body


def _inflated(body: bytes, limit_bytes: int, window_bits: int) -> tuple[bytes, bytes]:
    """One member, and what follows it."""
    inflate = zlib.decompressobj(window_bits)
    whole = inflate.decompress(body, limit_bytes + 1)
    if len(whole) > limit_bytes:
        raise _TooLarge
    if not inflate.eof:
        raise _Corrupt
    return whole, inflate.unused_data


def _gzip(body: bytes, limit_bytes: int) -> bytes:
    members = []
    left_bytes = limit_bytes
    while body:
        member, body = _inflated(body, left_bytes, 31)
        members.append(member)
        left_bytes -= len(member)
    if not members:
        raise _Corrupt
    return b"".join(members)


def _deflate(body: bytes, limit_bytes: int) -> bytes:
    """RFC 9110 means the zlib wrapper; some clients send the bare stream."""
    wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    whole, rest = _inflated(body, limit_bytes, 15 if wrapped else -15)
    if rest:
        raise _Corrupt
    return whole


def _brotli(body: bytes, limit_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    parts = [decoder.process(body, output_buffer_limit=limit_bytes + 1)]
    size_bytes = len(parts[0])
    while not decoder.can_accept_more_data() and size_bytes <= limit_bytes:
        parts.append(decoder.process(b"", output_buffer_limit=limit_bytes + 1 - size_bytes))
        size_bytes += len(parts[-1])
    if size_bytes > limit_bytes:
        raise _TooLarge
    if not decoder.is_finished():
        raise _Corrupt
    return b"".join(parts)


def _zstd(body: bytes, limit_bytes: int) -> bytes:
    """A bounded look first: the whole frame is decoded only once its size is known to be fine."""
    decoder = zstandard.ZstdDecompressor(max_window_size=8 * 1_048_576)
    with decoder.stream_reader(body) as reader:
        if len(reader.read(limit_bytes + 1)) > limit_bytes:
            raise _TooLarge
    whole = decoder.decompressobj()
    data = whole.decompress(body)
    if not whole.eof or whole.unused_data:
        raise _Corrupt
    return data


_DECODERS = {"gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd}
