"""What a stream has said so far: tokens, totals, and how each choice ended."""

import msgspec

from portico.canon.delta import Delta
from portico.canon.usage import Meters
from portico.dialects.openai_chat.chunks import DONE, Chunk, rewritten
from portico.dialects.openai_chat.usage import ChatUsage, meters_of, usage_of
from portico.kit.sse import frame


class Tally:
    """Counts while a stream is read; `delta` hands out what has come since the last one."""

    def __init__(self, *, wants_usage: bool, choices: int) -> None:
        self._wants_usage = wants_usage
        self._choices = choices
        self.finish = ""
        """Of choice 0, "" until it is known."""
        self.finished: dict[int, str] = {}
        self._tokens = 0
        self._meters: Meters | None = None
        self._total: Meters | None = None
        self._of_choice: dict[int, Meters] = {}
        self._told: list[ChatUsage] = []
        self._usage_chunk = b""
        self.sample = b""
        """Some chunk of the stream, after which a usage chunk can be made."""

    @property
    def changed(self) -> bool:
        return self._tokens > 0 or self._meters is not None

    def count(self) -> None:
        self._tokens += 1

    def look(self, chunk: Chunk, payload: bytes) -> None:
        """Count the tokens of a decoded chunk and note what ends with it."""
        self.sample = self.sample or payload
        for choice in chunk.choices or ():
            if choice.delta is not None and choice.delta.bears:
                self._tokens += 1
            if isinstance(choice.finish_reason, str):
                self.finishes(choice.index, choice.finish_reason)

    def finishes(self, index: int, reason: str) -> None:
        self.finished.setdefault(index, reason)
        if index == 0:
            self.finish = self.finished[0]

    def running(self, index: int, meters: Meters) -> None:
        """The engine's total so far for one choice.  The prompt is counted once."""
        if self._choices == 1:
            self._set(meters)
            return
        self._of_choice[index] = meters
        others = [m for i, m in self._of_choice.items() if i != index]
        self._set(_with_outputs_of(meters, others))

    def told(self, usage: ChatUsage, payload: bytes) -> None:
        """The engine's final figures.  llama.cpp sends them once per choice, each with the
        tokens of that choice alone."""
        self._told = [*self._told, usage][-self._choices :]
        self._usage_chunk = payload
        first, *others = (meters_of(usage) for usage in self._told)
        self._set(_with_outputs_of(first, others))

    def _set(self, meters: Meters) -> None:
        self._total = self._meters = meters
        self._tokens = 0

    def delta(self, raw: bytes, *, last: bool = False) -> Delta:
        tokens, meters = self._tokens, self._meters
        self._tokens, self._meters = 0, None
        return Delta(raw, (), tokens, meters, last, self.finish)

    def ending(self) -> bytes:
        """The last events: usage where it was asked for and is known, then `[DONE]`."""
        if not self._wants_usage or self._total is None:
            return DONE
        if len(self._told) == 1:
            return frame(self._usage_chunk) + DONE
        usage = msgspec.json.encode(usage_of(self._total))
        sample = self._usage_chunk or self.sample
        return frame(rewritten(sample, {"choices": b"[]", "usage": usage})) + DONE


def _with_outputs_of(meters: Meters, others: list[Meters]) -> Meters:
    if not others:
        return meters
    return msgspec.structs.replace(
        meters,
        output_text=meters.output_text + sum(m.output_text for m in others),
        output_reasoning=meters.output_reasoning + sum(m.output_reasoning for m in others),
        output_audio=meters.output_audio + sum(m.output_audio for m in others),
    )
