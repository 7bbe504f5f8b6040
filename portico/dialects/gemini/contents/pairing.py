"""Which call a result belongs to.  Ids are optional in this dialect: then order and name decide."""

from collections import deque
from dataclasses import dataclass

from portico.dialects.gemini.request import FunctionCall, FunctionResponse


@dataclass(slots=True)
class _Call:
    id: str
    answered: bool = False


class Calls:
    """The calls of one history, told in their order."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._made = 0
        self._by_id: dict[str, deque[_Call]] = {}
        self._by_name: dict[str, deque[_Call]] = {}

    def made(self, call: FunctionCall) -> str:
        """Its id: the caller's own, or one by position where there is none or it is taken."""
        self._made += 1
        told = call.id or ""
        id = told
        if not id or id in self._ids:
            id = f"call_{self._made}"
        while id in self._ids:
            id += "_"
        self._ids.add(id)
        noted = _Call(id)
        self._by_name.setdefault(call.name, deque()).append(noted)
        if told:
            self._by_id.setdefault(told, deque()).append(noted)
        return id

    def answered(self, response: FunctionResponse) -> str | None:
        """The id of the call this is the result of; None where no such call is open."""
        for found in (self._by_id.get(response.id or ""), self._by_name.get(response.name)):
            while found:
                call = found.popleft()
                if not call.answered:
                    call.answered = True
                    return call.id
        return None
