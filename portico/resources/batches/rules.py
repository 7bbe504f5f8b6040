"""What a line may be, and what a batch looks like from outside.  Pure."""

from typing import Any

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.dialects.body import json_object
from portico.dialects.diagnosis import brief
from portico.errors import Refusal
from portico.resources.batches.model import ENDPOINTS, Batch, Counts, Limits, Line, NewLine

ERRORS_MAX = 100
"""Told of one file."""
RESULTS_MS = 29 * 86_400_000
"""How long Anthropic's clients expect to find results, from when they asked."""
_CUSTOM_ID_MAX = 512
_NO_JSON = frozenset({errors.INVALID_JSON, errors.NOT_AN_OBJECT})


class _Sent(msgspec.Struct):
    custom_id: Any = None
    method: Any = None
    url: Any = None
    body: msgspec.Raw = msgspec.Raw(b"")


class _Body(msgspec.Struct):
    stream: Any = None
    background: Any = None


_sent = msgspec.json.Decoder(_Sent)
_body = msgspec.json.Decoder(_Body)


class BadLine(Exception):
    """code, param: as the API tells them."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def told(self, number: int) -> dict[str, Any]:
        return {"code": self.code, "line": number, "message": self.message, "param": self.param}


def revoked_key() -> dict[str, Any]:
    """Why a batch was cancelled that nobody cancelled."""
    message = "The API key that made this batch was revoked."
    return {"code": "api_key_revoked", "line": None, "message": message, "param": None}


def too_large_line(size_bytes: int, limit_bytes: int, *, more: bool = False) -> BadLine:
    """more: it goes on."""
    least = "more than " if more else ""
    return BadLine(
        "line_too_large", f"The line has {least}{size_bytes} bytes; it may have {limit_bytes}."
    )


def too_many_lines(limit: int) -> BadLine:
    return BadLine("too_many_lines", f"The file has too many lines; a batch has at most {limit}.")


def _malformed(text: bytes) -> BadLine:
    """Read again, more slowly, to say what is wrong with it."""
    try:
        json_object(text)
    except Refusal as refusal:
        code = "invalid_json_line" if refusal.entry in _NO_JSON else refusal.code
        return BadLine(code, f"The line is not what it should be: {refusal.message}")
    return BadLine("invalid_json_line", "The line is not a JSON object as batches have them.")


class Reader:
    """Reads the lines of one file, one after the other."""

    def __init__(self, endpoint: str, limits: Limits) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._seen: set[str] = set()

    def read(self, number: int, text: bytes) -> NewLine:
        """Raises: BadLine."""
        if len(text) > self._limits.line_bytes_max:
            raise too_large_line(len(text), self._limits.line_bytes_max)
        try:
            sent = _sent.decode(text)
        except (ValueError, RecursionError):
            raise _malformed(text) from None
        custom_id = self._custom_id(sent.custom_id)
        if sent.method != "POST":
            raise BadLine("invalid_method", 'The method must be "POST".', "method")
        if sent.url != self._endpoint:
            raise BadLine(
                "mismatched_endpoint",
                f"The url is {brief(sent.url)!r}; all lines of this batch go to {self._endpoint!r}.",
                "url",
            )
        self._check_body(bytes(sent.body))
        return NewLine(number, custom_id, bytes(sent.body))

    def _custom_id(self, said: Any) -> str:
        if not isinstance(said, str) or not 1 <= len(said) <= _CUSTOM_ID_MAX or "\0" in said:
            raise BadLine(
                "invalid_custom_id",
                f"The custom_id must be a text of 1 to {_CUSTOM_ID_MAX} characters, none of them "
                "NUL.",
                "custom_id",
            )
        if said in self._seen:
            raise BadLine(
                "duplicate_custom_id", f"The custom_id {said[:100]!r} stands twice.", "custom_id"
            )
        self._seen.add(said)
        return said

    def _check_body(self, body: bytes) -> None:
        try:
            said = _body.decode(body)
        except (ValueError, RecursionError):
            raise BadLine("invalid_body", "The body must be a JSON object.", "body") from None
        check_plain(said.stream, said.background)


def check_plain(stream: Any, background: Any) -> None:
    """Raises: BadLine: nobody reads a stream here, and all of it is in the background."""
    if stream not in (None, False):
        raise BadLine("streaming_not_allowed", "A line of a batch cannot stream.", "body.stream")
    if background not in (None, False):
        raise BadLine(
            "background_not_allowed",
            "A line of a batch is in the background already.",
            "body.background",
        )


def check_kept(caller: Caller) -> None:
    """Raises: Refusal: zero_retention."""
    if caller.content_ms_max == 0:
        raise nothing_kept()


def nothing_kept() -> Refusal:
    return errors.ZERO_RETENTION(
        "Nothing is kept of the requests of this project (zero retention), and a batch has to be."
    )


def check_endpoint(endpoint: str) -> None:
    """Raises: Refusal: invalid_value."""
    if endpoint not in ENDPOINTS:
        raise errors.INVALID_VALUE(
            f"'endpoint' is {endpoint[:100]!r}; batches go to {', '.join(ENDPOINTS)}.",
            field="endpoint",
            value=brief(endpoint),
            limit=list(ENDPOINTS),
        )


def check_window(window: str) -> None:
    """Raises: Refusal: invalid_value."""
    if window != "24h":
        raise errors.INVALID_VALUE(
            f"'completion_window' is {window[:100]!r}; it must be '24h'.",
            field="completion_window",
            value=brief(window),
            limit="24h",
        )


def openai_shape(batch: Batch, counts: Counts) -> dict[str, Any]:
    """As OpenAI's clients read it."""
    ended = batch.ended_at_ms
    at = {
        state: _s(ended) if batch.state == state else None
        for state in ("completed", "failed", "expired", "cancelled")
    }
    told = batch.errors
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": None if told is None else {"object": "list", "data": told},
        "input_file_id": batch.input_file_id,
        "completion_window": "24h",
        "status": batch.state,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": _s(batch.created_at_ms),
        "in_progress_at": _s(batch.started_at_ms),
        "expires_at": _s(batch.due_at_ms),
        "finalizing_at": _s(batch.finalizing_at_ms),
        "completed_at": at["completed"],
        "failed_at": at["failed"],
        "expired_at": at["expired"],
        "cancelling_at": _s(batch.cancelling_at_ms),
        "cancelled_at": at["cancelled"],
        "request_counts": {
            "total": batch.lines,
            "completed": counts.succeeded,
            "failed": counts.failed,
        },
        "model": batch.model,
        "usage": batch.usage,
        "metadata": batch.metadata or None,
    }


def output_line(line: Line) -> tuple[bool, bytes]:
    """Of the files of answers: does it stand among the good ones, and how."""
    response, error = None, None
    if line.status is not None:
        response = {
            "status_code": line.status,
            "request_id": line.request_id,
            "body": msgspec.Raw(line.answer or b"null"),
        }
    elif line.state == "errored":
        error = {"code": "answer_lost", "message": "It was answered, and the answer was lost."}
    elif line.state == "expired":
        error = {"code": "batch_expired", "message": "It had not begun when its batch expired."}
    else:
        error = {"code": "batch_cancelled", "message": "It had not begun when it was cancelled."}
    told = {
        "id": f"batch_req_{line.number}" if line.request_id is None else line.request_id,
        "custom_id": line.custom_id,
        "response": response,
        "error": error,
    }
    return line.state == "succeeded", msgspec.json.encode(told) + b"\n"


def expires_at_ms(batch: Batch, limits: Limits, most_ms: int | None, ended_at_ms: int) -> int:
    """When what is left of it goes.  most_ms: that its project lets it be kept, None: any time."""
    keep_ms = limits.keep_ms if most_ms is None else min(limits.keep_ms, most_ms or limits.keep_ms)
    at_ms = ended_at_ms + keep_ms
    return at_ms if batch.kind == "openai" else min(at_ms, batch.created_at_ms + RESULTS_MS)


def too_many(count: int, limit: int) -> Refusal:
    return errors.BATCHES_FULL(
        f"This project has {count} batches that have not ended; it may have {limit}.",
        value=count,
        limit=limit,
        retry_after_ms=60_000,
    )


def _s(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
