"""Tool calls put in order: which call a fragment belongs to, whatever its index and id say.

Seen in the wild: no index at all, the same index for parallel calls, an index that drifts, an id
on every fragment or a new one on each, the name repeated, arguments as an object.
"""

from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(slots=True)
class _Call:
    position: int
    id: str
    said_id: str
    said_index: Any
    name: str
    arguments: str = ""

    @property
    def complete(self) -> bool:
        try:
            return isinstance(msgspec.json.decode(self.arguments), dict)
        except (ValueError, RecursionError):
            return False


class ToolCalls:
    """The calls of one choice.  owner: makes the ids that an engine leaves out or uses twice
    unique across turns."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._calls: list[_Call] = []

    def __len__(self) -> int:
        return len(self._calls)

    def place(self, fragment: dict[str, Any]) -> dict[str, Any]:
        """`fragment` as a client expects it: our index, and id, type and name only at the start
        of a call.  Members we do not know survive."""
        said = fragment.get("function")
        function = dict(said) if isinstance(said, dict) else {}
        arguments = _text_of(function.get("arguments"))
        call = self._continued(fragment, function)
        start: dict[str, Any] = {}
        if call is None:
            call = self._begin(fragment, function)
            start = {"id": call.id, "type": "function"}
            function = {**function, "name": call.name, "arguments": arguments}
        else:
            function = {**function, "arguments": arguments}
            function.pop("name", None)
        call.said_index = fragment.get("index", call.said_index)
        call.arguments += arguments
        rest = {k: v for k, v in fragment.items() if k not in ("index", "id", "type", "function")}
        return {"index": call.position, **start, "function": function, **rest}

    def _begin(self, fragment: dict[str, Any], function: dict[str, Any]) -> _Call:
        position = len(self._calls)
        said_id = _text_of(fragment.get("id"))
        taken = {call.id for call in self._calls}
        id_ = said_id if said_id and said_id not in taken else f"call_{self._owner}_{position}"
        name = _text_of(function.get("name"))
        call = _Call(position, id_, said_id, fragment.get("index"), name)
        self._calls.append(call)
        return call

    def _continued(self, fragment: dict[str, Any], function: dict[str, Any]) -> _Call | None:
        """The call `fragment` goes on with; None when it begins one."""
        if not self._calls:
            return None
        said_id, name = _text_of(fragment.get("id")), _text_of(function.get("name"))
        same_id = self._latest(lambda call: bool(said_id) and call.said_id == said_id)
        index = fragment.get("index")
        same_index = self._latest(lambda call: call.said_index == index)
        here = same_id or same_index or self._calls[-1]
        if not name:
            return here
        if said_id and same_id is None:
            return None
        if same_id is None and same_index is None and index is not None:
            return None
        # The name again: the same call if it was still being written, else another like it.
        return here if here.name == name and not here.complete else None

    def _latest(self, fits: Any) -> _Call | None:
        return next((call for call in reversed(self._calls) if fits(call)), None)


def _text_of(value: Any) -> str:
    """Engines that send arguments as an object mean its JSON."""
    if value is None or value == "":
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
