"""A refusal as Messages clients read it."""

from typing import Any

import msgspec

from portico import errors
from portico.dialects.diagnosis import brief
from portico.dialects.openai_chat.errors import headers, in_words, plain
from portico.errors import Refusal

__all__ = ["event", "headers", "named", "passage", "render", "status_of"]

_BUSY = frozenset({errors.OVERLOADED, errors.UPSTREAM_BUSY, errors.DRAINING})
_OUT_OF_MONEY = frozenset({errors.CREDIT_EXHAUSTED, *errors.SPEND_LIMITS.values()})

_PAYMENT_REQUIRED = 402
_BUSY_STATUS = 529
FIELDS = {"max_completion_tokens": "max_tokens"}
"""What engines and other rooms call by its name in Chat, and Messages otherwise."""
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""By status; any other is an invalid_request_error."""


def status_of(refusal: Refusal) -> int:
    """As this dialect numbers it: no money is 402, no place is 529."""
    if refusal.entry in _OUT_OF_MONEY:
        return _PAYMENT_REQUIRED
    return _BUSY_STATUS if refusal.entry in _BUSY else refusal.status


def render(refusal: Refusal, request_id: str) -> bytes:
    """The body."""
    return msgspec.json.encode(
        {"type": "error", "error": _error(refusal), "request_id": request_id or None}
    )


def event(refusal: Refusal, request_id: str) -> bytes:
    """The event that ends a stream which had begun."""
    return b"event: error\ndata: " + render(refusal, request_id) + b"\n\n"


def named(request_id: bytes) -> bytes:
    return b"request-id: %b\r\n" % request_id


def passage(request_id: bytes, _spent_ms: float) -> bytes:
    return named(request_id)


def _error(refusal: Refusal) -> dict[str, Any]:
    """details: what their SDK keeps as `error_code`, and the rest of what is known."""
    entry = refusal.entry
    field, told = in_words(refusal, FIELDS)
    return {
        "type": _TYPES.get(status_of(refusal), "invalid_request_error"),
        "message": _message(refusal, told),
        "details": {
            "error_code": entry.code,
            "field": field,
            "value": plain(refusal.value),
            "limit": plain(refusal.limit),
            "remedy": refusal.remedy,
            "doc": f"docs/errors/{entry.code}.md",
        },
    }


def _message(refusal: Refusal, told: str) -> str:
    """Agents know by these first words that a conversation has to be made shorter."""
    if refusal.entry is not errors.CONTEXT_LENGTH:
        return told
    value, limit = brief(refusal.value), refusal.limit
    figures = f": {value} tokens > {limit} maximum" if value and limit else ""
    return f"prompt is too long{figures}. {told}"
