"""From a request that says what came before it to one that holds it, and who keeps its answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.dialects.body import without_bom
from portico.errors import Refusal
from portico.keeping.room import Room
from portico.kit.clock import Clock
from portico.resources.conversations.locks import Locks
from portico.resources.conversations.model import Lock
from portico.resources.responses.context import Asked, Contexts, Joined, asked_in
from portico.resources.responses.keeper import Collecting, Keeper, Place
from portico.resources.responses.model import Keeping
from portico.resources.responses.rules import (
    NO_ROOM,
    NOT_ADDED,
    NOT_KEPT,
    UNSTORED,
    Said,
    as_sent,
    asking,
)


@dataclass(frozen=True, slots=True)
class Turn:
    """
    body: the request, with all that came before in its input.
    keeper: None where nothing is kept.  lock: on the conversation that it is added to.
    background: it is to be answered later, and nobody waits.
    created_s: Unix time, of one that was asked for before; None: now.
    tier: what it is priced as, whatever it says; "" where it says so itself.
    warnings: what is not done of what was asked.
    follows: the field that says what came before, "" for nothing; before: how many items that are;
      places: where its own stood in the input as it was sent.
    """

    body: bytes
    keeper: Collecting | None = None
    lock: Lock | None = None
    background: bool = False
    created_s: int | None = None
    tier: str = ""
    warnings: tuple[str, ...] = ()
    follows: str = ""
    before: int = 0
    places: Sequence[int] = ()

    @property
    def kept(self) -> bool:
        """Can it be followed by others?"""
        return isinstance(self.keeper, Keeper)

    def as_sent(self, refusal: Refusal) -> Refusal:
        """`refusal`, about the request as its caller sent it."""
        return as_sent(refusal, self.follows, self.places, self.before)


NO_TURN = Turn(b"")
"""Of a request that nothing came before."""


class States:
    """One event loop owns this object.  room: what projects may keep."""

    def __init__(
        self, readers: Readers, locks: Locks, clock: Clock, keeping: Keeping, room: Room
    ) -> None:
        self._contexts = Contexts(readers, clock, keeping)
        self._locks = locks
        self._clock = clock
        self._keeping = keeping
        self._room = room

    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        """Of a request that is answered; `close` its turn, however that ends.

        answer_id: what the response is called after.
        Raises: Refusal: zero_retention, storage_quota_exceeded, previous_response_not_found,
        resource_not_found, conflict, conversation_locked; what is wrong with the fields that say so.
        """
        return await self._open(body, caller, answer_id, full=self._room.is_full(caller.project_id))

    async def resume(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        """Of one that stands in line, and was given room then.  Raises: Refusal, as `open`."""
        return await self._open(body, caller, answer_id, full=False)

    async def _open(self, body: bytes, caller: Caller, answer_id: str, *, full: bool) -> Turn:
        body = without_bom(body)
        asked = asked_in(body, caller)
        if asked is None:
            return Turn(body)
        kept, warnings = self._kept(asked.said, caller)
        if full and kept:
            if field := asking(asked.said):
                self._room.check(caller.project_id, field, UNSTORED)
            kept, warnings = False, (NO_ROOM,)
        lock = None
        if asked.conversation_id is not None and kept:
            lock = Lock(asked.id, answer_id, caller.organisation_id, caller.project_id)
            await self._locks.take(lock)
        try:
            joined = await self._contexts.join(body, caller, asked)
        except BaseException:
            if lock is not None:
                self._locks.give_back(lock, ended=False)
            raise
        keeper = self._keeper(caller, asked, joined, answer_id) if kept else None
        return Turn(
            joined.body,
            keeper,
            lock,
            background=asked.said.background is True,
            warnings=warnings,
            follows=asked.field,
            before=joined.before,
            places=joined.given.places,
        )

    async def about(self, body: bytes, caller: Caller) -> Turn:
        """Of a question about a request, which nobody answers.  Raises: Refusal."""
        body = without_bom(body)
        asked = asked_in(body, caller)
        if asked is None:
            return Turn(body)
        joined = await self._contexts.join(body, caller, asked)
        return Turn(
            joined.body, follows=asked.field, before=joined.before, places=joined.given.places
        )

    def close(self, turn: Turn) -> None:
        """The request has ended.  Where it was settled, its conversation is free already."""
        if turn.lock is not None:
            ended = isinstance(turn.keeper, Keeper) and turn.keeper.handed_over
            self._locks.give_back(turn.lock, ended=ended)
        if isinstance(turn.keeper, Keeper) and turn.keeper.handed_over:
            self._room.grew(turn.keeper.project_id, turn.keeper.kept_bytes)

    def _kept(self, said: Said, caller: Caller) -> tuple[bool, tuple[str, ...]]:
        """Whether the answer is, and warnings."""
        kept = self._keeping.by_default if said.store is None else said.store is True
        kept = kept or said.background is True  # `check_store` has refused what says otherwise
        if kept and caller.content_ms_max == 0:
            return False, (NOT_KEPT,) if said.store else ()
        return kept, () if kept or said.conversation is None else (NOT_ADDED,)

    def _keeper(self, caller: Caller, asked: Asked, joined: Joined, answer_id: str) -> Keeper:
        response_id = f"resp_{answer_id.removeprefix('req_')}"
        most = caller.content_ms_max
        keep_ms = self._keeping.keep_ms
        return Keeper(
            caller,
            Place(response_id, asked.previous_id, asked.conversation_id, answer_id, joined.taken),
            items=joined.given.items,
            stream=asked.said.stream is True,
            created_at_ms=self._clock.wall_ms(),
            keep_ms=keep_ms if most is None else min(keep_ms, most),
            bytes_max=self._keeping.response_bytes_max,
        )
