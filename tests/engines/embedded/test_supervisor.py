"""A child that dies comes back; one that dies too often stays down and says so."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from portico.engines.base import UpstreamFailed
from portico.engines.embedded.child import ModelToServe, StartFailed, start_child
from portico.engines.embedded.rules import RestartPolicy
from portico.engines.embedded.supervisor import Supervisor
from portico.kit.clock import SystemClock

pytestmark = pytest.mark.anyio

MODEL = ModelToServe(Path("/models/any.gguf"), "any", load_s=10.0)
QUICK = RestartPolicy(first_s=0.001, most_s=0.01, deaths_max=3, window_s=60.0, half_open_s=600.0)

LIVES = "ready(); sys.stdin.read()"


async def healthy(_child) -> bool:
    return True


@contextlib.asynccontextmanager
async def supervised(command, policy=QUICK, health=healthy):
    supervisor = Supervisor(MODEL, SystemClock(), health, policy, command)
    await supervisor.start()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        run = group.create_task(supervisor.run())
        try:
            yield supervisor
        finally:
            await supervisor.stop()
            await run


async def reaches(supervisor, state):
    while supervisor.state != state:
        await supervisor.changes()


def gone(pid: int) -> bool:
    """No such process, or only its corpse."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_killed_child_is_replaced(scripted_worker):
    async with supervised(scripted_worker(LIVES)) as supervisor:
        first = supervisor.child
        os.kill(first.pid, signal.SIGKILL)
        assert await supervisor.wait_gone(first, 10)
        second = await supervisor.wait_ready(10)
        assert second.pid != first.pid
        assert second.key != first.key
        assert supervisor.state == "ready"
        assert supervisor.starts == 2
        assert os.getsid(second.pid) == second.pid  # Ctrl-C in our terminal is not for it
    assert gone(second.pid)
    assert supervisor.state == "stopped"


async def test_a_child_that_keeps_dying_opens_the_circuit(scripted_worker):
    async with supervised(scripted_worker("ready(); sys.exit('no luck')")) as supervisor:
        await reaches(supervisor, "circuit_open")
        assert supervisor.starts == QUICK.deaths_max
        assert "no luck" in supervisor.why
        with pytest.raises(UpstreamFailed) as failed:
            await supervisor.wait_ready(600)  # at once, not after 600 s
        assert failed.value.refusal.code == "engine_unavailable"
        assert failed.value.refusal.retry_after_ms is not None


async def test_the_open_circuit_tries_again_later(scripted_worker, tmp_path):
    cured = tmp_path / "cured"
    command = scripted_worker(
        f"ready()\nif os.path.exists({str(cured)!r}): sys.stdin.read()\nsys.exit(1)"
    )
    policy = RestartPolicy(first_s=0.001, most_s=0.01, deaths_max=2, half_open_s=0.05)
    async with supervised(command, policy) as supervisor:
        await reaches(supervisor, "circuit_open")
        cured.touch()
        await reaches(supervisor, "ready")
        assert (await supervisor.wait_ready(10)).pid


async def test_a_child_that_stops_answering_is_killed_and_replaced(scripted_worker, monkeypatch):
    monkeypatch.setattr("portico.engines.embedded.supervisor._HEALTH_EVERY_S", 0.001)
    sick = set()

    async def health(child) -> bool:
        sick.add(child.pid)
        return child.pid != min(sick, default=0) or len(sick) > 1

    async with supervised(scripted_worker(LIVES), health=health) as supervisor:
        first = supervisor.child
        assert await supervisor.wait_gone(first, 10)
        assert (await supervisor.wait_ready(10)).pid != first.pid
    assert gone(first.pid)


async def test_stop_is_final_and_ends_a_child_that_ignores_sigterm(scripted_worker):
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); sys.stdin.read()"
    async with supervised(scripted_worker(stubborn)) as supervisor:
        child = supervisor.child
        await supervisor.stop(grace_s=0.01)
        assert gone(child.pid)
        with pytest.raises(UpstreamFailed):
            await supervisor.wait_ready(600)


async def test_a_cancelled_run_leaves_the_child_to_stop(scripted_worker):
    """As at shut-down: background work is cancelled first, streams may still be finishing."""
    supervisor = Supervisor(MODEL, SystemClock(), healthy, QUICK, scripted_worker(LIVES))
    await supervisor.start()
    run = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    child = supervisor.child
    assert child is not None
    assert not gone(child.pid)
    await supervisor.stop()
    assert gone(child.pid)


async def test_who_waits_too_long_for_a_restart_is_told(scripted_worker):
    slow = RestartPolicy(first_s=600.0, most_s=600.0)
    async with supervised(scripted_worker(LIVES), slow) as supervisor:
        first = supervisor.child
        first.kill()
        assert await supervisor.wait_gone(first, 10)
        with pytest.raises(UpstreamFailed) as failed:
            await supervisor.wait_ready(0.01)
        assert failed.value.refusal.code == "engine_unavailable"


@pytest.mark.parametrize(
    ("after_config", "reason", "words"),
    [
        (
            "print(json.dumps({'type': 'failed', 'reason': 'bad_model', 'detail': 'cut off'}))",
            "bad_model",
            "cut off",
        ),
        ("sys.exit('Illegal quantisation')", "died", "Illegal quantisation"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "died", "killed by signal 9"),
        ("print('hello')", "engine", "nonsense"),
        ("print('x' * 1_000_000)", "engine", "nonsense"),
        ("sys.stderr.write('y' * 1_000_000); sys.exit(3)", "died", "exit code 3"),
    ],
)
async def test_a_start_that_fails_says_why(scripted_worker, after_config, reason, words):
    with pytest.raises(StartFailed) as failed:
        await start_child(MODEL, scripted_worker(after_config))
    assert failed.value.reason == reason
    assert words in failed.value.detail
    assert len(failed.value.detail) < 1_000


async def test_a_start_that_takes_too_long_leaves_no_process(scripted_worker, tmp_path):
    told = tmp_path / "pid"
    command = scripted_worker(f"open({str(told)!r}, 'w').write(str(os.getpid())); sys.stdin.read()")
    with pytest.raises(StartFailed) as failed:
        await start_child(ModelToServe(Path("/m.gguf"), "m", load_s=1.0), command)
    assert failed.value.reason == "timeout"
    assert gone(int(told.read_text()))


async def test_the_child_sees_none_of_our_environment(scripted_worker, monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_API_KEY", "from-the-operator")
    command = scripted_worker(
        "print(json.dumps({'type': 'failed', 'reason': 'engine',"
        " 'detail': ' '.join(sorted(os.environ))}))"
    )
    with pytest.raises(StartFailed) as failed:
        await start_child(MODEL, command)
    assert "LLAMA" not in failed.value.detail
    assert "GGML_NO_BACKTRACE" in failed.value.detail
