"""What OpenAI says when it does not answer: {"error": {"message", "type", "param", "code"}}, flat in
an `error` event, and inside the response of `response.failed`."""

from typing import Any

from portico.dialects.outbound.failures import Told, error_object, meaning, text_in
from portico.errors import Refusal

_STATUS = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "vector_store_timeout": 504,
}
_ABOUT_IMAGES = "image"


def refusal_for(status: int, body: bytes) -> Refusal:
    """The meaning of an answer with this status."""
    return _meaning(status, error_object(body))


def refusal_in(error: Any) -> Refusal:
    """The meaning of an error inside a stream, or inside a response that failed."""
    told = error if isinstance(error, dict) else {}
    nested = told.get("error")
    if isinstance(nested, dict):
        told = nested
    code, kind = text_in(told, "code"), text_in(told, "type")
    status = _STATUS.get(code) or _STATUS.get(kind) or (400 if _ABOUT_IMAGES in code else 500)
    return _meaning(status, told)


def _meaning(status: int, error: dict[str, Any]) -> Refusal:
    code = f"{text_in(error, 'code')} {text_in(error, 'type')}"
    field = text_in(error, "param") or None
    return meaning(Told(status, text_in(error, "message"), code, field))
