"""What a response follows, where it was asked for before and is made now."""

from dataclasses import replace

from portico import errors
from portico.callers.model import Caller
from portico.resources.background.lives import Lives
from portico.resources.responses.keeper import Keeper
from portico.resources.responses.states import States, Turn


class Resumed:
    """In the place of `States`, for those who work on what nobody waits for."""

    def __init__(self, states: States, lives: Lives) -> None:
        self._states = states
        self._lives = lives

    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        """Raises: Refusal, as `States.resume`; zero_retention."""
        turn = await self._states.resume(body, caller, answer_id)
        live = self._lives.get(f"resp_{answer_id.removeprefix('req_')}")
        if live is None or not isinstance(turn.keeper, Keeper):
            self.close(turn)
            raise errors.ZERO_RETENTION(
                "Nothing is kept of the requests of this project any more (zero retention)."
            )
        turn.keeper.request_id = live.task.request_id
        return replace(turn, background=False, created_s=live.task.created_at_ms // 1000)

    def close(self, turn: Turn) -> None:
        self._states.close(turn)
