"""A refusal in a stream of Responses events; everywhere else it is OpenAI's envelope, as in Chat."""

from typing import Any

import msgspec

from portico.dialects.openai_chat.errors import render
from portico.errors import Refusal


def error_event(refusal: Refusal) -> dict[str, Any]:
    """Both shapes in one: flat as OpenAI sends it, nested as Open Responses does."""
    error = msgspec.json.decode(render(refusal))["error"]
    flat = {name: error[name] for name in ("code", "message", "param")}
    return {"type": "error", **flat, "error": error}


def stream_error(refusal: Refusal, _request_id: str = "") -> bytes:
    """The end of a stream that has no writer, and so no numbers, yet."""
    data = msgspec.json.encode({**error_event(refusal), "sequence_number": 0})
    return b"event: error\ndata: " + data + b"\n\n"
