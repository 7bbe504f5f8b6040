"""What a request may ask of the simulated engine, and how it says so.

Either a tag in the prompt, `[[sim tokens=200 delay_ms=5]]`, or the same words without the
brackets in the header `x-portico-sim`; the header wins.  A tag counts in system messages and in
the last user message: those of earlier turns are spent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from portico import errors
from portico.canon.conversation import Conversation, Message

HEADER = "x-portico-sim"
_TAG = re.compile(r"\[\[sim(?:[ \t]+([^\[\]]*))?\]\]")
_STANDING_ROLES = ("system", "developer")

Fault = Literal[
    "none",
    "cut",
    "stall",
    "error",
    "unfinished_json",
    "usage_shrinks",
    "usage_negative",
    "finish_twice",
    "finish_missing",
    "text_after_finish",
    "wrong_choice",
    "lone_surrogate",
    "delta_after_last",
    "last_missing",
]
"""cut, stall and error happen at a moment (`fail_after`); the others spoil what is sent."""

STATUSES = {entry.status: entry for entry in reversed(errors.CATALOGUE.values())} | {
    entry.status: entry
    for entry in (errors.UPSTREAM_REFUSED, errors.INVALID_KEY, errors.UPSTREAM_BUSY)
}
"""What `status` means: the most usual refusal of the catalogue with that status."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """All that can be asked.  docs/guides/simulated-engine.md says what each one does."""

    tokens: int | None = None
    reasoning: int | None = None
    chunk: int = 1
    first_ms: int = 0
    delay_ms: int = 0
    tokens_per_s: int | None = None
    seed: int | None = None
    calls: int = 1
    call: str | None = None
    args: str | None = None
    cached: int = 0
    fault: Fault = "none"
    fail_after: int | None = None
    status: int | None = None
    code: str | None = None
    retry_after_ms: int | None = None

    def due_s(self, step: int) -> float:
        """When step `step` of an answer is ready, in seconds after the request."""
        step_ms = float(self.delay_ms)
        if self.tokens_per_s is not None:
            step_ms += 1000 * self.chunk / self.tokens_per_s
        return (self.first_ms + step * step_ms) / 1000


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`, both included."""

    least: int
    most: int

    def read(self, name: str, text: str) -> int:
        # 20 digits are more than any limit; int() would take minutes over a million of them.
        if len(text) > 20 or not re.fullmatch(r"-?[0-9]+", text):
            raise errors.INVALID_TYPE(
                f"The simulation parameter '{name}' is {text[:40]!r}; it must be a whole number.",
                field=f"sim.{name}",
                value=text[:40],
                limit=str(self),
            )
        value = int(text)
        if not self.least <= value <= self.most:
            raise errors.OUT_OF_RANGE(
                f"The simulation parameter '{name}' is {value}; it must be from "
                f"{self.least} to {self.most}.",
                field=f"sim.{name}",
                value=value,
                limit=self.most if value > self.most else self.least,
            )
        return value

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"


@dataclass(frozen=True, slots=True)
class OneOf:
    values: tuple[str, ...]

    def read(self, name: str, text: str) -> str:
        if text not in self.values:
            raise errors.INVALID_VALUE(
                f"The simulation parameter '{name}' is {text[:40]!r}; it must be one of: "
                f"{', '.join(self.values)}.",
                field=f"sim.{name}",
                value=text[:40],
                limit=list(self.values),
            )
        return text

    def __str__(self) -> str:
        return ", ".join(self.values)


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP status that the error catalogue has."""

    def read(self, name: str, text: str) -> int:
        return int(OneOf(tuple(str(status) for status in sorted(STATUSES))).read(name, text))

    def __str__(self) -> str:
        return "an error status of the catalogue"


@dataclass(frozen=True, slots=True)
class Code:
    """A code of the error catalogue."""

    def read(self, name: str, text: str) -> str:
        return OneOf(tuple(errors.CATALOGUE)).read(name, text)

    def __str__(self) -> str:
        return "a code of the catalogue"


@dataclass(frozen=True, slots=True)
class Words:
    """Any text without blanks."""

    what: str
    characters_max: int = 128

    def read(self, name: str, text: str) -> str:
        if len(text) > self.characters_max:
            raise errors.OUT_OF_RANGE(
                f"The simulation parameter '{name}' has {len(text)} characters; it must have at "
                f"most {self.characters_max}.",
                field=f"sim.{name}",
                value=len(text),
                limit=self.characters_max,
            )
        return text

    def __str__(self) -> str:
        return self.what


ARGS = "args"
"""The last parameter where it is given: all that follows is its value, blanks and all."""

KNOWN: dict[str, Whole | OneOf | Status | Code | Words] = {
    "tokens": Whole(1, 100_000),
    "reasoning": Whole(0, 100_000),
    "chunk": Whole(1, 1_000),
    "first_ms": Whole(0, 600_000),
    "delay_ms": Whole(0, 60_000),
    "tokens_per_s": Whole(1, 1_000_000),
    "seed": Whole(0, 2**63 - 1),
    "calls": Whole(1, 32),
    "call": Words("the name of a tool"),
    ARGS: Words("text", 10_000),
    "cached": Whole(0, 1_000_000),
    "fault": OneOf(get_args(Fault)),
    "fail_after": Whole(0, 100_000),
    "status": Status(),
    "code": Code(),
    "retry_after_ms": Whole(0, 600_000),
}


def read(conversation: Conversation, hints: Mapping[str, str], defaults: Parameters) -> Parameters:
    """`defaults`, changed by the tags, changed by the header.  Raises: Refusal, naming the word."""
    told: dict[str, Any] = {}
    for text in _standing(conversation):
        for tag in _TAG.finditer(text):
            told |= _words(tag.group(1) or "")
    told |= _words(hints.get(HEADER, ""))
    if "fault" not in told:
        if "status" in told or "code" in told:
            told["fault"] = "error"
        elif "fail_after" in told and defaults.fault == "none":
            told["fault"] = "cut"
    return replace(defaults, **told) if told else defaults


def without_tags(text: str) -> str:
    """`text` as the model hears it."""
    return _TAG.sub("", text).strip() if "[[sim" in text else text


def _standing(conversation: Conversation) -> list[str]:
    texts = [
        item.text
        for item in conversation.items
        if isinstance(item, Message) and item.role in _STANDING_ROLES
    ]
    asked = conversation.last("user")
    if asked is not None:
        texts.append(asked.text)
    return texts


def _words(text: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    text, last, args = text.partition(f"{ARGS}=")
    if last:
        told[ARGS] = KNOWN[ARGS].read(ARGS, args.strip())
    for word in text.split():
        name, equals, value = word.partition("=")
        kind = KNOWN.get(name)
        if kind is None:
            raise errors.INVALID_VALUE(
                f"{name[:40]!r} is no simulation parameter; known are: {', '.join(KNOWN)}.",
                field=f"sim.{name[:40]}",
                value=word[:80],
                limit=list(KNOWN),
            )
        if not equals:
            raise errors.INVALID_VALUE(
                f"The simulation parameter '{name}' has no value; write {name}=VALUE.",
                field=f"sim.{name}",
                value="",
                limit=str(kind),
            )
        told[name] = kind.read(name, value)
    return told
