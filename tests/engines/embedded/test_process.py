"""The worker's own end: with its parent, with its stdin, by signal, at its memory limit."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest

from portico.engines.embedded.child import ModelToServe, StartFailed, start_child
from portico.engines.embedded.wheel import lacks_avx2, probe_wheel

from .conftest import DEMO, config, real_worker


def gone(pid: int) -> bool:
    """No such process, or only its corpse."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def until_gone(pid: int) -> bool:
    until = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < until:
        time.sleep(0.005)
    return gone(pid)


def ready_worker():
    worker = real_worker(config())
    assert json.loads(worker.stdout.readline())["pid"] == worker.pid
    return worker


def test_the_worker_ends_when_its_stdin_closes():
    with ready_worker() as worker:
        worker.stdin.close()
        assert worker.wait(10) == 0


def test_the_worker_ends_on_sigterm():
    with ready_worker() as worker:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_a_crash_writes_no_prompt_to_disk_and_memory_is_taken_from_the_worker_first():
    with ready_worker() as worker:
        limits = Path(f"/proc/{worker.pid}/limits").read_text().splitlines()
        (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]
        ours, its = (Path(f"/proc/{who}/oom_score_adj") for who in ("self", worker.pid))
        assert int(its.read_text()) == min(1_000, int(ours.read_text()) + 300)
        worker.stdin.close()


PARENT = """
    import asyncio, signal, sys
    from pathlib import Path
    from portico.engines.embedded.child import ModelToServe, start_child

    async def main():
        child = await start_child(ModelToServe(Path(sys.argv[1]), "demo"))
        print(child.pid, flush=True)
        await asyncio.sleep(3600)

    # Whoever runs the tests in the background of a shell has it ignored, here too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(how):
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(DEMO)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.send_signal(how)
        parent.wait(10)
    assert until_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_the_kernel_ends_a_worker_whose_stdin_somebody_keeps_open(tmp_path):
    """A second holder of the pipe: stdin never closes, the death signal has to do it."""
    reading, writing = os.pipe()
    script = textwrap.dedent(
        """
        import os, subprocess, sys, time
        from portico.engines.embedded.child import WORKER, child_environment
        from portico.engines.embedded.messages import ChildConfig
        import msgspec
        config = msgspec.json.decode(sys.argv[1], type=ChildConfig)
        config = msgspec.structs.replace(config, parent_pid=os.getpid())
        worker = subprocess.Popen(WORKER, stdin=int(sys.argv[2]), stdout=subprocess.PIPE,
                                  env=child_environment())
        os.write(int(sys.argv[3]), msgspec.json.encode(config) + b"\\n")
        worker.stdout.readline()
        print(worker.pid, flush=True)
        time.sleep(3600)
        """
    )
    settings = msgspec.json.encode(config()).decode()
    parent = subprocess.Popen(
        [sys.executable, "-c", script, settings, str(reading), str(writing)],
        stdout=subprocess.PIPE,
        pass_fds=(reading, writing),
    )
    with parent:
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait(10)
    assert until_gone(pid)
    os.close(reading)
    os.close(writing)


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is Linux")
async def test_a_memory_limit_is_kept_by_failing_not_by_growing():
    with pytest.raises(StartFailed):
        await start_child(
            ModelToServe(DEMO, "demo", memory_limit_bytes=40_000_000, context_tokens=262_144)
        )


@pytest.mark.anyio
async def test_the_wheel_of_this_machine_is_usable():
    wheel = await probe_wheel()
    assert wheel.usable
    assert wheel.version == "2026.10.11549"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("print('xllamacpp cannot be loaded: musl'); sys.exit(1)", "musl"),
        ("os.kill(os.getpid(), signal.SIGILL)", "instructions"),
        ("sys.exit(9)", "code 9"),
    ],
)
async def test_a_machine_that_cannot_load_the_wheel_is_told_what_to_do(script, problem):
    command = (sys.executable, "-c", f"import os, signal, sys; {script}")
    wheel = await probe_wheel(command)
    assert not wheel.usable
    assert problem in wheel.problem
    assert "--upstream" in wheel.remedy


@pytest.mark.anyio
async def test_without_the_wheel_the_worker_says_so(tmp_path):
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('no AVX2')")
    run = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from portico.engines.embedded.worker import main; sys.exit(main())"
    )
    command = (sys.executable, "-c", run)
    with pytest.raises(StartFailed) as failed:
        await start_child(ModelToServe(DEMO, "demo"), command)
    assert failed.value.reason == "no_wheel"
    assert "no AVX2" in (await probe_wheel(command)).problem


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_avx2_is_read_from_cpuinfo(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    assert not lacks_avx2(cpuinfo)
    cpuinfo.write_text("processor: 0\nflags\t\t: fpu sse4_2 avx avx2\n")
    assert not lacks_avx2(cpuinfo)
    cpuinfo.write_text("processor: 0\nflags\t\t: fpu sse4_2 avx\n")
    assert lacks_avx2(cpuinfo)
    cpuinfo.write_text("processor: 0\nFeatures: neon\n")
    assert not lacks_avx2(cpuinfo)
