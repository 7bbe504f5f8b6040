"""When deltas come, and how an answer breaks off when it was asked to."""

import asyncio
import json

import pytest

from portico.canon.conversation import Tool
from portico.canon.delta import Delta, Finished, Text
from portico.canon.usage import Meters
from portico.engines.base import UpstreamFailed
from portico.engines.simulated.engine import SimulatedEngine
from portico.engines.simulated.fleet import fleet
from portico.engines.simulated.models import MODELS
from portico.errors import CATALOGUE, Refusal

from .asking import FakeTime, ask, prompt

pytestmark = pytest.mark.anyio

TOOL = Tool("get_weather", {"properties": {"city": {"const": "Paris"}}})


async def test_without_a_wish_nothing_waits() -> None:
    answer = await ask(prompt("sim-lorem", "Go."))
    assert set(answer.times_s) == {0.0}


@pytest.mark.parametrize(
    ("told", "times_s"),
    [
        ("tokens=3 first_ms=100", [0.1, 0.1, 0.1, 0.1]),
        ("tokens=3 delay_ms=5", [0.0, 0.005, 0.01, 0.01]),
        ("tokens=4 chunk=2 tokens_per_s=10", [0.0, 0.2, 0.2]),
        ("tokens=2 first_ms=1000 delay_ms=50 tokens_per_s=20", [1.0, 1.1, 1.1]),
    ],
)
async def test_the_pace_that_was_asked_for(told: str, times_s: list[float]) -> None:
    assert (await ask(prompt("sim-lorem", "Go.", header=told))).times_s == times_s


async def test_choices_share_a_step() -> None:
    answer = await ask(prompt("sim-lorem", "Go.", n=2, header="tokens=2 delay_ms=10"))
    assert answer.times_s == [0.0, 0.0, 0.01, 0.01, 0.01, 0.01]


async def test_a_slow_reader_does_not_slow_the_schedule() -> None:
    """A real engine goes on while the client reads; what is late by then comes at once."""
    time = FakeTime()
    times_s: list[float] = []

    async def relay(delta: Delta) -> None:
        times_s.append(round(time.now_s - 1_000, 6))
        if len(times_s) == 1:
            time.now_s += 0.025

    engine = SimulatedEngine("sim-lorem", time, time.sleep)
    await engine.generate(prompt("sim-lorem", "Go.", header="tokens=4 delay_ms=10"), relay)
    assert times_s == [0.0, 0.025, 0.025, 0.03, 0.03]


async def test_slow_is_slow() -> None:
    times_s = (await ask(prompt("sim-slow", "Go."))).times_s
    assert (times_s[0], times_s[1], times_s[63]) == (1.0, 1.05, 4.15)


async def test_an_answer_without_pauses_lets_others_go_on() -> None:
    turns = 0
    answered = False

    async def others() -> None:
        nonlocal turns
        while not answered:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await ask(prompt("sim-lorem", "Go.", header="tokens=640"))
    answered = True
    await beside
    assert turns >= 20


async def test_a_stall_is_silent_until_cancelled() -> None:
    pushed: list[Delta] = []

    async def relay(delta: Delta) -> None:
        pushed.append(delta)

    time = FakeTime()
    engine = SimulatedEngine("sim-stall", time, time.sleep)
    task = asyncio.create_task(engine.generate(prompt("sim-stall", "Go."), relay))
    for _ in range(100):
        await asyncio.sleep(0)
    assert (len(pushed), task.done()) == (3, False)
    assert pushed[-1].meters == Meters(input_text=5, output_text=3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(pushed) == 3


@pytest.mark.parametrize(
    ("model", "told", "before"),
    [
        ("sim-cut", "", 3),
        ("sim-cut", "fail_after=0", 0),
        ("sim-cut", "fail_after=5 chunk=2", 5),
        ("sim-lorem", "fail_after=2", 2),
        ("sim-lorem", "fault=cut", 3),
        ("sim-lorem", "tokens=2 fault=cut fail_after=99", 2),
    ],
)
async def test_a_cut(model: str, told: str, before: int) -> None:
    """The end is never sent, however late the cut was to be."""
    answer = await ask(prompt(model, "Go.", header=told))
    assert isinstance(answer.error, UpstreamFailed)
    assert answer.error.refusal.code == "upstream_failed"
    assert len(answer.deltas) == before
    assert not any(delta.last for delta in answer.deltas)


@pytest.mark.parametrize("code", CATALOGUE)
async def test_every_error_of_the_catalogue_can_be_had(code: str) -> None:
    entry = CATALOGUE[code]
    first = (await ask(prompt("sim-error", "Go.", header=f"code={code}"))).error
    later = (await ask(prompt("sim-auto", "Go now.", header=f"code={code} fail_after=1"))).error
    assert isinstance(first, Refusal if entry.fault == "caller" else UpstreamFailed)
    assert isinstance(later, UpstreamFailed), "half an answer is out: the request was not wrong"
    for refusal in (first if isinstance(first, Refusal) else first.refusal, later.refusal):
        assert refusal.entry is entry
        assert refusal.retry_after_ms == (1_000 if entry.retryable else None)


@pytest.mark.parametrize(
    ("told", "code", "retry_after_ms"),
    [
        ("", "upstream_failed", 1_000),
        ("status=400", "upstream_refused", None),
        ("status=401", "invalid_api_key", None),
        ("status=404", "not_found", None),
        ("status=429", "concurrency_exceeded", 1_000),
        ("status=429 retry_after_ms=7000", "concurrency_exceeded", 7_000),
        ("status=500", "internal_error", 1_000),
        ("status=503", "upstream_busy", 1_000),
        ("status=503 code=overloaded", "overloaded", 1_000),
        ("status=504", "upstream_timeout", 1_000),
    ],
)
async def test_an_error_by_status(told: str, code: str, retry_after_ms: int | None) -> None:
    error = (await ask(prompt("sim-error", "Go.", header=told))).error
    refusal = error.refusal if isinstance(error, UpstreamFailed) else error
    assert refusal is not None
    assert (refusal.code, refusal.retry_after_ms) == (code, retry_after_ms)


async def test_unfinished_json_claims_to_be_whole() -> None:
    call = (await ask(prompt("sim-malformed", "Go.", tools=(TOOL,)))).only
    assert (call.calls[0][2], call.finishes) == ('{"city":', ["tool_calls"])
    said = (await ask(prompt("sim-malformed", "Go."))).only
    assert said.finishes == ["stop"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(said.text)


@pytest.mark.parametrize(
    ("fault", "spoilt"),
    [
        ("usage_shrinks", [(Finished("stop"),)]),
        ("usage_negative", [(Finished("stop"),)]),
        ("finish_twice", [(Finished("stop"), Finished("stop"))]),
        ("finish_missing", [()]),
        ("text_after_finish", [(Finished("stop"), Text(" More."))]),
        ("wrong_choice", [(Text("?", 97),), (Finished("stop"),)]),
        ("lone_surrogate", [(Text("\ud83d"),), (Finished("stop"),)]),
        ("delta_after_last", [(Finished("stop"),), (Text(" Too late."),)]),
        ("last_missing", [(Finished("stop"),)]),
    ],
)
async def test_how_an_answer_is_spoilt(fault: str, spoilt: list[object]) -> None:
    answer = await ask(prompt("sim-malformed", "Go.", header=f"fault={fault} tokens=1"))
    whole = await ask(prompt("sim-malformed", "Go.", header="fault=none tokens=1"))
    clean = len(whole.deltas) - 1
    assert answer.deltas[:clean] == whole.deltas[:clean]
    assert [delta.events for delta in answer.deltas[clean:]] == spoilt
    lasts = [delta.last for delta in answer.deltas[clean:]]
    assert lasts.count(True) == (0 if fault == "last_missing" else 1)
    meters = [delta.meters for delta in answer.deltas]
    told = {"usage_shrinks": 0, "usage_negative": -1_000}
    if fault in told:
        assert meters[-1] == Meters(input_text=5, output_text=told[fault])
    else:
        assert meters[-1] == whole.deltas[-1].meters


async def test_the_fleet_is_every_model_ready_and_able() -> None:
    time = FakeTime()
    engines = fleet(time, time.sleep, concurrency_max=7)
    assert [name for name, _ in engines] == [*MODELS, "sim-embed"]
    for name, engine in engines:
        assert engine.ready
        assert engine.abilities.concurrency_max == 7
        if name == "sim-embed":
            assert engine.abilities.features == {"embeddings"}
            continue
        assert "tools" in engine.abilities.features
        assert "embeddings" not in engine.abilities.features
        assert engine.abilities.context_tokens == 128_000
        if name == "sim-echo":
            pushed: list[Delta] = []

            async def relay(delta: Delta, pushed: list[Delta] = pushed) -> None:
                pushed.append(delta)

            await engine.generate(prompt(name, "Hi"), relay)
            assert pushed[0].events == (Text("Hi"),)
        await engine.close()
