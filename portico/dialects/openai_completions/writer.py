"""Answers in the `text_completion` shape, written from canon events.

Bytes that an engine of this dialect did give (`Delta.raw`) go through untouched.
"""

from dataclasses import dataclass, field
from typing import Any

from portico.canon.delta import Delta, Event, Finished, FinishReason, Refused, Text
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.chunks import DONE
from portico.dialects.openai_chat.usage import usage_of
from portico.dialects.openai_completions.parse import prompts_of, read
from portico.dialects.writing import PING, Running, encode
from portico.kit.sse import frame

_SAYS: dict[FinishReason, str] = {
    "length": "length",
    "context": "length",
    "content_filter": "content_filter",
    "refused": "content_filter",
}
"""All other reasons are a stop here."""


@dataclass(slots=True)
class _Choice:
    """One answer so far.  characters: of its text, the echoed prompt included.
    logprobs: in this dialect's shape, None where there are none."""

    text: list[str] = field(default_factory=list)
    characters: int = 0
    reason: str = "stop"
    finished: bool = False
    logprobs: dict[str, list[Any]] | None = None


class Saying:
    """What is said of each choice: the pieces of text, and how they came about."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._choices: dict[int, _Choice] = {}
        self._echoes: list[str] | None = None
        self._top = int(bytes(prompt.fields.get("logprobs", b"0")).replace(b"null", b"0"))

    def choice(self, index: int) -> _Choice:
        return self._choices.setdefault(index, _Choice())

    def begins(self, index: int) -> bool:
        return index not in self._choices

    def echo(self, index: int) -> str:
        """What stands before the answer: its prompt, where that was asked for."""
        if self._echoes is None:
            self._echoes = self._read_echoes()
        if not self._echoes:
            return ""
        return self._echoes[index * len(self._echoes) // self._prompt.choices]

    def logprobs(self, choice: _Choice, event: Text) -> dict[str, list[Any]] | None:
        """Of one piece of text, before it is added."""
        if event.logprobs is None:
            return None
        told: dict[str, list[Any]] = {
            "tokens": [],
            "token_logprobs": [],
            "top_logprobs": [],
            "text_offset": [],
        }
        at = choice.characters
        for entry in event.logprobs:
            told["tokens"].append(entry["token"])
            told["token_logprobs"].append(entry["logprob"])
            likely = (entry.get("top_logprobs") or [])[: self._top]
            told["top_logprobs"].append({one["token"]: one["logprob"] for one in likely} or None)
            told["text_offset"].append(at)
            at += len(entry["token"])
        return told

    def _read_echoes(self) -> list[str]:
        if bytes(self._prompt.fields.get("echo", b"")) != b"true":
            return []
        return [each for each in prompts_of(read(self._prompt.body)) if isinstance(each, str)]


def _text_of(event: Event) -> str | None:
    """None: this dialect has no place for it."""
    return event.text if isinstance(event, Text | Refused) else None


def _start(prompt: Prompt, request_id: str, created_s: int) -> dict[str, Any]:
    return {
        "id": f"cmpl-{request_id.removeprefix('req_')}",
        "object": "text_completion",
        "created": created_s,
        "model": prompt.model,
    }


class StreamWriter:
    """request_id: becomes the id of every chunk.  created_s: Unix time."""

    def __init__(self, prompt: Prompt, request_id: str, created_s: int) -> None:
        self._prompt = prompt
        self._start = encode(_start(prompt, request_id, created_s))[:-1]
        self._end = b',"usage":null}' if prompt.wants_usage else b"}"
        self._saying = Saying(prompt)
        self._running = Running()
        self._relayed = False
        self._cut = ""

    def write(self, delta: Delta) -> bytes:
        self._running.count(delta)
        if delta.raw:
            self._relayed = True
            return delta.raw
        self._cut = delta.cut
        written = [part for event in delta.events for part in self._event(event)]
        if delta.last:
            written += self._ending()
        return b"".join(written)

    def ping(self) -> bytes:
        return PING

    def _event(self, event: Event) -> list[bytes]:
        written = self._begin(event.choice)
        choice = self._saying.choice(event.choice)
        if isinstance(event, Finished):
            return [*written, *self._finish(event.choice, event.reason)]
        text = _text_of(event)
        if text:
            told = self._saying.logprobs(choice, event) if isinstance(event, Text) else None
            choice.characters += len(text)
            written.append(self._chunk(event.choice, text, told))
        return written

    def _begin(self, index: int) -> list[bytes]:
        if not self._saying.begins(index):
            return []
        choice = self._saying.choice(index)
        echo = "" if self._relayed else self._saying.echo(index)
        choice.characters = len(echo)
        return [self._chunk(index, echo)] if echo else []

    def _finish(self, index: int, reason: FinishReason) -> list[bytes]:
        choice = self._saying.choice(index)
        if choice.finished:
            return []
        choice.finished = True
        return [self._chunk(index, "", reason=_SAYS.get(reason, "stop"))]

    def _ending(self) -> list[bytes]:
        written = []
        for index in range(self._prompt.choices):
            written += self._begin(index)
            written += self._finish(index, "stop")
        if self._prompt.wants_usage:
            usage = encode(usage_of(self._running.total()))
            written.append(frame(self._start + b',"choices":[],"usage":' + usage + b"}"))
        return [*written, DONE]

    def _chunk(
        self,
        index: int,
        text: str,
        logprobs: dict[str, list[Any]] | None = None,
        reason: str | None = None,
    ) -> bytes:
        body = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}
        if self._cut and reason is not None:
            body["portico_stop_reason"] = self._cut
        return frame(self._start + b',"choices":[' + encode(body) + b"]" + self._end)


class AnswerWriter:
    """One `text_completion` body, written with the last delta."""

    def __init__(self, prompt: Prompt, request_id: str, created_s: int) -> None:
        self._prompt = prompt
        self._start = _start(prompt, request_id, created_s)
        self._saying = Saying(prompt)
        self._running = Running()

    def write(self, delta: Delta) -> bytes:
        if delta.raw:
            return delta.raw
        self._running.count(delta)
        for event in delta.events:
            self._add(event)
        if not delta.last:
            return b""
        for index in range(self._prompt.choices):
            self._begun(index)
        choices = [
            self._body(index, self._saying.choice(index)) for index in range(self._prompt.choices)
        ]
        usage = usage_of(self._running.total())
        return encode({**self._start, "choices": choices, "usage": usage})

    def ping(self) -> bytes:
        return b""

    def _begun(self, index: int) -> _Choice:
        if not self._saying.begins(index):
            return self._saying.choice(index)
        choice = self._saying.choice(index)
        echo = self._saying.echo(index)
        choice.text.append(echo)
        choice.characters = len(echo)
        return choice

    def _add(self, event: Event) -> None:
        choice = self._begun(event.choice)
        if isinstance(event, Finished):
            choice.reason = _SAYS.get(event.reason, "stop")
            return
        text = _text_of(event)
        if not text:
            return
        told = self._saying.logprobs(choice, event) if isinstance(event, Text) else None
        if told is not None:
            choice.logprobs = choice.logprobs or {name: [] for name in told}
            for name, entries in told.items():
                choice.logprobs[name] += entries
        choice.text.append(text)
        choice.characters += len(text)

    def _body(self, index: int, choice: _Choice) -> dict[str, Any]:
        return {
            "text": "".join(choice.text),
            "index": index,
            "logprobs": choice.logprobs,
            "finish_reason": choice.reason,
        }


def writer_for(prompt: Prompt, request_id: str, created_s: int) -> StreamWriter | AnswerWriter:
    """The writer of one answer, streamed or whole as `prompt` asks."""
    kind = StreamWriter if prompt.stream else AnswerWriter
    return kind(prompt, request_id, created_s)
