"""Request bodies for the tests."""

import base64
import json
from functools import partial
from typing import Any

import pytest

from portico.canon.conversation import Conversation
from portico.canon.prompt import Prompt
from portico.dialects.anthropic_messages.parse import parse, parse_count
from portico.dialects.anthropic_messages.signatures import Signatures
from portico.errors import Refusal
from portico.kit.sealing import Seal

SIGNATURES = Signatures(Seal([b"s" * 32]))
read = partial(parse, signatures=SIGNATURES)
read_count = partial(parse_count, signatures=SIGNATURES)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
PDF = b"%PDF-1.7\n" + bytes(40)
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def image(content: bytes = PNG, media_type: str = "image/png") -> dict[str, Any]:
    source = {"type": "base64", "media_type": media_type, "data": base64_of(content)}
    return {"type": "image", "source": source}


def document(**source: Any) -> dict[str, Any]:
    return {"type": "document", "source": source}


def pdf() -> dict[str, Any]:
    return document(type="base64", media_type="application/pdf", data=base64_of(PDF))


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def called(call_id: str = "toolu_1", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": given}


def result(content: Any = "ok", call_id: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def request(**fields: Any) -> dict[str, Any]:
    hello = [{"role": "user", "content": "Hello"}]
    return {"model": "m", "max_tokens": 100, "messages": hello, **fields}


def encoded(**fields: Any) -> bytes:
    return json.dumps(request(**fields), separators=(",", ":")).encode()


def parsed(**fields: Any) -> Prompt:
    return read(encoded(**fields), {})


def heard(*messages: Any, **fields: Any) -> Conversation:
    """The conversation of a request with these messages."""
    said = list(messages) or [{"role": "user", "content": "Hello"}]
    return parsed(messages=said, **fields).conversation()


def refused(**fields: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parsed(**fields)
    return caught.value
