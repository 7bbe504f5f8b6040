"""What becomes of a response that ends without an answer.  Pure."""

from typing import Any

import msgspec

from portico import errors
from portico.dialects.openai_responses.answers.answer import error_code
from portico.errors import Refusal

EVENT_END = b"\n\n"
_DONE = b"data: [DONE]"
_TERMINAL = (b"event: response.completed", b"event: response.incomplete", b"event: response.failed")


def failed(body: bytes, refusal: Refusal) -> bytes:
    """`body`, of one in line, as one that was refused."""
    error = {"code": error_code(refusal), "message": refusal.told}
    return _ended(body, "failed", error)


def cancelled(body: bytes) -> bytes:
    return _ended(body, "cancelled", None)


def _ended(body: bytes, status: str, error: dict[str, Any] | None) -> bytes:
    response = msgspec.json.decode(body)
    return msgspec.json.encode({**response, "status": status, "error": error})


def events_in(data: bytes) -> list[bytes]:
    """Whole events, each with the blank line behind it; comments and the last word are none."""
    found = (each for each in data.split(EVENT_END) if each.startswith(b"event:"))
    return [each + EVENT_END for each in found]


def ends(event: bytes) -> bool:
    return event.startswith(_TERMINAL)


def last_event(body: bytes, status: str, number: int) -> bytes:
    """The terminal event of a response that ended without one: it was cancelled, or its process
    died between the end and the word of it."""
    kind = f"response.{'failed' if status == 'cancelled' else status}"
    told = {"type": kind, "sequence_number": number, "response": msgspec.Raw(body)}
    return b"event: %b\ndata: %b\n\n" % (kind.encode("ascii"), msgspec.json.encode(told))


def too_many(count: int, limit: int) -> Refusal:
    return errors.BACKGROUND_FULL(
        f"This project has {count} responses in the background; it may have {limit}.",
        field="background",
        value=count,
        limit=limit,
        retry_after_ms=10_000,
    )


def nothing_kept() -> Refusal:
    return errors.ZERO_RETENTION(
        "Nothing is kept of the requests of this project (zero retention), so nobody can answer one "
        "while nobody waits.",
        field="background",
        value=True,
    )


def not_synchronous(response_id: str) -> Refusal:
    """400 and no 409, which tells SDKs to try again: it never will be."""
    return errors.INVALID_VALUE(
        f"The response {response_id!r} was not made in the background; only those can be cancelled.",
        field="response_id",
        value=response_id,
        limit="a response with `background: true`",
        remedy="Hang up, to cancel what you wait for.",
    )


def not_streamed(response_id: str) -> Refusal:
    return errors.INVALID_VALUE(
        f"The response {response_id!r} was not made as a stream in the background; it can only be "
        "read whole.",
        field="stream",
        value=True,
        limit=False,
        remedy="Leave `stream` out; or ask with `background: true` and `stream: true`.",
    )


FIRST_EVENTS = 2
"""Of a stream: what is said of a response before anything of it is made."""


def lost() -> Refusal:
    """It ended, and nothing was kept."""
    return errors.UPSTREAM_FAILED(
        "Its answer is larger than what is kept of one, or the key it was asked with has ended."
    )


def tired(attempts: int) -> Refusal:
    return errors.UPSTREAM_FAILED(
        f"It was begun {attempts} times, and each time the server that worked on it was stopped."
    )


def interrupted() -> Refusal:
    return errors.UPSTREAM_FAILED(
        "The server was stopped while it streamed; half of an answer is out, and the other half "
        "would be another answer's."
    )
