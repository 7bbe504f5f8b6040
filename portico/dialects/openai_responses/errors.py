"""A refusal as Responses clients read it: OpenAI's envelope, in the words of this dialect."""

from typing import Any

import msgspec

from portico.dialects.openai_chat import errors as chat
from portico.errors import Refusal

FIELDS = {"messages": "input", "max_completion_tokens": "max_output_tokens"}
"""What engines and other rooms call by its name in Chat, and Responses otherwise."""


def render(refusal: Refusal, _request_id: str = "") -> bytes:
    return msgspec.json.encode({"error": chat.error_of(refusal, FIELDS)})


def error_event(refusal: Refusal) -> dict[str, Any]:
    """In a stream: both shapes in one, flat as OpenAI sends it, nested as Open Responses does."""
    error = chat.error_of(refusal, FIELDS)
    flat = {name: error[name] for name in ("code", "message", "param")}
    return {"type": "error", **flat, "error": error}


def stream_error(refusal: Refusal, _request_id: str = "") -> bytes:
    """The end of a stream that has no writer, and so no numbers, yet."""
    data = msgspec.json.encode({**error_event(refusal), "sequence_number": 0})
    return b"event: error\ndata: " + data + b"\n\n"
