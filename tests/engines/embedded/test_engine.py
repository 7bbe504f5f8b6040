"""A child that dies under its requests: which are tried again, which are told, which are barred."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from engines.openai_compatible.prompts import Heard, prompt_of
from portico.engines.base import UpstreamFailed
from portico.engines.embedded.child import WORKER, ModelToServe, StartFailed
from portico.engines.embedded.engine import start_embedded
from portico.engines.embedded.rules import RestartPolicy
from portico.engines.transport.native import NativeTransport
from portico.errors import Refusal
from portico.kit.clock import SystemClock

from .conftest import CONTEXT, DEMO

pytestmark = pytest.mark.anyio

QUICK = RestartPolicy(first_s=0.001, most_s=0.01, deaths_max=20)
MORTAL = str(Path(__file__).parent / "mortal.py")


@contextlib.asynccontextmanager
async def embedded(model, command=WORKER, policy=QUICK):
    transport = NativeTransport()
    engine = await start_embedded(model, transport, SystemClock(), policy=policy, command=command)
    try:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            run = group.create_task(engine.run())
            try:
                yield engine
            finally:
                await engine.close()
                await run
    finally:
        await transport.close()


@pytest.fixture
def mortal(tmp_path):
    model = ModelToServe(Path("/models/m.gguf"), "m")
    return embedded(model, (sys.executable, MORTAL, str(tmp_path / "witness")))


@pytest.fixture
def real():
    return embedded(ModelToServe(DEMO, "demo", parallel=2, context_tokens=2 * CONTEXT))


def asking(text, **fields):
    return prompt_of(messages=[{"role": "user", "content": text}], stream=True, **fields)


async def generate(engine, prompt) -> Heard:
    heard = Heard(prompt)
    await engine.generate(prompt, heard.relay)
    return heard


async def until(happened) -> None:
    """For facts of another process, which set no event here; bounded by the caller."""
    while not happened():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def pid_of(engine) -> int:
    return engine._supervisor.child.pid


# --- the real engine ---------------------------------------------------------------------------


async def test_a_kill_mid_stream_ends_that_stream_and_spares_the_next(real):
    async with real as engine:
        on_and_on = asking("Hello", ignore_eos=True, max_tokens=2_000)
        heard, began = Heard(on_and_on), asyncio.Event()

        async def relay(delta):
            await heard.relay(delta)
            if delta.output_tokens or delta.meters:
                began.set()

        task = asyncio.create_task(engine.generate(on_and_on, relay))
        await began.wait()
        os.kill(pid_of(engine), signal.SIGKILL)
        with pytest.raises(UpstreamFailed) as failed:
            await task
        assert failed.value.refusal.code == "upstream_failed"
        assert failed.value.began
        assert not heard.over
        again = await generate(engine, asking("Hello", max_tokens=5))
        assert again.over


async def test_a_request_that_had_no_answer_yet_is_tried_again(real):
    async with real as engine:
        os.kill(pid_of(engine), signal.SIGSTOP)
        task = asyncio.create_task(generate(engine, asking("Hello", max_tokens=5)))
        await until(lambda: bool(engine._transport._pools))
        os.kill(pid_of(engine), signal.SIGKILL)
        assert (await task).over


async def test_requests_that_arrive_during_a_restart_wait_for_it(real):
    async with real as engine:
        child = engine._supervisor.child
        os.kill(child.pid, signal.SIGKILL)
        await engine._supervisor.wait_gone(child, 10)
        assert not engine.ready
        heard = await asyncio.gather(
            *(generate(engine, asking("Hello", max_tokens=5)) for _ in range(4))
        )
        assert all(one.over for one in heard)
        assert engine.ready


async def test_a_closed_engine_says_so(real):
    async with real as engine:
        await engine.close()
        assert not engine.ready
        assert engine.state == "stopped"
        with pytest.raises(UpstreamFailed) as failed:
            await generate(engine, asking("Hello"))
        assert failed.value.refusal.code == "engine_unavailable"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no_model"),
        (b"", "bad_model"),
        (b"PK\x03\x04 a zip file", "bad_model"),
        (b"GGUF" + b"\xff" * 1_000, "bad_model"),
        (DEMO.read_bytes()[:200_000], "bad_model"),
    ],
)
async def test_a_file_that_is_no_model_is_refused_in_words(tmp_path, content, reason):
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    transport = NativeTransport()
    with pytest.raises(StartFailed) as failed:
        await start_embedded(ModelToServe(path, "m"), transport, SystemClock())
    assert failed.value.reason == reason
    assert failed.value.detail
    await transport.close()


# --- requests that kill ------------------------------------------------------------------------


async def test_a_request_that_kills_twice_is_refused_and_never_sent_again(mortal):
    async with mortal as engine:
        with pytest.raises(Refusal) as refused:
            await generate(engine, asking("die"))
        assert refused.value.code == "poison_request"
        starts = engine._supervisor.starts
        with pytest.raises(Refusal):
            await generate(engine, asking("die"))
        assert (await generate(engine, asking("live"))).over
        assert engine._supervisor.starts in (starts, starts + 1)  # the restart under way
        assert engine._supervisor.starts == 3


async def test_one_that_kills_mid_stream_is_poison_the_third_time(mortal):
    async with mortal as engine:
        for _ in range(2):
            with pytest.raises(UpstreamFailed) as failed:
                await generate(engine, asking("die late"))
            assert failed.value.began
        with pytest.raises(Refusal) as refused:
            await generate(engine, asking("die late"))
        assert refused.value.code == "poison_request"


async def test_an_innocent_neighbour_is_answered_and_cleared(mortal, tmp_path):
    witness = tmp_path / "witness"
    async with mortal as engine:
        for culprit in ("die", "die again"):
            neighbour = asyncio.create_task(generate(engine, asking("beside it")))
            await until(witness.exists)
            with pytest.raises(Refusal) as refused:
                await generate(engine, asking(culprit))
            assert refused.value.code == "poison_request"
            assert (await neighbour).over
            witness.unlink()
