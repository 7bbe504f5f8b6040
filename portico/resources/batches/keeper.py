"""Of one line: its answer, written in the commit that settles it."""

from dataclasses import replace

from portico import errors
from portico.callers.model import Caller
from portico.dialects.body import json_object, without_bom
from portico.keeping.model import KeptLine
from portico.keeping.room import Room
from portico.pricing.owed import PAID
from portico.resources.batches.model import TIER, WHOLE, Work
from portico.resources.batches.rules import check_kept
from portico.resources.responses.keeper import Teller
from portico.resources.responses.states import States, Turn

_RESPONSES = "/v1/responses"
_CONVERSATION = "conversation"


class LineKeeper:
    """Belongs to its journey."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._answer = b""
        self.read = False
        """It was read: from here on admission knows of it."""
        self.kept = False
        """It is on its way to the database with the record of its request."""
        self.paid = False
        """Its request ended in a way that is charged: it is not made again."""

    @property
    def answer_bytes(self) -> int:
        return len(self._answer)

    def follow(self, teller: Teller, model: str) -> None:
        return

    def compose(self, end: bytes) -> None:
        self._answer = end

    def end(self, outcome: str) -> KeptLine | None:
        self.paid = outcome in PAID
        if outcome not in WHOLE:
            return None
        self.kept = True
        work = self._work
        return KeptLine(
            work.batch_id,
            work.number,
            work.organisation_id,
            work.request_id,
            "succeeded",
            200,
            self._answer,
        )


class Lines:
    """What the door asks of requests that are lines: by the id of the request.  In the place of
    `States`, which know what a response follows."""

    def __init__(self, states: States, room: Room) -> None:
        """room: what projects may keep."""
        self._states = states
        self._room = room
        self._under_way: dict[str, tuple[Work, LineKeeper]] = {}

    def enter(self, work: Work) -> LineKeeper:
        keeper = LineKeeper(work)
        self._under_way[work.request_id] = (work, keeper)
        return keeper

    def leave(self, work: Work) -> None:
        _, keeper = self._under_way.pop(work.request_id, (work, None))
        if keeper is not None and keeper.kept:
            self._room.grew(work.project_id, keeper.answer_bytes)

    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        """Raises: Refusal: zero_retention, of a project that has chosen it since; those of `States`."""
        work, keeper = self._under_way[answer_id]
        check_kept(caller)
        turn = Turn(body, keeper, tier=TIER)
        if work.endpoint == _RESPONSES:
            _check_alone(body)
            # Its answer is the line's: it is not kept as a response, too.
            turn = replace(await self._states.about(body, caller), keeper=keeper, tier=TIER)
        keeper.read = True
        return turn

    def close(self, turn: Turn) -> None:
        self._states.close(turn)


def _check_alone(body: bytes) -> None:
    """A conversation goes on in one order, lines in any.  Raises: Refusal."""
    if _CONVERSATION.encode() not in body:
        return
    said = json_object(without_bom(body)).get(_CONVERSATION)
    if said is not None:
        raise errors.UNSUPPORTED_FEATURE(
            "A line of a batch cannot belong to a conversation.",
            field=_CONVERSATION,
            remedy="Leave it out; `previous_response_id` works.",
        )
