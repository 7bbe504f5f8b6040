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
    Every other member keeps its place and its bytes.  When nothing changes this is `prompt.body`
    itself.
    """
    fields = prompt.fields
    edits: dict[str, Any] = {}
    if model != prompt.model:
        edits["model"] = msgspec.Raw(msgspec.json.encode(model))
    if prompt.stream:
        _ask_for_usage(fields, edits)
    if _drops_old_limit(fields):
        edits["max_tokens"] = None
    for name, value in (changes or {}).items():
        edits[name] = None if value is None else msgspec.Raw(value)
    edits = {name: raw for name, raw in edits.items() if raw is not None or name in fields}
    if not edits and _is_compact(prompt.body, fields):
        return prompt.body
    merged = {**fields, **edits}
    return msgspec.json.encode({name: raw for name, raw in merged.items() if raw is not None})


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


def _is_compact(body: bytes, fields: dict[str, msgspec.Raw]) -> bool:
    """No byte between the members, hence no member twice.

    Of a member written twice we obey the last; an engine that obeys the first would run a model
    or a limit that nobody checked.  Such bodies are written anew from what we read.
    """
    names_and_values = sum(len(name) + len(bytes(raw)) for name, raw in fields.items())
    return len(body) == names_and_values + 4 * len(fields) + 1
