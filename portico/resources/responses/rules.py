"""What a request says about being kept, and what it follows.  Pure."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.dialects.diagnosis import brief, shown, wrong_type
from portico.errors import Refusal
from portico.resources.responses.items import items_of
from portico.resources.responses.model import WHOLE, Keeping, Link, Step

NOT_KEPT = 'not_stored; field="store"; action=dropped'
"""The warning for `store: true` in a project of which nothing is kept."""
NOT_ADDED = 'not_added; field="conversation"; action=dropped'
"""The warning for a conversation that is read and, with `store: false`, not added to."""

NO_ROOM = 'storage_quota_exceeded; field="store"; action=dropped'
"""The warning for a request that did not ask to be kept, in a project that is full."""
UNSTORED = "Send 'store': false, without 'background', to be answered all the same. "


class Said(msgspec.Struct):
    """Of a request: what it says about what came before it, and about being kept."""

    input: msgspec.Raw = msgspec.Raw(b"")
    previous_response_id: Any = None
    conversation: Any = None
    background: Any = None
    store: Any = None
    stream: Any = None


_said = msgspec.json.Decoder(Said)


def said_in(body: bytes) -> Said | None:
    """None where it is none: its dialect says what is wrong with it."""
    try:
        return _said.decode(body)
    except (ValueError, RecursionError):
        return None


def check_store(said: Said, caller: Caller) -> None:
    """Where nothing is kept, nothing can be followed.

    Raises: Refusal: zero_retention, invalid_value.
    """
    for field in ("previous_response_id", "conversation", "background"):
        value = getattr(said, field)
        if caller.content_ms_max == 0 and value not in (None, False):
            raise errors.ZERO_RETENTION(
                f"{field!r} is {shown(value)}, but nothing is kept of the requests of this project "
                "(zero retention).",
                field=field,
                value=brief(value),
                remedy="Send the earlier turns in 'input', and wait for the answer; or use a project "
                "that keeps content.",
            )
    if said.background is True and said.store is False:
        raise errors.INVALID_VALUE(
            "'background' is true and 'store' is false; what nobody waits for has to be kept.",
            field="store",
            value=False,
            limit=True,
        )
    if said.previous_response_id is not None and said.conversation is not None:
        raise errors.INVALID_VALUE(
            "'previous_response_id' and 'conversation' cannot stand together: each says what came "
            "before.",
            field="conversation",
            value=brief(said.conversation),
            remedy="Send one of the two.",
        )


def asking(said: Said) -> str:
    """The field by which it asks for its answer to be kept, "" where it is kept because nobody says
    otherwise.  Who follows a response wants to be followed."""
    if said.store is True:
        return "store"
    fields = ("background", "conversation", "previous_response_id")
    return next((each for each in fields if getattr(said, each) not in (None, False)), "")


def conversation_of(said: Any) -> str | None:
    """The id in `conversation`, None where nothing is said.  Raises: Refusal."""
    field, given = "conversation", said
    if isinstance(said, dict):
        field, given = "conversation.id", said.get("id")
        if given is None:
            raise errors.MISSING_FIELD(
                "'conversation.id' is missing: it says which one.", field=field, limit="required"
            )
    if given is not None and not isinstance(given, str):
        raise wrong_type(field, given, ["str"])
    return given


# -- what came before ------------------------------------------------------------------------


def check_chain(asked: str, found: Sequence[Step], keeping: Keeping) -> list[str]:
    """The ids of all that is followed, the newest first.  Raises: Refusal."""
    if not found:
        raise _gone(asked, asked)
    for step in found:
        _check_step(asked, step)
    if len(found) > keeping.links_max:
        raise errors.OUT_OF_RANGE(
            f"'previous_response_id' follows more than {keeping.links_max} responses.",
            field="previous_response_id",
            value=brief(asked),
            limit=keeping.links_max,
            remedy="Begin anew, with what matters of them in 'input'; /v1/responses/compact helps.",
        )
    last = found[-1].previous_id
    if last is not None:
        raise _gone(asked, last)
    check_size("previous_response_id", sum(each.size_bytes for each in found), keeping)
    return [each.id for each in found]


def _check_step(asked: str, step: Step) -> None:
    if step.state not in WHOLE:
        raise errors.CONFLICT(
            f"'previous_response_id' leads to {step.id!r}, which is {step.state}; only what was "
            "answered can be followed.",
            field="previous_response_id",
            value=brief(asked),
            limit=sorted(WHOLE),
        )
    if step.conversation_id is not None:
        raise errors.INVALID_VALUE(
            f"'previous_response_id' leads to {step.id!r}, which was made in the conversation "
            f"{step.conversation_id!r}: what came before it stands there.",
            field="previous_response_id",
            value=brief(asked),
            remedy="Send 'conversation' in its place.",
        )


def check_size(field: str, size_bytes: int, keeping: Keeping) -> None:
    """Raises: Refusal: body_too_large."""
    if size_bytes > keeping.context_bytes_max:
        raise errors.BODY_TOO_LARGE(
            f"What {field!r} puts before the input has {size_bytes} bytes; at most "
            f"{keeping.context_bytes_max} can be.",
            field=field,
            value=size_bytes,
            limit=keeping.context_bytes_max,
            remedy="Begin anew, with what matters of it in 'input'; /v1/responses/compact helps.",
        )


def context_of(links: Sequence[Link], now_ms: int) -> list[msgspec.Raw]:
    """What came before, oldest first: input, then output, of each.  links: the newest first."""
    return [lasting(item, now_ms) for link in reversed(links) for item in items_of(link)]


def lasting(item: msgspec.Raw, now_ms: int) -> msgspec.Raw:
    """A thought whose seal has expired is its words alone: those of what we keep we know."""
    raw = bytes(item)
    if b'"portico_expires_at"' not in raw or b'"reasoning"' not in raw:
        return item
    thought = msgspec.json.decode(raw)
    expires_s = thought.get("portico_expires_at")
    if thought.get("type") != "reasoning" or not isinstance(expires_s, int):
        return item
    if expires_s * 1000 > now_ms:
        return item
    thought.pop("encrypted_content", None)
    return msgspec.Raw(msgspec.json.encode(thought))


def _gone(asked: str, missing: str) -> Refusal:
    """Somebody else's is told from none by nothing."""
    through = "" if asked == missing else f", which {asked[:100]!r} follows,"
    return errors.PREVIOUS_RESPONSE_NOT_FOUND(
        f"The response {missing[:100]!r}{through} is not kept here: it never was, was deleted, or "
        "has expired.",
        field="previous_response_id",
        value=brief(asked),
    )


def not_found(response_id: str) -> Refusal:
    """The same for an id that never was, is somebody else's, has expired or was deleted."""
    return errors.RESOURCE_NOT_FOUND(
        f"There is no such response {shown(response_id)}.",
        field="response_id",
        value=brief(response_id),
    )


def as_sent(refusal: Refusal, source: str, places: Sequence[int], before: int) -> Refusal:
    """`refusal` of a request whose input begins with `before` items that its caller did not send;
    behind them stand those he sent at `places`.  source: the field that put the others there."""
    found = re.match(r"input\[(\d+)\]", refusal.field or "")
    if not found:
        return refusal
    assert refusal.field is not None
    at, rest = int(found[1]) - before, refusal.field[found.end() :]
    field = source
    if at >= 0:
        field = f"input[{places[at] if at < len(places) else at}]{rest}"
    refusal.message = refusal.message.replace(f"'{refusal.field}'", f"'{field}'")
    refusal.field = field
    return refusal
