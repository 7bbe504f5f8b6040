"""Reasoning efforts: those a model takes, and what it is told in the place of others.  Pure.

Which ones a model takes is said by the operator, by llama.cpp (whose templates know efforts or do
not), or by the first refusal of one that it does not take.
"""

import re

import msgspec
from msgspec.structs import replace

from portico.canon.prompt import Prompt
from portico.dialects.effort import EFFORTS, in_order, nearest_effort
from portico.dialects.losses import Losses

FIELD = "reasoning_effort"


class _Asked(msgspec.Struct):
    reasoning_effort: str | None = None


_QUOTED = re.compile(r"['\"]([a-z]{1,16})['\"]")
_LIST = re.compile(r"supported values|should be|must be|one of|expected", re.IGNORECASE)
_TAKES_NONE = re.compile(r"unsupported parameter|unrecognized|not permitted", re.IGNORECASE)


def in_known_effort(prompt: Prompt, efforts: frozenset[str]) -> Prompt:
    """A Chat request, with an effort that the model takes.

    A model that takes none at all is not told any, and thinks as it likes.
    Raises: Refusal: naming those it takes, unless the caller's key says `adapt`.
    """
    raw = prompt.fields.get(FIELD)
    if raw is None:
        return prompt
    said = msgspec.json.decode(raw)
    if said is None or said in efforts:
        return prompt
    losses = Losses(prompt.compatibility)
    fields = {name: value for name, value in prompt.fields.items() if name != FIELD}
    if efforts:
        known = ", ".join(in_order(efforts))
        losses.emulate(FIELD, f"the model takes {known}, not {said}", said)
        fields[FIELD] = msgspec.Raw(b'"%b"' % nearest_effort(said, efforts).encode("ascii"))
    else:
        losses.drop(FIELD, "the model takes none", said)
    losses.tell(prompt)
    return replace(prompt, fields=fields)


def efforts_told(message: str, body: bytes) -> frozenset[str] | None:
    """What a refusal says of the efforts that are taken; None where it says nothing, or the refused
    request (`body`) asked for none."""
    if FIELD not in message:
        return None
    asked = msgspec.json.decode(body, type=_Asked).reasoning_effort
    if asked is None:
        return None
    listed = _LIST.search(message)
    if listed is not None:
        found = frozenset(_QUOTED.findall(message[listed.end() :])) & frozenset(EFFORTS)
        return found - {asked} or None  # some repeat what they refuse
    return frozenset() if _TAKES_NONE.search(message) else None
