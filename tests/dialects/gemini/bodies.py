"""Request bodies for the tests."""

import base64
import json
from functools import partial
from typing import Any

import pytest

from portico.canon.conversation import Conversation
from portico.canon.prompt import Prompt
from portico.dialects.gemini import counting
from portico.dialects.gemini import parse as parsing
from portico.dialects.gemini.contents.signatures import Signatures
from portico.errors import Refusal
from portico.kit.sealing import Seal

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(30)
PDF = b"%PDF-1.4 " + bytes(30)
SIGNATURES = Signatures(Seal([b"s" * 32]))
parse = partial(parsing.parse, signatures=SIGNATURES)
parse_streamed = partial(parsing.parse_streamed, signatures=SIGNATURES)
parse_count = partial(counting.parse_count, signatures=SIGNATURES)
HINTS = {":rest": "m", ":query": ""}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "OBJECT",
        "properties": {"city": {"type": "STRING"}},
        "required": ["city"],
    },
}
TOOLS: list[dict[str, Any]] = [{"functionDeclarations": [WEATHER]}]


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def blob(content: bytes, kind: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": kind, "data": b64(content)}}


def user(*parts: dict[str, Any] | str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": p} if isinstance(p, str) else p for p in parts]}


def model(*parts: dict[str, Any] | str) -> dict[str, Any]:
    return {**user(*parts), "role": "model"}


def call(name: str = "get_weather", id: str | None = None, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args} | ({"id": id} if id else {})}


def response(name: str = "get_weather", id: str | None = None, **said: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": said} | ({"id": id} if id else {})}


def request(*contents: Any, **fields: Any) -> dict[str, Any]:
    return {"contents": list(contents) or [user("Hello")], **fields}


def parsed(*contents: Any, **fields: Any) -> Prompt:
    return parse(json.dumps(request(*contents, **fields)).encode(), HINTS)


def conversed(*contents: Any, **fields: Any) -> Conversation:
    return parsed(*contents, **fields).conversation()


def refused(*contents: Any, **fields: Any) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        parsed(*contents, **fields)
    assert 400 <= refusal.value.status < 500
    return refusal.value
