"""A refusal as clients of this dialect read it: Google's status words and details."""

from typing import Any

import msgspec

from portico.dialects.openai_chat.errors import in_words, plain, writable
from portico.errors import Refusal

_STATUS = {
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_OTHERWISE = "INVALID_ARGUMENT"

FIELDS = {
    "messages": "contents",
    "max_completion_tokens": "generationConfig.maxOutputTokens",
    "n": "generationConfig.candidateCount",
    "tool_choice": "toolConfig.functionCallingConfig",
    "top_k": "generationConfig.topK",
    "service_tier": "serviceTier",
    "input": "content",
    "dimensions": "outputDimensionality",
}
"""What rooms behind the dialects call a field, in the words of this one."""

_TYPE = "type.googleapis.com/google.rpc."


def render(refusal: Refusal, _request_id: str = "") -> bytes:
    """The body: Google's envelope; ours (code, value, limit, remedy) in an ErrorInfo."""
    return msgspec.json.encode({"error": _error(refusal)})


def stream_error(refusal: Refusal, _request_id: str = "") -> bytes:
    """The event that ends a stream which had begun."""
    return b"data: " + render(refusal) + b"\n\n"


def passage(request_id: bytes, spent_ms: float) -> bytes:
    """Header lines of an answer: Google says in `server-timing` how long it had a request."""
    return b"x-request-id: %b\r\nserver-timing: portico;dur=%d\r\n" % (request_id, spent_ms)


def _error(refusal: Refusal) -> dict[str, Any]:
    field, message = in_words(refusal, FIELDS)
    return {
        "code": refusal.status,
        "message": message,
        "status": _STATUS.get(refusal.status, _OTHERWISE),
        "details": _details(refusal, field, message),
    }


def _details(refusal: Refusal, field: str | None, message: str) -> list[dict[str, Any]]:
    code = refusal.entry.code
    said = {
        "code": code,
        "field": field,
        "value": _text(refusal.value),
        "limit": _text(refusal.limit),
        "remedy": refusal.remedy,
        "doc": f"docs/errors/{code}.md",
    }
    metadata = {name: text for name, text in said.items() if text}
    info = {"reason": code.upper(), "domain": "portico", "metadata": metadata}
    details: list[dict[str, Any]] = [{"@type": f"{_TYPE}ErrorInfo", **info}]
    if field is not None:
        violation = {"field": field, "description": message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if refusal.retry_after_ms is not None:
        delay = f"{refusal.retry_after_ms / 1000:.3f}s"
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": delay})
    return details


def _text(value: Any) -> str:
    """Metadata of an ErrorInfo is text; everything else is written as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return writable(str(plain(value)))
    return msgspec.json.encode(plain(value)).decode()
