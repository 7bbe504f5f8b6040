"""A history as the strict dialects want it: instructions apart, turns that alternate, tool results
first in the turn after their calls and in the calls' order, ids that are legal and occur once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from portico.canon.conversation import Item, Message, Thought, ToolCall, ToolResult

_LEGAL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(slots=True)
class Turn:
    """Everything one side says before the other does.  calls: of the model, in the turn before."""

    side: Literal["user", "model"]
    items: list[Item] = field(default_factory=list)
    calls: tuple[ToolCall, ...] = ()

    def ordered(self) -> list[Item]:
        """Results first, as their calls were made; those of no call after them."""
        if self.side == "model":
            return self.items
        place = {call.id: at for at, call in enumerate(self.calls)}
        results = [item for item in self.items if isinstance(item, ToolResult)]
        results.sort(key=lambda result: place.get(result.call_id, len(place)))
        return [*results, *(item for item in self.items if not isinstance(item, ToolResult))]


@dataclass(frozen=True, slots=True)
class History:
    """system: instructions, wherever they stood.  moved: some stood after the first turn."""

    system: tuple[Message, ...]
    moved: bool
    turns: tuple[Turn, ...]


def history_of(items: Iterable[Item]) -> History:
    system: list[Message] = []
    turns: list[Turn] = []
    moved = False
    for item in with_legal_ids(items):
        if isinstance(item, Message) and item.role in ("system", "developer"):
            system.append(item)
            moved = moved or bool(turns)
            continue
        side = _side(item)
        if not turns or turns[-1].side != side:
            before = turns[-1].items if turns else ()
            calls = tuple(each for each in before if isinstance(each, ToolCall))
            turns.append(Turn(side, calls=calls))
        turns[-1].items.append(item)
    return History(tuple(system), moved, tuple(turns))


def _side(item: Item) -> Literal["user", "model"]:
    if isinstance(item, ToolCall | Thought):
        return "model"
    return "model" if isinstance(item, Message) and item.role == "assistant" else "user"


def with_legal_ids(items: Iterable[Item]) -> list[Item]:
    """Ids of tool calls, changed only where they cannot be kept: empty, used before, or with
    characters that a provider refuses.  A result goes to the call of its id in the turn before it,
    and of several there to the first that has none yet."""
    ids = _Ids()
    return [ids.named(at, item) for at, item in enumerate(items)]


class _Ids:
    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._waiting: dict[str, list[str]] = {}
        self._latest: dict[str, str] = {}
        self._answered = False

    def named(self, at: int, item: Item) -> Item:
        if isinstance(item, ToolCall):
            return self._call(at, item)
        if _side(item) == "user":
            self._answered = True
        return self._result(at, item) if isinstance(item, ToolResult) else item

    def _call(self, at: int, call: ToolCall) -> ToolCall:
        if self._answered:  # a new turn: whatever waited is not answered any more
            self._waiting.clear()
            self._answered = False
        legal = call.id not in self._taken and _LEGAL_ID.fullmatch(call.id)
        id = call.id if legal else self._fresh(at)
        self._taken.add(id)
        self._latest[call.id] = id
        self._waiting.setdefault(call.id, []).append(id)
        return call if legal else replace(call, id=id)

    def _result(self, at: int, result: ToolResult) -> ToolResult:
        waiting = self._waiting.get(result.call_id)
        id = waiting.pop(0) if waiting else self._latest.get(result.call_id, result.call_id)
        if not _LEGAL_ID.fullmatch(id):
            id = self._fresh(at)
        return result if id == result.call_id else replace(result, call_id=id)

    def _fresh(self, at: int) -> str:
        """By position, so that the same history gets the same ids again (a prompt cache may hit)."""
        id = f"call_{at}"
        while id in self._taken:
            id += "_"
        return id
