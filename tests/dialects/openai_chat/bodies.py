"""Request bodies for the tests."""

import base64
import json
from typing import Any

import pytest

from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.parse import parse
from portico.errors import Refusal

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(30)
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def sound(content: bytes, form: str) -> dict[str, Any]:
    data = base64.b64encode(content).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}


def encoded(**fields: Any) -> bytes:
    return json.dumps(request(**fields), separators=(",", ":")).encode()


def parsed(**fields: Any) -> Prompt:
    return parse(encoded(**fields), {})


def refused(body: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(body, {})
    return caught.value
