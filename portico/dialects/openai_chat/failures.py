"""What an engine says when it does not answer, and what we tell the caller then."""

import re
from typing import Any

from portico import errors
from portico.canon.delta import Delta
from portico.errors import Entry, Refusal

_WORDS_MAX = 1000


class BrokenAnswer(Exception):
    """An answer that cannot be completed.

    refusal: what the caller is told.  `refusal.entry.fault` is "caller" where the request was
      wrong and no other engine would take it; else another may be tried.
    delta: what had come before it broke, to be relayed and metered first; None if nothing had.
    """

    def __init__(self, refusal: Refusal, delta: Delta | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.delta = delta


def error_in(payload: dict[str, Any]) -> Refusal | None:
    """The refusal for an error object where an answer or a chunk should be, None if it is none."""
    if not payload.get("error") and payload.get("object") != "error":
        return None
    error = _error_object(payload)
    return _refusal_for(_status_of(error), error)


def _error_object(told: Any) -> dict[str, Any]:
    """The error, whatever it came wrapped in."""
    if isinstance(told, list) and told:
        told = told[0]
    while isinstance(told, dict) and (inner := told.get("error") or told.get("detail")):
        told = inner
    return told if isinstance(told, dict) else {"message": told}


def _status_of(error: dict[str, Any]) -> int:
    for name in ("code", "status", "status_code"):
        value = error.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    kinds = {"invalid_request_error": 400, "BadRequestError": 400, "rate_limit_error": 429}
    return 400 if _is_context(error) else kinds.get(str(error.get("type")), 500)


def _is_context(error: dict[str, Any]) -> bool:
    names = {str(error.get("code")), str(error.get("type"))}
    if names & {"context_length_exceeded", "exceed_context_size_error"}:
        return True
    return re.search(r"context (length|size|window)", str(error.get("message"))) is not None


def _refusal_for(status: int, error: dict[str, Any]) -> Refusal:
    words = _words(error)
    if status in (400, 413, 422) and _is_context(error):
        return _context(error, words)
    if status in (400, 413, 415, 422):
        param = error.get("param")
        return errors.UPSTREAM_REFUSED(
            f"The engine refused the request: {words}",
            field=param if isinstance(param, str) else None,
        )
    if status == 501:
        return errors.UNSUPPORTED_FEATURE(f"The engine cannot do this: {words}")
    if status in (401, 403, 404):
        # Its words may quote the operator's key or address: they are not for the caller.
        return errors.UPSTREAM_FAILED(f"The engine does not let us in (status {status}).")
    if status in (429, 503, 529):
        return errors.UPSTREAM_BUSY(f"The engine is busy: {words}")
    entry: Entry = errors.UPSTREAM_TIMEOUT if status in (408, 504) else errors.UPSTREAM_FAILED
    return entry(f"The engine failed (status {status}): {words}")


def _context(error: dict[str, Any], words: str) -> Refusal:
    used, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
    return errors.CONTEXT_LENGTH(
        f"The prompt is longer than the model's context: {words}",
        field="messages",
        value=used if isinstance(used, int) else None,
        limit=limit if isinstance(limit, int) else None,
    )


def _words(error: dict[str, Any]) -> str:
    message = error.get("message")
    text = message if isinstance(message, str) and message.strip() else "it gives no reason"
    text = " ".join(text[:_WORDS_MAX].split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def malformed(what: str) -> BrokenAnswer:
    return BrokenAnswer(errors.UPSTREAM_FAILED(f"The engine broke its protocol: {what}."))


def ended_early(delta: Delta | None) -> BrokenAnswer:
    """The connection closed without a finish reason: what came may be half an answer."""
    refusal = errors.UPSTREAM_FAILED("The engine's answer stopped before its end.")
    return BrokenAnswer(refusal, delta)
