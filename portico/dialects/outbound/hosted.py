"""Tools that a provider runs by itself: searches, sandboxes, stores of files.

They cost the operator money that no meter here counts, so they are not passed on.  A caller who
insists on one is refused.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from portico.dialects.losses import Losses

_NOTHING = (None, msgspec.Raw(b"null"))


def without_hosted(
    fields: dict[str, Any],
    is_hosted: Callable[[dict[str, Any]], bool],
    chosen: Callable[[Any], str],
    losses: Losses,
) -> None:
    """Take them out of `fields`, a body whose members are raw JSON.

    chosen: the name of the one tool that a `tool_choice` asks for, "" for none.
    Raises: Refusal: that is one of them.
    """
    if fields.get("tools") in _NOTHING:
        return
    tools = msgspec.json.decode(fields["tools"])
    hosted = [tool for tool in tools if isinstance(tool, dict) and is_hosted(tool)]
    if not hosted:
        return
    names = {str(tool.get("name") or tool.get("type")) for tool in hosted}
    raw = fields.get("tool_choice")
    choice = None if raw in _NOTHING else msgspec.json.decode(raw)
    if chosen(choice) in names:
        raise losses.refusal("tool_choice", "the engine's own tools are not offered here", choice)
    for name in sorted(names):
        losses.drop(f"tools[{name}]", "the engine's own tools are not offered here")
    fields["tools"] = [tool for tool in tools if tool not in hosted]
    if not fields["tools"]:
        del fields["tools"]
        fields.pop("tool_choice", None)
