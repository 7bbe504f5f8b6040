"""The body for an engine that speaks Chat: the caller's own, but for the fields we own."""

from collections.abc import Mapping
from typing import Any

import msgspec

from portico.canon.prompt import Prompt

_USAGE_ON = msgspec.Raw(b'{"include_usage":true}')
_options = msgspec.json.Decoder(dict[str, msgspec.Raw])


def body_for(
    prompt: Prompt, model: str, changes: Mapping[str, bytes | None] | None = None
) -> bytes:
    """The request body to send for `prompt`.

    model: the engine's name for it.
    changes: JSON to set top-level members to, or None to leave them out; what an engine's adapter
      needs beyond the fields we own everywhere.
    Every other member keeps its place and its bytes.  When nothing changes, and it would be written
    just so, this is `prompt.body` itself.
    """
    fields = prompt.fields
    edits: dict[str, Any] = {}
    if model != prompt.model:
        edits["model"] = msgspec.Raw(msgspec.json.encode(model))
    if prompt.stream:
        _ask_for_usage(fields, edits)
    if _drops_old_limit(fields):
        edits["max_tokens"] = None
    if changes:
        for name, value in changes.items():
            edits[name] = None if value is None else msgspec.Raw(value)
    if edits:
        merged = {**fields, **edits}
        fields = {name: raw for name, raw in merged.items() if raw is not None}
    # Written anew from what we read, always: of a member written twice we obey the last, and an
    # engine that obeys the first would run a model or a limit that nobody checked.
    written = msgspec.json.encode(fields)
    return prompt.body if written == prompt.body else written


def _ask_for_usage(fields: dict[str, msgspec.Raw], edits: dict[str, Any]) -> None:
    """Always: what is generated is metered, whether or not the caller wants to see it."""
    said = fields.get("stream_options")
    if said is None or bytes(said) == b"null":
        edits["stream_options"] = _USAGE_ON
    elif bytes(said) != bytes(_USAGE_ON):
        options = {**_options.decode(said), "include_usage": msgspec.Raw(b"true")}
        edits["stream_options"] = msgspec.Raw(msgspec.json.encode(options))


def _drops_old_limit(fields: dict[str, msgspec.Raw]) -> bool:
    """max_completion_tokens wins, in every engine, not only in those that know that it does."""
    old, new = fields.get("max_tokens"), fields.get("max_completion_tokens")
    if old is None or new is None:
        return False
    return bytes(new) not in (b"null", bytes(old))
