"""The body for an engine that has `/v1/embeddings`, and its answer read."""

from base64 import b64decode
from binascii import Error
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from portico.canon.delta import Delta
from portico.canon.embedding import Embedded, packed
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.dialects.openai_chat import failures
from portico.dialects.openai_chat.chunks import read_untyped
from portico.dialects.openai_embeddings.parse import DIALECT, wants_base64

_FLOAT_BYTES = 4
_QUOTES = 2
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NUMBERS = b"0123456789.eE+-, \t\r\n"
"""What a list of numbers is made of: that it is nothing else is seen without decoding it."""


class _Usage(Struct):
    prompt_tokens: Annotated[int, Meta(ge=0)]


class _Item(Struct):
    """embedding: raw, because most answers are passed on as they are."""

    embedding: msgspec.Raw
    index: int = 0


class _Answer(Struct):
    data: list[_Item]
    usage: _Usage | None = None


_answer = msgspec.json.Decoder(_Answer)
_numbers = msgspec.json.Decoder(list[float])
_text = msgspec.json.Decoder(str)


def body_for(prompt: Prompt, model: str) -> bytes:
    """model: the engine's name for it.  A caller of another dialect gets its vectors written anew,
    so they come the shorter way."""
    if prompt.dialect == DIALECT:
        if model == prompt.model:
            return msgspec.json.encode(prompt.fields)
        return msgspec.json.encode({**prompt.fields, "model": model})
    assert prompt.to_embed is not None
    asked = prompt.to_embed()
    body: dict[str, Any] = {"model": model, "input": asked.inputs, "encoding_format": "base64"}
    if asked.dimensions is not None:
        body["dimensions"] = asked.dimensions
    return msgspec.json.encode(body)


def read_vectors(body: bytes, prompt: Prompt) -> Delta:
    """An engine's answer: as bytes where it is in the form the caller asked for, else as vectors.
    Floats in reply to base64 are silently cut short by an SDK.

    Raises: BrokenAnswer: an error object, or something that is not a vector for each input.
    """
    try:
        answer = _answer.decode(body)
    except (ValueError, RecursionError) as error:
        refusal = failures.error_in(read_untyped(body))
        if refusal is not None:
            raise failures.BrokenAnswer(refusal) from None
        raise failures.malformed(f"an answer that cannot be read ({error})") from None
    assert prompt.to_embed is not None
    wanted = len(prompt.to_embed().inputs)
    if [item.index for item in answer.data] != list(range(wanted)):
        raise failures.malformed(f"{len(answer.data)} vectors, not one for each of {wanted} inputs")
    used = answer.usage
    delta = Delta(
        meters=None if used is None else Meters(input_text=used.prompt_tokens),
        last=True,
        finish="stop",
    )
    if prompt.dialect == DIALECT and _is_as_asked(answer, base64=wants_base64(prompt)):
        delta.raw = body
    else:
        delta.vectors = tuple(Embedded(item.index, _vector(item)) for item in answer.data)
    return delta


def _is_as_asked(answer: _Answer, *, base64: bool) -> bool:
    is_so = _is_base64 if base64 else _is_numbers
    return all(is_so(bytes(item.embedding)) for item in answer.data)


def _is_base64(raw: bytes) -> bool:
    padding = raw.translate(None, _BASE64).count(b"=")
    if raw.translate(None, _BASE64) != b'"%b"' % (b"=" * padding) or len(raw) % 4 != _QUOTES:
        return False
    size_bytes = (len(raw) - _QUOTES) // 4 * 3 - padding
    return size_bytes > 0 and size_bytes % _FLOAT_BYTES == 0


def _is_numbers(raw: bytes) -> bool:
    return raw != b"[]" and raw.translate(None, _NUMBERS) == b"[]"


def _vector(item: _Item) -> bytes:
    """Raises: BrokenAnswer."""
    raw = bytes(item.embedding)
    try:
        if raw[:1] == b"[":
            vector = packed(_numbers.decode(raw))
        else:
            vector = b64decode(_text.decode(raw), validate=True)
    except (ValueError, OverflowError, Error) as error:
        raise failures.malformed(f"a vector that cannot be read ({error})") from None
    if not vector or len(vector) % _FLOAT_BYTES:
        raise failures.malformed(f"a vector of {len(vector)} bytes")
    return vector
