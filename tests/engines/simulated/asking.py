"""Asks the simulated engine and keeps the facts: what came, when, and how it ended."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from portico.canon.conversation import (
    Conversation,
    Item,
    Message,
    Role,
    Sampling,
    TextPart,
    ToolResult,
)
from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Refused,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.prompt import Prompt
from portico.engines.base import UpstreamFailed
from portico.engines.simulated import tokens
from portico.engines.simulated.engine import SimulatedEngine
from portico.errors import Refusal


class FakeTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


def turn(role: Role, text: str) -> Message:
    return Message(role, (TextPart(text),))


def result(text: str) -> ToolResult:
    return ToolResult("call_1", (TextPart(text),))


def prompt(
    model: str,
    *said: str | Item,
    n: int = 1,
    cap: int | None = None,
    header: str = "",
    seed: int | None = None,
    **conversation: Any,
) -> Prompt:
    """A prompt whose plain strings are user messages."""
    items = tuple(turn("user", each) if isinstance(each, str) else each for each in said)
    canon = Conversation(items, sampling=Sampling(seed=seed), **conversation)
    return Prompt(
        dialect="openai_chat",
        model=model,
        stream=True,
        body=b"",
        fields={},
        wants_usage=True,
        choices=n,
        output_tokens_max=cap,
        input_tokens_guess=0,
        needs=frozenset(),
        conversation=lambda: canon,
        hints={"x-portico-sim": header} if header else {},
    )


@dataclass
class Choice:
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[list[str]] = field(default_factory=list)
    """id, name, arguments"""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    sequence: str = ""

    def heard(self, event: Event) -> None:
        assert not self.finishes or isinstance(event, Finished), "nothing follows the end"
        match event:
            case Text(text=text, logprobs=logprobs):
                self.text += text
                self.logprobs += logprobs or ()
            case Reasoning(text=text):
                self.reasoning += text
            case Refused(text=text):
                self.refusal += text
            case ToolCallBegan(index=index, id=id, name=name):
                assert index == len(self.calls)
                self.calls.append([id, name, ""])
            case ToolArguments(index=index, json=json):
                assert index == len(self.calls) - 1
                self.calls[index][2] += json
            case Finished(reason=reason, sequence=sequence):
                self.finishes.append(reason)
                self.sequence = sequence

    @property
    def output_text_tokens(self) -> int:
        """By the rules of the guide, from what was said alone."""
        called = sum(1 + tokens.count(json) for _, _, json in self.calls)
        return tokens.count(self.text) + tokens.count(self.refusal) + called


@dataclass
class Answer:
    deltas: list[Delta]
    times_s: list[float]
    """Of each delta, after the request."""
    error: Refusal | UpstreamFailed | None

    @property
    def choices(self) -> dict[int, Choice]:
        heard: dict[int, Choice] = defaultdict(Choice)
        for delta in self.deltas:
            for event in delta.events:
                heard[event.choice].heard(event)
        return dict(heard)

    @property
    def only(self) -> Choice:
        """The only choice, of an answer that came well."""
        assert self.error is None
        assert list(self.choices) == [0]
        return self.choices[0]


async def ask(asked: Prompt, *, hang_up_after: int | None = None) -> Answer:
    """The whole answer, or what came of it until it failed or the client hung up."""
    time = FakeTime()
    engine = SimulatedEngine(asked.model, time, time.sleep)
    deltas: list[Delta] = []
    times_s: list[float] = []

    async def relay(delta: Delta) -> None:
        deltas.append(delta)
        times_s.append(round(time.now_s - 1_000, 6))
        if len(deltas) == hang_up_after:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

    try:
        await engine.generate(asked, relay)
    except (Refusal, UpstreamFailed) as error:
        return Answer(deltas, times_s, error)
    except asyncio.CancelledError:
        assert hang_up_after is not None
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    return Answer(deltas, times_s, None)


def asked(request: Prompt) -> Answer:
    """`ask` for tests of laws, which Hypothesis runs without a loop of their own."""
    return asyncio.run(ask(request))
