"""An engine's answer, passed through as bytes and read only as far as metering needs.

Most reads hold one chunk that differs from the last in its text alone.  Such a chunk is known by
the bytes around the text; every other one is decoded.
"""

import re
from typing import Any

import msgspec

from portico.canon.delta import Delta
from portico.canon.usage import Meters
from portico.dialects.openai_chat import failures
from portico.dialects.openai_chat.chunks import Chunk, read_chunk, read_whole, rewritten
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.reading.tally import Tally
from portico.dialects.openai_chat.usage import (
    ChatUsage,
    Timings,
    meters_of,
    meters_of_timings,
    usage_in,
)
from portico.kit.sse import EVENT_BYTES_MAX, Event, EventReader, EventTooLarge

_CR = ord("\r")
_LESSONS_MAX = 32
"""Chunks from which a pattern is learnt before we stop trying: some engines pad every chunk."""

_text_member = re.compile(rb'"(?:content|reasoning_content)": ?"((?:[^"\\]|\\.)+)"')
_timings = msgspec.json.Decoder(Timings)
_usage = msgspec.json.Decoder(ChatUsage)
_TIMINGS = b',"timings":'
_USAGE = b',"usage":'


def read_answer(body: bytes) -> Delta:
    """A whole answer, not streamed.

    Raises: BrokenAnswer: an error object in a 200, or something that is no chat completion.
    """
    answer = read_whole(body)
    usage = usage_in(answer.usage)
    reason: Any = ""
    for choice in answer.choices or ():
        if choice.index == 0:
            reason = choice.finish_reason
            break
    return Delta(
        raw=body,
        meters=meters_of(usage) if usage else None,
        last=True,
        finish=reason if isinstance(reason, str) else "",
    )


class StreamReader:
    """One stream.

    wants_usage: the client asked for the usage chunk; else it is read and hidden.
    choices: answers asked for (n).
    timings: the engine was asked for llama.cpp's `timings_per_token`; they are read into the
      meters and taken out of the chunks.
    """

    def __init__(self, *, wants_usage: bool, choices: int = 1, timings: bool = False) -> None:
        self._choices = choices
        self._timings = timings
        self._tally = Tally(wants_usage=wants_usage, choices=choices)
        self._tail = bytearray()
        self._lenient: EventReader | None = None
        self._prefix = b""
        self._suffix = b""
        self._end = b""
        self._around = 0
        self._running = b""
        self._lessons = _LESSONS_MAX if choices == 1 else 0
        self._done = False

    def feed(self, data: bytes) -> Delta | None:
        """What `data` completes: whole events only, None when it completes none.

        Raises: BrokenAnswer.
        """
        if (
            self._prefix
            and data.startswith(self._prefix)
            and data.find(b"\n") == len(data) - 2
            and _CR not in data
            and not self._tail
            and self._lenient is None
            and (data.isascii() or _is_utf8(data))
        ):
            # One chunk like the last one, which is how most reads look.
            if data.endswith(self._end) and len(data) > self._around:
                return Delta(data, (), 1, None, False, self._tally.finish)
            if self._running and data.endswith(b"}\n\n"):
                bare = self._without_running(data[:-2])
                if bare:
                    return self._tally.delta(bare + b"\n\n")
        if self._done:
            return None
        if self._lenient is None:
            whole = self._cut(data)
            if self._lenient is None:
                return self._relay(whole.split(b"\n\n")[:-1], whole) if whole else None
            data = whole
        return self._normalise(data)

    def finish(self) -> Delta | None:
        """The engine closed the stream.  None when the last delta was given already.

        Raises: BrokenAnswer: no `[DONE]` came, and not every choice had a finish reason.
        """
        if self._done:
            return None
        lenient = self._lenient = self._lenient or EventReader()
        try:
            events = lenient.feed(bytes(self._tail)) + lenient.finish()
        except EventTooLarge:
            raise failures.malformed("an event over 8 MiB") from None
        delta = self._relay_events(events)
        if self._done:
            return delta
        if len(self._tally.finished) < self._choices:
            raise failures.ended_early(delta)
        self._done = True
        delta = delta or self._tally.delta(b"")
        delta.raw += self._tally.ending()
        delta.last = True
        return delta

    def _cut(self, data: bytes) -> bytes:
        """The whole events so far; what follows the last waits.  Once something comes that must
        not be forwarded, all that waits is given back and the lenient reader takes over."""
        tail = self._tail
        start = len(tail)
        tail += data
        end = tail.rfind(b"\n\n", max(0, start - 1)) + 2
        whole = bytes(tail[:end]) if end > 1 else b""
        if _CR in data or (whole and not _is_clean(whole)):
            self._lenient = EventReader()
            whole = bytes(tail)
            tail.clear()
            return whole
        del tail[: len(whole)]
        if len(tail) > EVENT_BYTES_MAX:
            raise failures.malformed("an event over 8 MiB")
        return whole

    def _normalise(self, data: bytes) -> Delta | None:
        assert self._lenient is not None
        try:
            events = self._lenient.feed(data)
        except EventTooLarge:
            raise failures.malformed("an event over 8 MiB") from None
        return self._relay_events(events)

    def _relay_events(self, events: list[Event]) -> Delta | None:
        if not events:
            return None
        return self._relay([_one_line(event) for event in events], b"")

    def _relay(self, lines: list[bytes], whole: bytes) -> Delta | None:
        """Pass `lines` on, each one event without its blank line.  `whole` is the same in one
        piece, sent as it is when every line stays as it is."""
        kept: list[bytes] = []
        try:
            for line in lines:
                passed = self._pass(line)
                if passed is not line:
                    whole = b""
                if self._done:
                    kept.append(self._tally.ending())
                    whole = b""
                    break
                if passed:
                    kept.append(passed + b"\n\n")
        except BrokenAnswer as broken:
            broken.delta = self._tally.delta(b"".join(kept)) if kept else None
            raise
        raw = whole or b"".join(kept)
        if not raw and not self._tally.changed:
            return None
        return self._tally.delta(raw, last=self._done)

    def _pass(self, line: bytes) -> bytes:
        """The line to send for `line`; b"" for none."""
        if self._prefix and line.startswith(self._prefix) and line.isascii():
            if line.endswith(self._suffix) and len(line) > self._around - 2:
                self._tally.count()
                return line
            if self._running and (bare := self._without_running(line)):
                return bare
        payload = line[6:].strip()
        if not payload:
            return b""
        if payload == b"[DONE]":
            self._done = True
            self._prefix = b""
            return b""
        return self._look(line, payload)

    def _without_running(self, line: bytes) -> bytes:
        """Read and cut off the figures at the end of a chunk of text; b"" where the line does
        not follow the pattern."""
        at = line.rfind(self._running)
        bare = line[:at] + b"}"
        if at < 0 or not bare.endswith(self._suffix):
            return b""
        meters = _meters_at(line, at, self._running)
        if meters is None:
            return b""
        self._tally.count()
        self._tally.running(0, meters)
        return bare

    def _look(self, line: bytes, payload: bytes) -> bytes:
        chunk = read_chunk(payload)
        if not chunk.choices:
            # The usage chunk, kept for the end; or a preamble that only crashes naive clients.
            usage = usage_in(chunk.usage)
            if usage is not None:
                self._tally.told(usage, payload)
            return b""
        self._tally.look(chunk, payload)
        self._running = b""
        if chunk.usage is not None:
            line = self._take_running(line, chunk, _USAGE)
        elif self._timings and chunk.timings is not None:
            line = self._take_running(line, chunk, _TIMINGS)
        if self._lessons:
            self._learn(line, chunk)
        return line

    def _take_running(self, line: bytes, chunk: Chunk, member: bytes) -> bytes:
        """Figures on a chunk of text are the total so far of its choice.  Read them, and give the
        line without them."""
        at = line.rfind(member)
        meters = _meters_at(line, at, member) if at > 0 else None
        if meters is not None:
            bare = line[:at] + b"}"
            self._running = member
        else:
            name = member[2:-2].decode()
            value = chunk.usage if member is _USAGE else chunk.timings
            meters = _meters_in(value, member)
            bare = b"data: " + rewritten(line[6:], {name: None})
        if meters is not None and chunk.choices:
            self._tally.running(chunk.choices[0].index, meters)
        return bare

    def _learn(self, line: bytes, chunk: Chunk) -> None:
        """Remember the bytes around the text of a chunk that carries nothing else."""
        (choice,) = chunk.choices if chunk.choices and len(chunk.choices) == 1 else (None,)
        if choice is None or choice.delta is None or choice.finish_reason is not None:
            return
        delta = choice.delta
        text = delta.content or delta.reasoning_content
        found = _text_member.search(line)
        if not isinstance(text, str) or found is None or delta.tool_calls or delta.refusal:
            return
        start, end = found.span(1)
        if msgspec.json.decode(line[start - 1 : end + 1]) != text:
            return
        self._lessons -= 1
        self._prefix, self._suffix = line[:start], line[end:]
        self._end = self._suffix + b"\n\n"
        self._around = start + len(self._end)


def _one_line(event: Event) -> bytes:
    # A line end inside JSON is only white space: the strings have theirs escaped.
    data = event.data.replace(b"\n", b" ")
    return b'data: {"error":' + data + b"}" if event.name == b"error" else b"data: " + data


def _is_clean(whole: bytes) -> bool:
    """Nothing but `data: ` events, one line each, parted by one blank line."""
    events = whole.count(b"\n\ndata: ") + 1
    return whole.startswith(b"data: ") and whole.count(b"\n") == 2 * events


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _meters_at(line: bytes, at: int, member: bytes) -> Meters | None:
    """The figures that stand at the very end of `line`; None if something else does.  What is
    between there and the last brace must be one whole object, so nothing nested is mistaken."""
    decoder = _usage if member is _USAGE else _timings
    try:
        return _meters(decoder.decode(line[at + len(member) : -1]))
    except (ValueError, RecursionError):
        return None


def _meters_in(value: Any, member: bytes) -> Meters | None:
    kind: type[ChatUsage | Timings] = ChatUsage if member is _USAGE else Timings
    try:
        return _meters(msgspec.convert(value, kind))
    except msgspec.ValidationError:
        return None


def _meters(figures: ChatUsage | Timings) -> Meters:
    if isinstance(figures, ChatUsage):
        return meters_of(figures)
    return meters_of_timings(figures)
