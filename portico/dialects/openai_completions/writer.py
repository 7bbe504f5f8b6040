"""Answers in the `text_completion` shape, written from canon events.

Bytes that an engine of this dialect did give (`Delta.raw`) go through untouched.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from portico.canon.delta import Delta, Event, Finished, FinishReason, Refused, Text
from portico.canon.prompt import Prompt
from portico.dialects.openai_chat.chunked import ChunkedStream
from portico.dialects.openai_chat.usage import usage_of
from portico.dialects.openai_completions.parse import prompts_of, read
from portico.dialects.writing import Kept, encode

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

    @property
    def begun(self) -> Collection[int]:
        return self._choices

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


class StreamWriter(ChunkedStream):
    """request_id: becomes the id of every chunk.  created_s: Unix time."""

    def __init__(self, prompt: Prompt, request_id: str, created_s: int) -> None:
        super().__init__(prompt, _start(prompt, request_id, created_s))
        self._saying = Saying(prompt)

    def _write_event(self, event: Event) -> list[bytes]:
        written = self._begin(event.choice)
        choice = self._saying.choice(event.choice)
        if isinstance(event, Finished):
            return [*written, *self._finish(event.choice, event.reason)]
        text = _text_of(event)
        if text:
            told = self._saying.logprobs(choice, event) if isinstance(event, Text) else None
            choice.characters += len(text)
            written.append(self._said(event.choice, text, told))
        return written

    def _begun(self) -> Iterable[int]:
        return self._saying.begun

    def _begin(self, choice: int) -> list[bytes]:
        if choice in self._saying.begun:
            return []
        said = self._saying.choice(choice)
        echo = "" if self._relayed else self._saying.echo(choice)
        said.characters = len(echo)
        return [self._said(choice, echo)] if echo else []

    def _last_of(self, choice: int, said: FinishReason) -> bytes:
        return self._said(choice, "", reason=_SAYS.get(said, "stop"))

    def _said(
        self,
        choice: int,
        text: str,
        logprobs: dict[str, list[Any]] | None = None,
        reason: str | None = None,
    ) -> bytes:
        return self._chunk(
            {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": reason}
        )


class AnswerWriter:
    """One `text_completion` body, written with the last delta."""

    def __init__(self, prompt: Prompt, request_id: str, created_s: int) -> None:
        self._prompt = prompt
        self._start = _start(prompt, request_id, created_s)
        self._saying = Saying(prompt)
        self._running = Kept()

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
        if index in self._saying.begun:
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
