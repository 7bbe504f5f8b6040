"""One round of an answer that remote tools are called for: a journey of its own, with its own hold and
its own record."""

from dataclasses import dataclass, field, replace
from typing import Protocol

from portico.admission.service import Permit
from portico.callers.model import Caller
from portico.canon.conversation import Item, Message, TextPart, Thought, ToolCall
from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.prompt import Prompt
from portico.canon.remote import RemoteAsked, RemoteTool, Server
from portico.canon.usage import Meters
from portico.dialects.writing import Kept as Pieces
from portico.door.visits.generation import Visit
from portico.keeping.model import Kept
from portico.replay.claim import Claim

NATURAL = frozenset({"stop", "stop_sequence", "tool_calls"})
"""What a round ends with whose calls are whole."""


@dataclass(slots=True)
class Call:
    """Of the model's, as it comes.  found: whose tool it is; None: the caller's own."""

    id: str
    name: str
    found: tuple[Server, RemoteTool] | None
    index: int
    """As the caller sees it."""
    custom: bool = False
    pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        return "".join(self.pieces) or ("" if self.custom else "{}")


@dataclass(slots=True)
class _Said:
    """Words, or a thought, between calls."""

    thought: bool
    pieces: list[str] = field(default_factory=list)
    sealed: Sealed | None = None

    @property
    def item(self) -> Item:
        text, sealed = "".join(self.pieces), self.sealed
        if not self.thought:
            return Message("assistant", (TextPart(text),))
        return Thought(text) if sealed is None else Thought(text, sealed.blob, sealed.issuer)


class Ending(Protocol):
    """Says how a round ends."""

    def close(self, round: "Round", final: Delta) -> Delta | None:
        """The last of the whole answer; None: there is another round."""
        ...

    def charged(self, nano: int | None) -> int | None:
        """For all rounds, given what this one came to."""
        ...


class Round:
    """Arrival and Client of one journey.  base: what the rounds before used.

    The first one stands for the request: its id, and what its head says.
    """

    def __init__(
        self,
        visit: Visit,
        prompt: Prompt,
        ending: Ending,
        functions: dict[str, tuple[Server, RemoteTool]],
        *,
        request_id: str,
        arrived_s: float,
        base: Meters,
        shown: int,
        ahead: tuple[Event, ...],
        ids: set[str],
    ) -> None:
        """ids: of calls, in the rounds before.  shown: calls of the caller's own tools so far.  ahead: events that go before its own."""
        self.request_id = request_id
        self.arrived_s = arrived_s
        self.credential = visit.credential
        self.scope = visit.scope
        self.address = visit.address
        self.leaving = visit.leaving
        self.claim: Claim | None = visit.claim
        if self.claim is not None:
            self.claim.goes_on = False
        self.goes_on = False
        self.recorded = False
        """Its record tells what became of the answer."""
        self.finished = Finished("stop")
        self.calls: dict[int, Call] = {}
        self.shown = shown
        self.asked: list[RemoteAsked] = []
        """Calls that wait for their caller's word."""
        self._visit = visit
        self._prompt = prompt
        self._ending = ending
        self._functions = functions
        self._base = base
        self._pieces = Pieces()
        self._ahead = ahead
        self._ids = ids
        self._rest: tuple[Event, ...] = ()
        self._items: list[_Said | Call] = []

    # -- arrival -------------------------------------------------------------------------------

    @property
    def keeper(self) -> "Round | None":
        return None if self._visit.keeper is None else self

    async def read(self, caller: Caller) -> Prompt:
        return self._prompt

    def end(self, outcome: str) -> Kept | None:
        """What is kept of the answer, if this is the end of it."""
        self.recorded = not self.goes_on
        if self.goes_on or self._visit.keeper is None:
            return None
        return self._visit.keeper.end(outcome)

    # -- client --------------------------------------------------------------------------------

    def admitted(self, permit: Permit) -> None:
        if self.request_id == self._visit.request_id:
            self._visit.admitted(permit)

    def served_by(self, deployment: str) -> None:
        if self.request_id == self._visit.request_id:
            self._visit.served_by(deployment)

    async def send(self, delta: Delta) -> None:
        if not delta.last:
            await self._visit.send(self._shown(delta))
            return
        charged_nano = self._ending.charged(delta.charged_nano)
        if not self.goes_on:
            await self._visit.send(Delta(last=True, charged_nano=charged_nano))
        elif self._rest:
            await self._visit.send(Delta(events=self._rest, meters=self.used))

    def compose(self, final: Delta) -> None:
        last = self._shown(final)
        self._rest = last.events
        end = self._ending.close(self, final)
        self.goes_on = end is None
        if self.claim is not None:
            self.claim.goes_on = self.goes_on
        if end is not None:
            end.events = (*self._rest, *end.events)
            self._visit.compose(end)

    # -- what comes ----------------------------------------------------------------------------

    @property
    def used(self) -> Meters:
        """By all rounds up to this one."""
        return self._base.plus(self._pieces.total())

    @property
    def items(self) -> list[Item]:
        """What it made, as the next round is told it."""
        return [
            ToolCall(each.id, each.name, each.arguments, each.custom)
            if isinstance(each, Call)
            else each.item
            for each in self._items
        ]

    def _shown(self, delta: Delta) -> Delta:
        """What of it the caller sees now, with usage as of the whole answer."""
        self._pieces.count(delta)
        events = [shown for event in delta.events if (shown := self._taken(event)) is not None]
        events[:0] = self._ahead
        self._ahead = ()
        told = None if delta.meters is None else self._base.plus(delta.meters)
        return Delta(events=tuple(events), output_tokens=delta.output_tokens, meters=told)

    def _taken(self, event: Event) -> Event | None:
        """As it is shown; None: it is not, or not yet."""
        if event.choice:
            return None
        match event:
            case Finished():
                self.finished = event
                return None
            case ToolCallBegan():
                return self._begun(event)
            case ToolArguments():
                call = self.calls.get(event.index)
                if call is not None:
                    call.pieces.append(event.json)
                    return replace(event, index=call.index) if call.found is None else None
        self._remember(event)
        return event

    def _begun(self, event: ToolCallBegan) -> Event | None:
        found = self._functions.get(event.name)
        call = Call(self._id_of(event.id), event.name, found, self.shown, event.custom)
        self.calls[event.index] = call
        self._items.append(call)
        if found is not None:
            return None
        self.shown += 1
        return replace(event, index=call.index)

    def _id_of(self, call_id: str) -> str:
        """Some engines begin anew with every round; in the next one's history ids are of one call."""
        given, count = call_id, 2
        while given in self._ids:
            given, count = f"{call_id}_{count}", count + 1
        self._ids.add(given)
        return given

    def _remember(self, event: Event) -> None:
        match event:
            case Text(text=text) | Refused(text=text) if text:
                self._said(thought=False).pieces.append(text)
            case Reasoning(text=text) if text:
                self._said(thought=True).pieces.append(text)
            case Sealed():
                self._said(thought=True).sealed = event

    def _said(self, *, thought: bool) -> "_Said":
        last = self._items[-1] if self._items else None
        if isinstance(last, _Said) and last.thought == thought and last.sealed is None:
            return last
        said = _Said(thought)
        self._items.append(said)
        return said
