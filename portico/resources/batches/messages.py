"""Batches of Messages, as Anthropic's clients send and read them.  Pure."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from portico import errors
from portico.dialects.body import checked, json_object, without_bom
from portico.dialects.diagnosis import brief
from portico.resources.batches.model import Batch, Counts, Limits, Line, NewLine
from portico.resources.batches.rules import BadLine, check_plain

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_RESULT = {"expired": {"type": "expired"}, "cancelled": {"type": "canceled"}}
_LOST = {
    "type": "error",
    "error": {
        "type": "api_error",
        "message": "It was answered, and the answer was not kept.",
    },
    "request_id": None,
}


class BatchedMessage(msgspec.Struct):
    """`params`: a request of Messages, without `stream`."""

    custom_id: str
    params: dict[str, Any]


class MessageBatchRequest(msgspec.Struct):
    requests: list[BatchedMessage]


class _Sent(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


class _Batch(msgspec.Struct):
    requests: list[_Sent]


class _Plain(msgspec.Struct):
    stream: Any = None


_batch = msgspec.json.Decoder(_Batch)
_plain = msgspec.json.Decoder(_Plain)


def read(body: bytes, limits: Limits) -> list[NewLine]:
    """The requests of a new batch.  What is wrong inside of one is told in its result.

    Raises: Refusal: missing_field, invalid_type, invalid_value, out_of_range; what is wrong with JSON.
    """
    body = without_bom(body)
    try:
        sent = _batch.decode(body).requests
    except (ValueError, RecursionError):
        # Read again, more slowly, to say what is wrong with it.
        checked(json_object(body), MessageBatchRequest)
        raise errors.INVALID_JSON("The body is not what a batch of messages looks like.") from None
    if not 1 <= len(sent) <= limits.lines_max:
        raise errors.OUT_OF_RANGE(
            f"'requests' has {len(sent)} entries; it must have 1 to {limits.lines_max}.",
            field="requests",
            value=len(sent),
            limit=[1, limits.lines_max],
        )
    seen: set[str] = set()
    return [_line(number, each, seen, limits) for number, each in enumerate(sent, 1)]


def _line(number: int, sent: _Sent, seen: set[str], limits: Limits) -> NewLine:
    """Raises: Refusal."""
    place = f"requests[{number - 1}]"
    if _CUSTOM_ID.fullmatch(sent.custom_id) is None:
        raise errors.INVALID_VALUE(
            f"'{place}.custom_id' is {brief(sent.custom_id)!r}; it must be 1 to 64 letters, digits, "
            "'_' or '-'.",
            field=f"{place}.custom_id",
            value=brief(sent.custom_id),
            limit="^[a-zA-Z0-9_-]{1,64}$",
        )
    if sent.custom_id in seen:
        raise errors.INVALID_VALUE(
            f"'{place}.custom_id' is {sent.custom_id!r}, which another request of this batch has.",
            field=f"{place}.custom_id",
            value=sent.custom_id,
            remedy="Give every request an id of its own: results are told apart by it.",
        )
    seen.add(sent.custom_id)
    params = bytes(sent.params)
    if len(params) > limits.line_bytes_max:
        raise errors.OUT_OF_RANGE(
            f"'{place}.params' has {len(params)} bytes; it may have {limits.line_bytes_max}.",
            field=f"{place}.params",
            value=len(params),
            limit=limits.line_bytes_max,
        )
    _check_params(place, params)
    return NewLine(number, sent.custom_id, params)


def _check_params(place: str, params: bytes) -> None:
    try:
        check_plain(_plain.decode(params).stream, None)
    except BadLine:
        raise errors.INVALID_VALUE(
            f"'{place}.params.stream' is true; a request of a batch cannot stream.",
            field=f"{place}.params.stream",
            value=True,
            limit=False,
        ) from None
    except (ValueError, RecursionError):
        raise errors.INVALID_TYPE(
            f"'{place}.params' must be an object.", field=f"{place}.params", limit="object"
        ) from None


def shown(batch: Batch, counts: Counts, url: Callable[[str], str]) -> dict[str, Any]:
    """url: of the results, by the id of the batch."""
    ended = batch.ended_at_ms is not None
    status = "in_progress" if batch.cancelling_at_ms is None else "canceling"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else status,
        "request_counts": {
            "processing": counts.open,
            "succeeded": counts.succeeded,
            "errored": counts.errored,
            "canceled": counts.cancelled,
            "expired": counts.expired,
        },
        "created_at": _rfc3339(batch.created_at_ms),
        "expires_at": _rfc3339(batch.due_at_ms),
        "ended_at": _rfc3339(batch.ended_at_ms),
        "cancel_initiated_at": _rfc3339(batch.cancelling_at_ms),
        "archived_at": None,
        "results_url": url(batch.id) if ended else None,
    }


def results(lines: Sequence[Line]) -> bytes:
    """As JSON lines."""
    return b"".join(
        msgspec.json.encode({"custom_id": line.custom_id, "result": _result(line)}) + b"\n"
        for line in lines
    )


def _result(line: Line) -> dict[str, Any]:
    if line.state == "succeeded" and line.answer is not None:
        return {"type": "succeeded", "message": msgspec.Raw(line.answer)}
    told = _RESULT.get(line.state)
    if told is not None:
        return told
    kept = line.state == "errored" and line.answer is not None
    return {"type": "errored", "error": msgspec.Raw(line.answer or b"") if kept else _LOST}


def _rfc3339(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
