"""An answer that was to follow a JSON schema, from an engine that has no grammar to make it so.

Checked once it is whole, before its last delta: a caller who got to the end has what was promised.
"""

from typing import Any

import msgspec
from msgspec import Struct

from portico import errors
from portico.canon.delta import Delta, Event, Finished, Refused, Text, ToolCallBegan
from portico.dialects.conformance.check import check
from portico.dialects.openai_chat.failures import malformed
from portico.engines.base import Relay

_ENDED_BY_ITSELF = frozenset({"stop", "stop_sequence"})


class _Said(Struct):
    content: Any = None
    refusal: Any = None
    tool_calls: Any = None


class _Choice(Struct):
    index: int = 0
    finish_reason: Any = None
    delta: _Said | None = None
    message: _Said | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None


_chunk = msgspec.json.Decoder(_Chunk)
_EVENT = b"data: "
_CHARACTERS_MAX = 8_388_608


class _Answer:
    """One choice, as far as it has come."""

    __slots__ = ("excused", "finish", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.finish = ""
        self.excused = False
        """It calls a tool, or the model declines: nothing that has the shape was to be."""


class Shape:
    """A relay in front of another.  Sees events, or Chat's own bytes."""

    def __init__(self, relay: Relay, schema: dict[str, Any]) -> None:
        self._relay = relay
        self._schema = schema
        self._answers: dict[int, _Answer] = {}
        self._room = _CHARACTERS_MAX

    async def relay(self, delta: Delta) -> None:
        """Raises: Refusal: schema_not_followed, in the place of the last delta."""
        for event in delta.events:
            self._take(event)
        if delta.raw:
            self._take_bytes(delta.raw)
        if not delta.last:
            await self._relay(delta)
            return
        broken = self._broken()
        if broken is None:
            await self._relay(delta)
            return
        # What it used is told, and its end is not: the answer ends with the refusal.
        await self._relay(Delta(meters=delta.meters, output_tokens=delta.output_tokens))
        raise broken

    def _of(self, choice: int) -> _Answer:
        answer = self._answers.get(choice)
        if answer is None:
            answer = self._answers[choice] = _Answer()
        return answer

    def _take(self, event: Event) -> None:
        answer = self._of(event.choice)
        match event:
            case Text():
                self._keep(answer, event.text)
            case Refused() | ToolCallBegan():
                answer.excused = True
            case Finished():
                answer.finish = event.reason

    def _keep(self, answer: _Answer, text: str) -> None:
        """All answers together have room for so much; an engine that goes on is not kept."""
        self._room -= len(text)
        if self._room >= 0:
            answer.parts.append(text)
        else:
            answer.parts.clear()

    def _take_bytes(self, raw: bytes) -> None:
        """Of a stream whole events, or the body of an answer that is none.  Raises: BrokenAnswer."""
        streamed = raw.startswith(_EVENT)
        for line in raw.split(b"\n\n") if streamed else (raw,):
            payload = line.removeprefix(_EVENT)
            if payload and payload != b"[DONE]":
                for choice in _choices(payload):
                    self._take_choice(choice)

    def _take_choice(self, choice: _Choice) -> None:
        answer, said = self._of(choice.index), choice.delta or choice.message
        if said is not None and isinstance(said.content, str):
            self._keep(answer, said.content)
        if said is not None and (said.refusal or said.tool_calls):
            answer.excused = True
        if isinstance(choice.finish_reason, str):
            answer.finish = choice.finish_reason

    def _broken(self) -> errors.Refusal | None:
        if self._room < 0:
            return errors.SCHEMA_NOT_FOLLOWED(
                f"The model's answer has more than {_CHARACTERS_MAX} characters, which is more than "
                "is checked against a schema.",
                limit=_CHARACTERS_MAX,
            )
        for answer in self._answers.values():
            if not answer.excused and answer.finish in _ENDED_BY_ITSELF:
                why = _wrong_with("".join(answer.parts), self._schema)
                if why:
                    return errors.SCHEMA_NOT_FOLLOWED(
                        f"The model's answer does not follow the schema: {why}."
                    )
        return None


def _choices(payload: bytes) -> list[_Choice]:
    try:
        return _chunk.decode(payload).choices or []
    except (ValueError, RecursionError):
        raise malformed("a chunk that cannot be read") from None


def _wrong_with(text: str, schema: dict[str, Any]) -> str:
    """ "" where nothing is.  Says nothing of the answer but where it is wrong."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return "it is not JSON"
    found = check(schema, value)
    return "" if found is None else f"{found.path} must be {found.rule}"
