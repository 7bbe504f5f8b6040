"""A refusal as Responses clients read it: OpenAI's envelope, in the words of this dialect."""

from typing import Any

import msgspec

from portico.dialects.openai_chat import errors as chat
from portico.errors import Refusal

_FIELDS = {"messages": "input", "max_completion_tokens": "max_output_tokens"}
"""What engines and other rooms call by its name in Chat."""


def render(refusal: Refusal, _request_id: str = "") -> bytes:
    return msgspec.json.encode({"error": _error(refusal)})


def error_event(refusal: Refusal) -> dict[str, Any]:
    """In a stream: both shapes in one, flat as OpenAI sends it, nested as Open Responses does."""
    error = _error(refusal)
    flat = {name: error[name] for name in ("code", "message", "param")}
    return {"type": "error", **flat, "error": error}


def stream_error(refusal: Refusal, _request_id: str = "") -> bytes:
    """The end of a stream that has no writer, and so no numbers, yet."""
    data = msgspec.json.encode({**error_event(refusal), "sequence_number": 0})
    return b"event: error\ndata: " + data + b"\n\n"


def _error(refusal: Refusal) -> dict[str, Any]:
    error: dict[str, Any] = msgspec.json.decode(chat.render(refusal))["error"]
    here = _FIELDS.get(error["param"])
    if here is not None:
        error["message"] = error["message"].replace(f"'{error['param']}'", f"'{here}'")
        error["param"] = here
    return error
