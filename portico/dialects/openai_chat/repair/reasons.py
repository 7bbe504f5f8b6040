"""Why a choice ended, computed from what it holds and not from the engine's word alone."""

from typing import Any

_FOREIGN = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "function_call",
    "max_tokens": "length",
    "model_length": "length",
    "MAX_TOKENS": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "safety": "content_filter",
    "SAFETY": "content_filter",
}


def reason_of(said: Any, *, has_calls: bool) -> str:
    """One of Chat's reasons.  Words of other dialects are translated, unknown ones mean stop."""
    reason = _FOREIGN.get(said, "stop") if isinstance(said, str) else "stop"
    if has_calls and reason in ("stop", "function_call"):
        return "tool_calls"
    return "stop" if reason == "tool_calls" and not has_calls else reason
