"""Answers written from canon events, streamed or whole.

Bytes that an engine of this dialect did give (`Delta.raw`) go through untouched.
"""

import re
from typing import Any

import msgspec

from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.dialects.openai_responses.answers.answer import BROKE_OFF, Answer
from portico.dialects.openai_responses.answers.passed import Passed
from portico.dialects.openai_responses.errors import error_event
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.writing import PING, encode
from portico.errors import Refusal
from portico.kit.clock import Clock

DONE = b"data: [DONE]\n\n"
_BEGINNINGS = frozenset({"response.created", "response.in_progress"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_NUMBER = re.compile(rb'"sequence_number":\s?(\d+)')


class StreamWriter:
    """One stream of events, numbered from 0 in steps of 1."""

    def __init__(self, answer: Answer, clock: Clock, passed: Passed | None) -> None:
        """passed: hears what an engine says itself, where that is kept."""
        self._answer = answer
        self._clock = clock
        self._passed = passed
        self._next = 0
        self._given = 0
        """The number behind the last event that was given out, the final ones not counted: they
        wait until they are sent."""
        self._over = False
        self._raw = b""
        """The engine's own events that went out last."""
        self._first = b""
        """And those that went out first."""
        self._whole: dict[str, Any] = {}

    def write(self, delta: Delta) -> bytes:
        if delta.raw:
            self._raw, self._first = delta.raw, self._first or delta.raw
            if self._passed is not None:
                self._passed.take(delta.raw)
            return delta.raw
        self._over = delta.last
        written = [self._begun(), *map(self._event, self._answer.take(delta))]
        if not delta.last:
            self._given = self._next
            return b"".join(written)
        written += map(self._event, self._answer.end())
        self._whole = response = self._answer.complete(self._clock.wall_ms() // 1000)
        kind = f"response.{response['status']}"
        return b"".join([*written, self._event({"type": kind, "response": response}), DONE])

    def ping(self) -> bytes:
        """An event, because some clients wait for one: comments do not count with them."""
        if self._raw or self._over:
            return PING  # the numbers are not ours, or are given to the final events already
        written = self._begun()
        if not written:
            response = self._answer.under_way()
            written = self._event({"type": "response.in_progress", "response": response})
        self._given = self._next
        return written

    def fail(self, refusal: Refusal) -> bytes:
        """The end of a stream that breaks off.  Events that were made, and not given out, never
        were."""
        self._next = self._given
        numbers = _NUMBER.findall(self._raw)
        if numbers:
            self._next = int(numbers[-1]) + 1
        begun = b"" if self._raw else self._begun()
        failed = {"type": "response.failed", "response": self._answer.failed(refusal)}
        return begun + self._event(error_event(refusal)) + self._event(failed) + DONE

    def whole(self) -> bytes:
        """The response object, once its last delta was written; b"" where an engine's own bytes do
        not say it."""
        return encode(self._answer.kept(self._whole)) if self._whole else _told_in(self._raw, _ENDS)

    def broken(self, status: str) -> bytes:
        """The same of an answer that has no end; of an engine's own what its beginning says, and what
        was made of it."""
        if not self._raw:
            return encode(self._answer.broken(status))
        begun = _told_in(self._first, _BEGINNINGS)
        if not begun:
            return b""
        output = [] if self._passed is None else self._passed.output()
        more = {"error": BROKE_OFF} if status == "failed" else {}
        return encode({**msgspec.json.decode(begun), "status": status, "output": output, **more})

    def queued(self) -> bytes:
        """The same before anything was made."""
        return encode(self._answer.under_way("queued"))

    def _begun(self) -> bytes:
        if self._next:
            return b""
        response = self._answer.under_way()
        kinds = ("response.created", "response.in_progress")
        return b"".join(self._event({"type": kind, "response": response}) for kind in kinds)

    def _event(self, event: dict[str, Any]) -> bytes:
        kind = event["type"]
        data = encode({"type": kind, "sequence_number": self._next, **event})
        self._next += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode("ascii"), data)


class WholeWriter:
    """One response object, written with the last delta."""

    def __init__(self, answer: Answer, clock: Clock) -> None:
        self._answer = answer
        self._clock = clock
        self._whole = b""
        self._response: dict[str, Any] = {}

    def write(self, delta: Delta) -> bytes:
        """b"" until the last delta, then the whole body."""
        if delta.raw:
            self._whole = delta.raw
            return delta.raw
        for _ in self._answer.take(delta):
            continue
        if not delta.last:
            return b""
        for _ in self._answer.end():
            continue
        self._response = self._answer.complete(self._clock.wall_ms() // 1000)
        self._whole = encode(self._response)
        return self._whole

    def fail(self, refusal: Refusal) -> bytes:
        """An answer that breaks off after something was done that cannot be undone."""
        return encode(self._answer.failed(refusal))

    def whole(self) -> bytes:
        kept = self._answer.kept(self._response)
        return self._whole if kept is self._response else encode(kept)

    def broken(self, status: str) -> bytes:
        return b"" if self._whole else encode(self._answer.broken(status))

    def queued(self) -> bytes:
        return encode(self._answer.under_way("queued"))

    def ping(self) -> bytes:
        return b""


class _Told(msgspec.Struct):
    type: str = ""
    response: msgspec.Raw = msgspec.Raw(b"")


_told = msgspec.json.Decoder(_Told)


def _told_in(events: bytes, kinds: frozenset[str]) -> bytes:
    """The response object of the first event of these kinds among an engine's own; b"" without one."""
    for line in events.splitlines():
        if line.startswith(b"data:") and b'"response.' in line:
            event = _event_in(line.removeprefix(b"data:"))
            if event.type in kinds:
                return bytes(event.response)
    return b""


def _event_in(data: bytes) -> _Told:
    try:
        return _told.decode(data)
    except ValueError:  # whoever reads the engine's stream says so
        return _Told()


class Writers:
    """Makes the writer of each answer."""

    def __init__(self, seals: Seals, clock: Clock) -> None:
        self._seals = seals
        self._clock = clock

    def of(self, prompt: Prompt, request_id: str, created_s: int) -> StreamWriter | WholeWriter:
        answer = Answer(prompt, request_id, created_s, self._seals.of(prompt.project_id))
        if prompt.stream:
            return StreamWriter(answer, self._clock, Passed() if prompt.kept else None)
        return WholeWriter(answer, self._clock)
