"""An answer cut to what was asked: the cap on its tokens, and the stop sequences."""

from dataclasses import dataclass, replace

from portico.canon.delta import FinishReason
from portico.engines.simulated import tokens
from portico.engines.simulated.speech import Called, Part, Said


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice, as it will be said.

    unsaid_tokens: made, and so counted, but swallowed by the stop sequence they completed.
    sequence: that stop sequence, "" where none was met.
    """

    parts: tuple[Part, ...]
    finish: FinishReason
    unsaid_tokens: int = 0
    sequence: str = ""


CALL_TOKENS = 1
"""What opening a tool call costs, its name included."""


def shaped(parts: tuple[Part, ...], output_tokens_max: int, stop: tuple[str, ...]) -> Answer:
    kept, complete = _capped(parts, output_tokens_max)
    stopped = _stopped(kept, stop)
    if stopped is not None:
        return stopped
    if not complete:
        return Answer(kept, "length")
    calls = any(isinstance(part, Called) for part in kept)
    return Answer(kept, "tool_calls" if calls else "stop")


def _capped(parts: tuple[Part, ...], output_tokens_max: int) -> tuple[tuple[Part, ...], bool]:
    """The parts that fit, the last one shortened if need be, and whether that is all of them."""
    left = output_tokens_max
    kept: list[Part] = []
    for part in parts:
        opening = CALL_TOKENS if isinstance(part, Called) else 0
        if left < opening:
            return tuple(kept), False
        left -= opening
        said = tokens.head(part.text, left)
        kept.append(replace(part, text=said))
        if len(said) < len(part.text):
            return tuple(kept), False
        left -= tokens.count(said)
    return tuple(kept), True


def _stopped(parts: tuple[Part, ...], stop: tuple[str, ...]) -> Answer | None:
    """The answer up to the stop sequence that is complete first; None when none is met."""
    for at, part in enumerate(parts):
        met = _first_stop(part.text, stop) if isinstance(part, Said) else None
        if met is not None:
            start, end = met
            said = part.text[:start]
            unsaid = tokens.count_reaching(part.text, end) - tokens.count(said)
            said_before = (*parts[:at], Said(said))
            return Answer(said_before, "stop_sequence", unsaid, part.text[start:end])
    return None


def _first_stop(text: str, stop: tuple[str, ...]) -> tuple[int, int] | None:
    """Where the stop sequence that is complete first starts and ends."""
    ends = [
        (text.find(word) + len(word), text.find(word)) for word in stop if word in text and word
    ]
    if not ends:
        return None
    end, start = min(ends)
    return start, end
