"""One step of an answer.

An engine that speaks the caller's own dialect hands on `raw` bytes; an engine that does not (or
speaks none, like the simulated one) hands on `events`, which the caller's dialect writes down.
"""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from portico.canon.embedding import Embedded
from portico.canon.remote import Remote
from portico.canon.usage import Meters

FinishReason = Literal[
    "stop",
    "stop_sequence",
    "length",
    "context",
    "tool_calls",
    "content_filter",
    "refused",
    "paused",
    "tool_limit",
]
"""Why an answer ended.  A dialect with fewer words says the nearest one; `tool_calls` is computed
by the writers from what was called, whatever the engine says.  `tool_limit`: we called tools for
the model, and call no more."""


@dataclass(frozen=True, slots=True)
class Text:
    """Visible text.  `logprobs`: one entry per token, in the shape
    {token, logprob, bytes, top_logprobs}, where the caller asked for them."""

    text: str
    choice: int = 0
    logprobs: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model thinks.  `summary`: retold for the reader, not the thought itself."""

    text: str
    choice: int = 0
    summary: bool = False


@dataclass(frozen=True, slots=True)
class Sealed:
    """The end of a thought, in a form that only `issuer` can read again (a signature, encrypted
    reasoning).  Goes back to that issuer byte for byte and to nobody else."""

    blob: str
    issuer: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The model itself declines, in words."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCallBegan:
    """`custom`: its arguments are free text."""

    index: int
    id: str
    name: str
    choice: int = 0
    custom: bool = False


@dataclass(frozen=True, slots=True)
class ToolArguments:
    """A piece of the JSON text (or free text) of call `index`."""

    index: int
    json: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """Choice `choice` has ended, exactly once.

    sequence: the stop sequence that ended it, "" where it was none or is not known.
    native: the engine's own word for the reason, "" where it has none.
    """

    reason: FinishReason
    choice: int = 0
    sequence: str = ""
    native: str = ""


Event = Text | Reasoning | Sealed | Refused | ToolCallBegan | ToolArguments | Finished | Remote


class Delta(msgspec.Struct):
    """What one upstream read gave.  (A msgspec struct: made once per chunk, three times as fast.)

    raw: complete events (stream) or the whole body (not stream), ready for a caller of the
      engine's dialect.  Never ends inside an event.
    events: the same in canon words, from engines that have no bytes of that dialect.
    output_tokens: tokens of output this delta adds, by count; 0 where `meters` says it.
    meters: the engine's running total for the whole answer; replaces everything counted so far.
    last: the answer is complete with this delta; nothing follows.
    finish: why it ended, of choice 0, once known.
    cut: why we ended it ourselves, a code of the catalogue; "" where the engine did.
    vectors: of an answer to `Prompt.to_embed`, which has no events.
    charged_nano: what the whole answer cost, set on the last one once that is settled; None where
      nothing was set aside for it.
    """

    raw: bytes = b""
    events: tuple[Event, ...] = ()
    output_tokens: int = 0
    meters: Meters | None = None
    last: bool = False
    finish: str = ""
    cut: str = ""
    charged_nano: int | None = None
    vectors: tuple[Embedded, ...] = ()
