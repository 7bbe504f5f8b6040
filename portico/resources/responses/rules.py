"""What a request says about being kept, and what it follows.  Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.dialects.diagnosis import brief, shown
from portico.errors import Refusal
from portico.resources.responses.model import WHOLE, Keeping, Link

NOT_KEPT = 'not_stored; field="store"; action=dropped'
"""The warning for `store: true` in a project of which nothing is kept."""


def own_items(given: Any, response_id: str) -> list[Any]:
    """The items of a request's own input, each with an id: what was sent without one gets one."""
    if isinstance(given, str):
        given = [{"role": "user", "content": [{"type": "input_text", "text": given}]}]
    if not isinstance(given, list):
        return []
    return [_with_id(item, response_id, at) for at, item in enumerate(given)]


def _with_id(item: Any, response_id: str, at: int) -> Any:
    if not isinstance(item, dict) or item.get("type") == "item_reference":
        return item
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind is None or item.get("id"):
        return item
    prefix = "msg" if kind == "message" else "item"
    return {
        "id": f"{prefix}_{response_id.removeprefix('resp_')}i{at:x}",
        **item,
        "type": kind,
        **({"status": "completed"} if kind == "message" and "status" not in item else {}),
    }


def context_of(links: Sequence[Link]) -> Iterator[Any]:
    """What came before, oldest first: input, then output, of each.  links: the newest first."""
    for link in reversed(links):
        yield from msgspec.json.decode(link.input)
        yield from msgspec.json.decode(link.body).get("output") or ()


def check_store(document: dict[str, Any], caller: Caller) -> None:
    """Where nothing is kept, nothing can be followed.  Raises: Refusal: zero_retention, invalid_value."""
    for field in ("previous_response_id", "conversation", "background"):
        value = document.get(field)
        if caller.content_ms_max == 0 and value not in (None, False):
            raise errors.ZERO_RETENTION(
                f"{field!r} is {shown(value)}, but nothing is kept of the requests of this project "
                "(zero retention).",
                field=field,
                value=brief(value),
                remedy="Send the earlier turns in 'input', and wait for the answer; or use a project "
                "that keeps content.",
            )
    if document.get("background") is True and document.get("store") is False:
        raise errors.INVALID_VALUE(
            "'background' is true and 'store' is false; what nobody waits for has to be kept.",
            field="store",
            value=False,
            limit=True,
        )
    if (
        document.get("previous_response_id") is not None
        and document.get("conversation") is not None
    ):
        raise errors.INVALID_VALUE(
            "'previous_response_id' and 'conversation' cannot stand together: each says what came "
            "before.",
            field="conversation",
            value=brief(document["conversation"]),
            remedy="Send one of the two.",
        )


def check_chain(
    asked: str, found: Sequence[tuple[str, str | None, str, int]], keeping: Keeping
) -> list[str]:
    """The ids of all that is followed, the newest first.  Raises: Refusal."""
    if not found:
        raise _gone(asked, asked)
    for response_id, _, state, _ in found:
        if state not in WHOLE:
            raise errors.CONFLICT(
                f"'previous_response_id' leads to {response_id!r}, which is {state}; only what was "
                "answered can be followed.",
                field="previous_response_id",
                value=brief(asked),
                limit=sorted(WHOLE),
            )
    if len(found) > keeping.links_max:
        raise errors.OUT_OF_RANGE(
            f"'previous_response_id' follows more than {keeping.links_max} responses.",
            field="previous_response_id",
            value=brief(asked),
            limit=keeping.links_max,
            remedy="Begin anew, with what matters of them in 'input'; /v1/responses/compact helps.",
        )
    last = found[-1][1]
    if last is not None:
        raise _gone(asked, last)
    size = sum(each[3] for each in found)
    if size > keeping.context_bytes_max:
        raise errors.BODY_TOO_LARGE(
            f"The responses that 'previous_response_id' follows have {size} bytes together; at most "
            f"{keeping.context_bytes_max} can be followed.",
            field="previous_response_id",
            value=size,
            limit=keeping.context_bytes_max,
            remedy="Begin anew, with what matters of them in 'input'; /v1/responses/compact helps.",
        )
    return [each[0] for each in found]


def _gone(asked: str, missing: str) -> Refusal:
    """Somebody else's is told from none by nothing."""
    through = "" if asked == missing else f", which {asked[:100]!r} follows,"
    return errors.PREVIOUS_RESPONSE_NOT_FOUND(
        f"The response {missing[:100]!r}{through} is not kept here: it never was, was deleted, or "
        "has expired.",
        field="previous_response_id",
        value=brief(asked),
    )


def as_sent(refusal: Refusal, before: int) -> Refusal:
    """`refusal` of a request whose input begins with `before` items that its caller did not send."""
    found = re.match(r"input\[(\d+)\]", refusal.field or "")
    if not found or not before:
        return refusal
    assert refusal.field is not None
    at, rest = int(found[1]), refusal.field[found.end() :]
    field = f"input[{at - before}]{rest}" if at >= before else "previous_response_id"
    refusal.message = refusal.message.replace(f"'{refusal.field}'", f"'{field}'")
    refusal.field = field
    return refusal
