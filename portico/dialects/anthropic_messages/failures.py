"""What Anthropic says when it does not answer: {"type": "error", "error": {"type", "message"}}."""

from typing import Any

from portico.dialects.outbound.failures import Told, error_object, meaning, text_in
from portico.errors import Refusal

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def refusal_for(status: int, body: bytes) -> Refusal:
    """The meaning of an answer with this status."""
    return _meaning(status, error_object(body))


def refusal_in(error: Any) -> Refusal:
    """The meaning of the `error` member of an event inside a stream."""
    told = error if isinstance(error, dict) else {}
    return _meaning(_STATUS.get(text_in(told, "type"), 500), told)


def _meaning(status: int, error: dict[str, Any]) -> Refusal:
    return meaning(Told(status, text_in(error, "message"), text_in(error, "type")))
