"""What an engine with bad manners sends: the answer, spoilt in one named way.

Whoever relays it must come to a clean answer or a typed error, and meter what was made.
"""

import dataclasses
from collections.abc import Callable

from msgspec.structs import replace

from portico.canon.delta import Delta, Event, Text
from portico.canon.usage import NOTHING, Meters
from portico.engines.simulated.parameters import Fault
from portico.engines.simulated.speech import Part

CHOICE_NOBODY_ASKED_FOR = 97
_HALF_AN_EMOJI = "\ud83d"


def unfinished(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The last part broken off in the middle; the finish reason will claim it is whole."""
    *before, last = parts
    return (*before, dataclasses.replace(last, text=last.text[: len(last.text) // 2]))


def spoilt(delta: Delta, fault: Fault) -> tuple[Delta, ...]:
    """What is sent instead of `delta`.  Only the last one is touched."""
    spoil = _SPOIL.get(fault)
    return spoil(delta) if spoil and delta.last else (delta,)


def _stray(beside: Delta, event: Event) -> Delta:
    return Delta(events=(event,), meters=beside.meters)


def _output_as(delta: Delta, output_text: int) -> Meters:
    return replace(delta.meters or NOTHING, output_text=output_text)


_SPOIL: dict[Fault, Callable[[Delta], tuple[Delta, ...]]] = {
    "usage_shrinks": lambda last: (replace(last, meters=_output_as(last, 0)),),
    "usage_negative": lambda last: (replace(last, meters=_output_as(last, -1_000)),),
    "finish_twice": lambda last: (replace(last, events=last.events * 2),),
    "finish_missing": lambda last: (replace(last, events=(), finish=""),),
    "text_after_finish": lambda last: (replace(last, events=(*last.events, Text(" More."))),),
    "delta_after_last": lambda last: (last, _stray(last, Text(" Too late."))),
    "last_missing": lambda last: (replace(last, last=False),),
    "wrong_choice": lambda last: (_stray(last, Text("?", CHOICE_NOBODY_ASKED_FOR)), last),
    "lone_surrogate": lambda last: (_stray(last, Text(_HALF_AN_EMOJI)), last),
}
