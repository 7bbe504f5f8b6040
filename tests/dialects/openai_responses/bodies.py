"""Request bodies for the tests, and whatever reads them."""

import base64
import json
from typing import Any

import pytest

from portico.canon.conversation import Conversation
from portico.canon.prompt import Prompt
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.openai_responses.parse import Parser
from portico.errors import Refusal
from portico.kit.sealing import Seal

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
DATA_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
PATCH = {"type": "custom", "name": "apply_patch"}
NAMESPACE = {
    "type": "namespace",
    "name": "agents",
    "description": "Other agents.",
    "tools": [{"type": "function", "name": "spawn"}, {"type": "function", "name": "get_weather"}],
}


class Calendar:
    """A clock that stands until it is moved."""

    def __init__(self, now_s: int = 1_700_000_000) -> None:
        self.now_s = now_s

    def monotonic_s(self) -> float:
        return float(self.now_s)

    def wall_ms(self) -> int:
        return self.now_s * 1000


CLOCK = Calendar()
SEALS = Seals(Seal([b"s" * 32]), CLOCK)
PARSER = Parser(SEALS)


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "input": "Hello", **fields}


def encoded(**fields: Any) -> bytes:
    return json.dumps(request(**fields), separators=(",", ":")).encode()


def parsed(**fields: Any) -> Prompt:
    return PARSER.create(encoded(**fields), {})


def conversed(**fields: Any) -> Conversation:
    conversation = parsed(**fields).conversation()
    assert isinstance(conversation, Conversation)
    return conversation


def refused(**fields: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parsed(**fields)
    return caught.value


def call(call_id: str, name: str = "f", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        **more,
    }


def result(call_id: str, output: Any = "done") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def says(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text}
