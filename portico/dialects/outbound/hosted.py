"""Tools that a provider runs by itself: searches, sandboxes, stores of files.

They cost the operator money that no meter here counts, so they are not passed on.  A caller who
insists on one is refused.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from portico.dialects.losses import Losses

Tool = dict[str, Any]
Parted = Callable[[Tool], tuple[Tool, set[str]]]
"""What is left of a tool without what the provider runs, {} for nothing; and names of the rest."""

_NOTHING = (None, msgspec.Raw(b"null"))


def without_hosted(
    fields: dict[str, Any], parted: Parted, chosen: Callable[[Any], str], losses: Losses
) -> None:
    """Take them out of `fields`, a body whose members are raw JSON.

    chosen: the name of the one tool that a `tool_choice` asks for, "" for none.
    Raises: Refusal: that is one of them.
    """
    if fields.get("tools") in _NOTHING:
        return
    kept: list[Any] = []
    names: set[str] = set()
    for tool in msgspec.json.decode(fields["tools"]):
        rest, hosted = parted(tool) if isinstance(tool, dict) else (tool, set[str]())
        names |= hosted
        kept += [rest] if rest or not hosted else []
    if not names:
        return
    raw = fields.get("tool_choice")
    choice = None if raw in _NOTHING else msgspec.json.decode(raw)
    if chosen(choice) in names:
        raise losses.refusal("tool_choice", "the engine's own tools are not offered here", choice)
    for name in sorted(names):
        losses.drop(f"tools[{name}]", "the engine's own tools are not offered here")
    fields["tools"] = kept
    if not kept:
        del fields["tools"]
        fields.pop("tool_choice", None)


def by_type(*beginnings: str) -> Parted:
    """For dialects whose tools have a type: those that begin so are the provider's."""

    def parted(tool: Tool) -> tuple[Tool, set[str]]:
        kind = str(tool.get("type", ""))
        return (
            ({}, {str(tool.get("name") or kind)}) if kind.startswith(beginnings) else (tool, set())
        )

    return parted
