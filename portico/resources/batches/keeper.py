"""Of one line: its answer, written in the commit that settles it."""

from dataclasses import replace

from portico.callers.model import Caller
from portico.keeping.model import KeptLine
from portico.resources.batches.model import TIER, Work
from portico.resources.responses.keeper import Teller
from portico.resources.responses.states import States, Turn

_WHOLE = frozenset({"completed", "out_of_funds"})
_RESPONSES = "/v1/responses"


class LineKeeper:
    """Belongs to its journey."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._answer = b""
        self.kept = False
        """It is on its way to the database with the record of its request."""

    def follow(self, teller: Teller, model: str) -> None:
        return

    def compose(self, end: bytes) -> None:
        self._answer = end

    def end(self, outcome: str) -> KeptLine | None:
        if outcome not in _WHOLE:
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

    def __init__(self, states: States) -> None:
        self._states = states
        self._under_way: dict[str, tuple[Work, LineKeeper]] = {}

    def enter(self, work: Work) -> LineKeeper:
        keeper = LineKeeper(work)
        self._under_way[work.request_id] = (work, keeper)
        return keeper

    def leave(self, work: Work) -> None:
        self._under_way.pop(work.request_id, None)

    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        """Raises: Refusal."""
        work, keeper = self._under_way[answer_id]
        if work.endpoint != _RESPONSES:
            return Turn(body, keeper, tier=TIER)
        turn = await self._states.open(body, caller, answer_id)
        return replace(turn, keeper=keeper, background=False, tier=TIER)

    def close(self, turn: Turn) -> None:
        self._states.close(turn)
