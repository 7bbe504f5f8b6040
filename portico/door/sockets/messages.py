"""What a client may say in a message.  Pure."""

from typing import Any

import msgspec

from portico import errors
from portico.dialects.body import json_object
from portico.dialects.diagnosis import brief, not_one_of, shown, wrong_type
from portico.door.sockets.framed import Wanted

_CREATE = "response.create"
_LANE_CHARACTERS_MAX = 128
_OF_THE_MESSAGE = ("type", "stream_id", "generate")
"""Fields that are no part of the request."""

_document = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Message(msgspec.Struct):
    type: Any = None
    stream_id: Any = None
    generate: Any = None
    stream: Any = None
    background: Any = None
    previous_response_id: Any = None


_message = msgspec.json.Decoder(_Message)


def lane_in(message: bytes) -> str:
    """ "" where it says none, or nothing that could be read."""
    try:
        lane = _message.decode(message).stream_id
    except (ValueError, RecursionError):
        return ""
    return lane if isinstance(lane, str) and len(lane) <= _LANE_CHARACTERS_MAX else ""


def wanted_in(message: bytes) -> Wanted:
    """Raises: Refusal."""
    try:
        said, fields = _message.decode(message), _document.decode(message)
    except (ValueError, RecursionError):
        json_object(message)  # says what is wrong with it
        raise errors.INVALID_JSON("The message is not a JSON document that can be read.") from None
    _check_type(said.type)
    _check_flag("generate", said.generate)
    if said.background not in (None, False):
        raise _not_here("background", said.background, "A WebSocket is for whoever waits", False)
    if said.stream not in (None, True):
        raise _not_here("stream", said.stream, "Over a WebSocket every answer is streamed", True)
    generates = said.generate is not False
    for name in _OF_THE_MESSAGE:
        fields.pop(name, None)
    fields["stream"] = msgspec.Raw(b"true")
    if not generates:
        fields["store"] = msgspec.Raw(b"false")  # there is no answer that could be kept
    previous_id = said.previous_response_id
    return Wanted(
        msgspec.json.encode(fields),
        previous_id if isinstance(previous_id, str) else "",
        _checked_lane(said.stream_id),
        generates,
    )


def _check_type(kind: Any) -> None:
    if kind is None:
        raise errors.MISSING_FIELD("'type' is missing.", field="type", limit=[_CREATE])
    if kind == "response.steer":
        raise errors.UNSUPPORTED_FEATURE(
            "A response that is being made cannot be steered here.",
            field="type",
            value=kind,
            remedy="Let it end, or close the connection; then say more with 'response.create'.",
        )
    if kind != _CREATE:
        raise not_one_of("type", kind, [_CREATE])


def _check_flag(field: str, value: Any) -> None:
    if not isinstance(value, bool | None):
        raise wrong_type(field, value, ["bool"])


def _checked_lane(lane: Any) -> str:
    if not isinstance(lane, str | None):
        raise wrong_type("stream_id", lane, ["str"])
    if lane is not None and not 0 < len(lane) <= _LANE_CHARACTERS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'stream_id' has {len(lane)} characters; it must have 1 to {_LANE_CHARACTERS_MAX}.",
            field="stream_id",
            value=brief(lane),
            limit=_LANE_CHARACTERS_MAX,
        )
    return lane or ""


def _not_here(field: str, value: Any, why: str, limit: bool) -> errors.Refusal:
    word = "true" if limit else "false"
    return errors.INVALID_VALUE(
        f"{field!r} is {shown(value)}.  {why}: it must be {word}, or left out.",
        field=field,
        value=brief(value),
        limit=limit,
    )
