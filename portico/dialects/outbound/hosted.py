"""What of a provider's own is not for callers.

Tools that it runs by itself (searches, sandboxes, stores of files) cost the operator money that no
meter here counts, so they are not passed on; a caller who insists on one is refused.  What it keeps
for an account belongs to the operator's.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from portico.dialects.losses import Losses

Tool = dict[str, Any]
Parted = Callable[[Tool], tuple[Tool, set[str]]]
"""What is left of a tool without what the provider runs, {} for nothing; and names of the rest."""
NOTHING = (None, msgspec.Raw(b"null"), msgspec.Raw(b'""'))
"""What a member says nothing with."""


def without_kept(fields: dict[str, Any], names: Iterable[str], losses: Losses) -> None:
    """names: of members that name what a provider keeps for the account it is asked from, which is
    the operator's.  Raises: Refusal: where they do."""
    for name in names:
        if fields.pop(name, None) not in NOTHING:
            raise losses.refusal(name, "it names something kept in the operator's account")


def without_hosted(
    fields: dict[str, Any], parted: Parted, chosen: Callable[[Any], str], losses: Losses
) -> None:
    """Take them out of `fields`, a body whose members are raw JSON.

    chosen: the name of the one tool that a `tool_choice` asks for, "" for none.
    Raises: Refusal: that is one of them.
    """
    if fields.get("tools") in NOTHING:
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
    choice = None if raw in NOTHING else msgspec.json.decode(raw)
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
