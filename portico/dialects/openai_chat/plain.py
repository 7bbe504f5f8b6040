"""Requests that are turns of text and a few settings, nothing else: most of them.

Such a body is decoded once, and needs no second look: nothing in it is unknown, nothing nests, and
every string and number has been read.  Whatever is not of this shape, right or wrong, is read
with care by `parse`, whose verdict is the same (tests/dialects/openai_chat/test_plain.py).
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from portico.dialects.diagnosis import DIGITS_MAX
from portico.dialects.openai_chat.request import (
    Choices,
    ModelName,
    Seed,
    Share,
    Stop,
    Temperature,
)

_Tokens = Annotated[int, Meta(ge=1, le=2**31)]
"""Larger caps are for the careful reader to judge."""


class Turn(Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant"]
    content: str


class PlainOptions(Struct, forbid_unknown_fields=True):
    include_usage: bool | None = None


class PlainChat(Struct, forbid_unknown_fields=True):
    """The members it names mean what they mean in `request.ChatRequest`."""

    model: ModelName
    messages: Annotated[list[Turn], Meta(min_length=1)]
    n: Choices | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    stop: Stop | None = None
    stream: bool | None = None
    stream_options: PlainOptions | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    seed: Seed | None = None
    user: str | None = None


Fields = dict[str, msgspec.Raw]

_plain = msgspec.json.Decoder(PlainChat)
_fields = msgspec.json.Decoder(Fields)


def fields_of(body: bytes) -> Fields:
    """The top-level members of a body known to be a JSON object, still raw."""
    return _fields.decode(body)


def plain_chat(body: bytes) -> tuple[PlainChat, Fields] | None:
    """None when `body` is not of this shape, whatever the reason."""
    try:
        request = _plain.decode(body)
    except (ValueError, RecursionError):
        return None
    fields = _fields.decode(body)
    for name in ("temperature", "top_p"):
        # More digits than we let pass; as floats they look like any other.
        if name in fields and len(bytes(fields[name])) > DIGITS_MAX:
            return None
    return request, fields
