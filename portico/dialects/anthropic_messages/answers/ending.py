"""Why an answer ended: exactly one reason, computed from what was said."""

from typing import Any

from portico.canon.delta import Finished, FinishReason

_SAYS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context": "model_context_window_exceeded",
    "tool_calls": "end_turn",
    "content_filter": "refusal",
    "refused": "refusal",
    "paused": "pause_turn",
    "tool_limit": "pause_turn",
}
"""`tool_calls` is what engines say; that there are some is what counts."""
_CALLS_WIN = ("stop", "stop_sequence", "tool_calls")


class Ending:
    """called: was a tool called?  refused: what the model said when it declined."""

    __slots__ = ("_finished", "called", "refused")

    def __init__(self) -> None:
        self.called = False
        self.refused = ""
        self._finished: Finished | None = None

    def finished(self, event: Finished) -> None:
        """The first one counts."""
        self._finished = self._finished or event

    def told(self, cut: str) -> dict[str, Any]:
        """The members of a message that say it.  cut: why we ended it ourselves, "" if we did not."""
        event = self._finished or Finished("stop")
        said, sequence = _SAYS[event.reason], None
        if self.called and event.reason in _CALLS_WIN:
            said = "tool_use"
        elif event.reason in ("stop", "stop_sequence") and event.sequence:
            said, sequence = "stop_sequence", event.sequence
        elif self.refused and event.reason == "stop":
            said = "refusal"
        details = None
        if said == "refusal":
            details = {
                "type": "refusal",
                "category": None,
                "explanation": self.refused or None,
            }
        cut = event.native if event.reason == "tool_limit" else cut
        told = {"stop_reason": said, "stop_sequence": sequence, "stop_details": details}
        return told | ({"portico_stop_reason": cut} if cut else {})
