"""Remote tools in an answer that nobody waits for: there are none."""

from portico import errors, journey
from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.door.visits.generation import Handed, Visit
from portico.door.visits.rounds import NOT_LATER, Wording


class NotLater:
    """See `generation.Rounds`; for lines of batches."""

    def __init__(self, wording: Wording) -> None:
        self._wording = wording

    def wanted(self, prompt: Prompt) -> bool:
        return self._wording.wanted(prompt)

    def check(self, prompt: Prompt, caller: Caller, *, background: bool) -> None:
        """Raises: Refusal."""
        raise errors.UNSUPPORTED_FEATURE(
            f"The request names remote servers, and stands in a batch. {NOT_LATER}",
            field="tools",
            remedy="Ask for it outside a batch.",
        )

    async def run(self, visit: Visit, handed: Handed, rooms: journey.Rooms) -> None:
        raise AssertionError("it was refused")
