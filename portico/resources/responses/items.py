"""Items of a request's own input: what refers to others, and an id for each.  Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from portico import errors
from portico.dialects.diagnosis import brief, shown
from portico.resources.responses.model import Link

_ID_CHARACTERS_MAX = 128
_OURS = re.compile(r"[a-z]+_([0-9a-f]{32})")
"""Ids of items begin with that of the response that they are of."""


class _Head(msgspec.Struct):
    id: Any = None
    type: Any = None
    role: Any = None

    @property
    def is_reference(self) -> bool:
        if self.type is None:
            return self.role is None and self.id is not None
        return bool(self.type == "item_reference")


_heads = msgspec.json.Decoder(list[_Head])
_head = msgspec.json.Decoder(_Head)
_raws = msgspec.json.Decoder(list[msgspec.Raw])


class _Output(msgspec.Struct):
    output: list[msgspec.Raw] = []


_output = msgspec.json.Decoder(_Output)


@dataclass(frozen=True, slots=True)
class Given:
    """The items of an input: at which place of it each stands; which are references, to what."""

    items: list[msgspec.Raw]
    places: list[int]
    references: Mapping[int, str]


def given_in(said: msgspec.Raw) -> Given | None:
    """`input` as it was sent.  None where it is no text and no list of objects, or a reference has
    no text for an id: its dialect says what is wrong with it."""
    raw = bytes(said)
    if raw in (b"", b"null"):
        return Given([], [], {})
    if raw[:1] == b'"':
        part = {"type": "input_text", "text": said}
        message = {"type": "message", "role": "user", "content": [part]}
        return Given([msgspec.Raw(msgspec.json.encode(message))], [0], {})
    try:
        items, heads = _raws.decode(raw), _heads.decode(raw)
    except (ValueError, RecursionError):
        return None
    references = {at: head.id for at, head in enumerate(heads) if head.is_reference}
    if not all(isinstance(each, str) and each for each in references.values()):
        return None
    return Given(items, list(range(len(items))), references)


def ids_of(items: Sequence[msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """By id, those that have one."""
    found = ((_head.decode(item).id, item) for item in items)
    return {item_id: item for item_id, item in found if isinstance(item_id, str)}


def responses_of(references: Collection[str]) -> list[str]:
    """The ids of the responses that these items are of, if they are of any."""
    found = (_OURS.match(each) for each in references)
    return list(dict.fromkeys(f"resp_{each[1]}" for each in found if each))


def items_of(link: Link) -> list[msgspec.Raw]:
    """Its input, then its output."""
    return _raws.decode(link.input) + _output.decode(link.body).output


def resolved(given: Given, before: Collection[str], elsewhere: Mapping[str, msgspec.Raw]) -> Given:
    """What was referred to in the place of what refers to it; nothing where it stands before the
    input anyway.  Raises: Refusal: resource_not_found."""
    items: list[msgspec.Raw] = []
    places: list[int] = []
    for at, item in zip(given.places, given.items, strict=True):
        meant = given.references.get(at)
        if meant is not None and meant in before:
            continue
        items.append(item if meant is None else _meant(at, meant, elsewhere))
        places.append(at)
    return Given(items, places, {})


def _meant(at: int, item_id: str, elsewhere: Mapping[str, msgspec.Raw]) -> msgspec.Raw:
    found = elsewhere.get(item_id)
    if found is None:
        raise errors.RESOURCE_NOT_FOUND(
            f"'input[{at}].id' is {shown(item_id)}; there is no such item among those kept here.",
            field=f"input[{at}].id",
            value=brief(item_id),
            remedy="Send the item itself in its place.  Of answers with `store: false` none is kept.",
        )
    return found


def identified(
    items: Sequence[msgspec.Raw], response_id: str, taken: Collection[str] = ()
) -> list[Any]:
    """Each with an id of its own: what was sent without one, or with that of another, gets one."""
    known = set(taken)
    return [
        _with_id(msgspec.json.decode(item), response_id, at, known) for at, item in enumerate(items)
    ]


def _with_id(item: Any, response_id: str, at: int, known: set[str]) -> Any:
    if not isinstance(item, dict):
        return item
    kind = item.get("type") or "message"
    own = item.get("id")
    if not isinstance(own, str) or not 0 < len(own) <= _ID_CHARACTERS_MAX or own in known:
        prefix = "msg" if kind == "message" else "item"
        own = f"{prefix}_{response_id.removeprefix('resp_')}i{at:x}"
    known.add(own)
    finished = {"status": "completed"} if kind == "message" and "status" not in item else {}
    return {**item, "id": own, "type": kind, **finished}
