"""Responses that nobody keeps, and that can be followed for as long as a connection lasts.

They are in the memory of this process alone: no disk, no log, no other connection sees them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.dialects.body import without_bom
from portico.dialects.diagnosis import brief
from portico.kit.clock import Clock
from portico.resources.responses.items import Given, given_in, ids_of
from portico.resources.responses.keeper import Teller
from portico.resources.responses.rules import Said, lasting, said_in
from portico.resources.responses.states import Turn

_WHOLE = frozenset({"completed", "out_of_funds"})
_document = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Answered(msgspec.Struct):
    id: str = ""
    output: list[msgspec.Raw] = []


_answered = msgspec.json.Decoder(_Answered)


class _Joined(msgspec.Struct):
    input: msgspec.Raw = msgspec.Raw(b"")


_joined = msgspec.json.Decoder(_Joined)


class Knowing(Protocol):
    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn: ...

    def close(self, turn: Turn) -> None: ...


@dataclass(frozen=True, slots=True)
class Link:
    """items: its own input, then its output.  previous_id: what it follows."""

    items: Sequence[msgspec.Raw]
    previous_id: str | None
    size_bytes: int


class Room:
    """What all connections of this server may remember together."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held_bytes = 0


class Memory:
    """Of one connection.  What does not fit makes room: the oldest goes first.

    bytes_max, links_max: of all it remembers.
    """

    def __init__(self, bytes_max: int, links_max: int, room: Room) -> None:
        self._bytes_max = bytes_max
        self._links_max = links_max
        self._room = room
        self._links: dict[str, Link] = {}
        self._held_bytes = 0

    def __contains__(self, response_id: str) -> bool:
        return response_id in self._links

    def put(self, response_id: str, link: Link) -> None:
        self.forget(response_id)
        while self._links and not self._fits(link):
            self.forget(next(iter(self._links)))
        if self._fits(link):
            self._links[response_id] = link
            self._held_bytes += link.size_bytes
            self._room.held_bytes += link.size_bytes

    def forget(self, response_id: str) -> None:
        link = self._links.pop(response_id, None)
        if link is not None:
            self._held_bytes -= link.size_bytes
            self._room.held_bytes -= link.size_bytes

    def clear(self) -> None:
        for response_id in list(self._links):
            self.forget(response_id)

    def chain(self, response_id: str) -> tuple[list[msgspec.Raw], str | None]:
        """All items, the oldest first, and what the first of them follows, which is not here."""
        links = []
        at: str | None = response_id
        while at is not None and at in self._links:
            links.append(self._links[at])
            at = links[-1].previous_id
        return [item for link in reversed(links) for item in link.items], at

    def _fits(self, link: Link) -> bool:
        size = link.size_bytes
        return (
            len(self._links) < self._links_max
            and self._held_bytes + size <= self._bytes_max
            and self._room.held_bytes + size <= self._room.bytes_max
        )


class Remembering:
    """The keeper of a response that goes into memory."""

    def __init__(
        self, memory: Memory, items: Sequence[msgspec.Raw], previous_id: str | None
    ) -> None:
        self._memory = memory
        self._items = items
        self._previous_id = previous_id
        self._teller: Teller | None = None
        self._whole = b""
        self.remembered = False

    def follow(self, teller: Teller, model: str) -> None:
        self._teller = teller

    def compose(self, end: bytes) -> None:
        if self._teller is not None:
            self._whole = self._teller.whole()

    def end(self, outcome: str) -> None:
        """It is settled, and nothing of it is kept."""
        try:
            told = _answered.decode(self._whole) if outcome in _WHOLE else _Answered()
        except (ValueError, RecursionError):
            told = _Answered()
        if told.id:
            items = (*self._items, *told.output)
            size = sum(len(bytes(item)) for item in items)
            self._memory.put(told.id, Link(items, self._previous_id, size))
            self.remembered = True


class Recalling:
    """In the place of `States`, on one connection: what is not found in its memory is asked of
    `states`.  One response at a time."""

    def __init__(self, states: Knowing, memory: Memory, clock: Clock) -> None:
        self._states = states
        self._memory = memory
        self._clock = clock
        self._newest: Remembering | None = None

    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        """Raises: Refusal, as `States.open`; invalid_value, where it is to be kept, and what it
        follows is not."""
        self._newest = None
        body = without_bom(body)
        said = said_in(body)
        previous_id = None if said is None else said.previous_response_id
        if said is None or not isinstance(previous_id, str):
            return self._kept(await self._states.open(body, caller, answer_id), said, 0, None)
        given = given_in(said.input)
        if given is None or said.conversation is not None or previous_id not in self._memory:
            _check_retention(said, caller)
            turn = await self._states.open(body, caller, answer_id)
            return self._kept(turn, said, 0, previous_id)
        _check_store(said)
        return await self._recalled(body, caller, answer_id, said, given)

    def close(self, turn: Turn) -> None:
        self._states.close(turn)

    def ended(self, previous_id: str) -> None:
        """A continuation has; one that failed takes what it followed with it, so that whoever tries
        again sends all of it.  previous_id: "" where it was none."""
        if self._newest is None or not self._newest.remembered:
            self._memory.forget(previous_id)

    async def _recalled(
        self, body: bytes, caller: Caller, answer_id: str, said: Said, given: Given
    ) -> Turn:
        """With what is remembered in front of its input, and asked about the rest."""
        now_ms = self._clock.wall_ms()
        found, root_id = self._memory.chain(said.previous_response_id)
        _check_root(said, caller, root_id)
        before = [lasting(item, now_ms) for item in found]
        own = _own(given, before)
        whole = {
            **_document.decode(body),
            "input": [*before, *(given.items[at] for at in own)],
            "previous_response_id": root_id,
            "store": False,
        }
        turn = await self._states.open(msgspec.json.encode(whole), caller, answer_id)
        count = len(before)
        places = [own[at - count] for at in turn.places if at >= count]
        named = {**_document.decode(turn.body), "previous_response_id": said.previous_response_id}
        body = msgspec.json.encode(named)  # it is told what it asked for
        turn = replace(turn, body=body, follows="previous_response_id", places=places)
        turn = self._kept(turn, said, count, said.previous_response_id)
        return replace(turn, before=turn.before + count)

    def _kept(self, turn: Turn, said: Said | None, recalled: int, previous_id: str | None) -> Turn:
        """recalled: items of its input that were remembered."""
        if turn.keeper is not None or said is None or turn.follows == "conversation":
            return turn
        given = given_in(_joined.decode(turn.body).input)
        if given is None:
            return turn
        items = given.items[turn.before + recalled :]
        self._newest = Remembering(self._memory, items, previous_id)
        return replace(turn, keeper=self._newest)


def _own(given: Given, before: Sequence[msgspec.Raw]) -> list[int]:
    """Places of the items that are not among those before already."""
    known = ids_of(before) if given.references else {}
    return [at for at in given.places if given.references.get(at) not in known]


def _check_store(said: Said) -> None:
    """What was not to be kept would be, as what came before."""
    if said.store is True:
        raise errors.INVALID_VALUE(
            f"'store' is true, and the response {said.previous_response_id[:100]!r}, which it "
            "follows, is not stored; it must be false.",
            field="store",
            value=True,
            limit=False,
        )


def _check_retention(said: Said, caller: Caller) -> None:
    """Where nothing is kept, only memory could know it: and it does not, or not any more."""
    if caller.content_ms_max == 0 and said.conversation is None:
        raise _gone(said.previous_response_id)


def _check_root(said: Said, caller: Caller, root_id: str | None) -> None:
    if root_id is not None and caller.content_ms_max == 0:
        raise _gone(said.previous_response_id)


def _gone(response_id: str) -> errors.Refusal:
    return errors.PREVIOUS_RESPONSE_NOT_FOUND(
        f"The response {response_id[:100]!r}, or one that it follows, is not remembered by this "
        "connection: it was made on another, had to make room, or a continuation of it failed.",
        field="previous_response_id",
        value=brief(response_id),
    )
