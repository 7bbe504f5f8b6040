"""What Gemini says when it does not answer: {"error": {"code", "message", "status", "details"}}."""

from typing import Any

from portico.dialects.outbound.failures import Told, error_object, meaning, text_in
from portico.errors import Refusal

_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_RETRY_INFO = "google.rpc.RetryInfo"


def refusal_for(status: int, body: bytes) -> Refusal:
    """The meaning of an answer with this status."""
    return _meaning(status, error_object(body))


def refusal_in(error: Any) -> Refusal:
    """The meaning of the `error` member of a chunk."""
    told = error if isinstance(error, dict) else {}
    code = told.get("code")
    status = code if isinstance(code, int) and 400 <= code <= 599 else 500
    return _meaning(_STATUS.get(text_in(told, "status"), status), told)


def _meaning(status: int, error: dict[str, Any]) -> Refusal:
    details = [each for each in _list(error.get("details")) if isinstance(each, dict)]
    reasons = " ".join(text_in(each, "reason") for each in details)
    code = f"{text_in(error, 'status')} {reasons}"
    return meaning(
        Told(status, text_in(error, "message"), code, retry_after_ms=_retry_after_ms(details))
    )


def _retry_after_ms(details: list[dict[str, Any]]) -> int | None:
    """`{"@type": ".../google.rpc.RetryInfo", "retryDelay": "27s"}`."""
    for each in details:
        if text_in(each, "@type").endswith(_RETRY_INFO):
            seconds = text_in(each, "retryDelay").removesuffix("s").partition(".")[0]
            if seconds.isdecimal():
                return min(int(seconds[:6]) * 1_000, 3_600_000)
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
