"""Decoders as processes: how many, who waits, what becomes of one that dies, and what it may do."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from portico.errors import Refusal
from portico.kit.leaving import Leaving
from portico.media.child import Child, start_child
from portico.media.model import Job, Kept, Limits, Paper, Picture, Refused, Reply
from portico.media.service import Decoders
from tests.media.corpus import base64, pdf_with, picture

pytestmark = pytest.mark.anyio

SMALL = Picture(base64(picture()), ("image/png",), 1_000_000, 1_000_000)
LONG = Paper(base64(pdf_with(b"0 0 m 100 100 l S " * 500_000)), 100, 1_000, 1, 1_000_000)
"""Takes longer than any test waits."""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Started:
    """Starts decoders, and says when one has been asked."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self.asked = asyncio.Event()

    async def __call__(self, limits: Limits) -> Child:
        child = await start_child(limits)
        self.children.append(child)
        ask = child.ask

        async def asking(job: Job) -> Reply:
            self.asked.set()  # whoever waits for it runs once the job is written
            return await ask(job)

        child.ask = asking  # type: ignore[method-assign]  # of this one
        return child


async def busy(decoders: Decoders, started: Started) -> "asyncio.Task[Reply]":
    task = asyncio.get_running_loop().create_task(decoders.ask(LONG))
    await started.asked.wait()
    return task


async def test_none_is_started_before_the_first_file(decoders: Decoders) -> None:
    assert decoders.started == 0
    assert await decoders.ask(SMALL) == Kept()
    assert await decoders.ask(SMALL) == Kept()
    assert decoders.started == 1


async def test_one_that_is_killed_at_work_refuses_its_own_file_alone() -> None:
    started = Started()
    decoders = Decoders(Limits(), started)
    try:
        asked = await busy(decoders, started)
        os.kill(started.children[0].pid, signal.SIGKILL)
        assert await asked == Refused("crashed")
        assert await decoders.ask(SMALL) == Kept()
        assert decoders.started == 2
    finally:
        await decoders.close()


async def test_one_that_died_between_two_files_costs_nobody_anything() -> None:
    started = Started()
    decoders = Decoders(Limits(), started)
    try:
        await decoders.ask(SMALL)
        os.kill(started.children[0].pid, signal.SIGKILL)
        assert await decoders.ask(SMALL) == Kept()
        assert decoders.started == 2
    finally:
        await decoders.close()


async def test_a_file_has_its_time_and_no_more() -> None:
    started = Started()
    decoders = Decoders(Limits(timeout_s=0.3), started)
    try:
        assert await decoders.ask(LONG) == Refused("time", None, 0.3)
        await started.children[0].ended()
        assert gone(started.children[0].pid)
    finally:
        await decoders.close()


async def test_no_more_work_at_once_than_there_are_places() -> None:
    started = Started()
    decoders = Decoders(Limits(wait_s=0.05), started)
    try:
        asked = await busy(decoders, started)
        with pytest.raises(Refusal) as caught:
            await decoders.ask(SMALL)
        assert (caught.value.status, caught.value.code) == (503, "overloaded")
        assert caught.value.retry_after_ms
        asked.cancel()
    finally:
        await decoders.close()


async def test_whoever_sends_many_files_waits_behind_himself() -> None:
    started = Started()
    decoders = Decoders(Limits(), started)
    order: list[str] = []

    async def send(owner: str) -> None:
        await decoders.ask(SMALL, owner)
        order.append(owner)

    try:
        await asyncio.gather(*[send("many") for _ in range(6)], send("one"))
        assert order.index("one") <= 2
        assert decoders.started == 1
    finally:
        await decoders.close()


async def test_nobody_takes_the_last_place_from_others() -> None:
    started = Started()
    decoders = Decoders(Limits(workers=2), started)
    try:
        tasks = [asyncio.get_running_loop().create_task(decoders.ask(LONG, "many")) for _ in "ab"]
        await started.asked.wait()
        assert await decoders.ask(SMALL, "one") == Kept()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert await decoders.ask(SMALL, "many") == Kept()
    finally:
        await decoders.close()


async def test_whoever_leaves_ends_the_work_and_frees_the_place() -> None:
    started = Started()
    decoders = Decoders(Limits(wait_s=5.0), started)
    leaving = Leaving()

    async def visit() -> None:
        with leaving:
            await decoders.ask(LONG)

    try:
        visiting = asyncio.get_running_loop().create_task(visit())
        await started.asked.wait()
        leaving.leave("gone")
        await visiting
        assert await decoders.ask(SMALL) == Kept()
        await started.children[0].ended()
    finally:
        await decoders.close()


async def test_a_worn_one_is_replaced() -> None:
    decoders = Decoders(Limits(), files_each=2)
    try:
        for _ in range(5):
            assert await decoders.ask(SMALL) == Kept()
        assert decoders.started == 3
    finally:
        await decoders.close()


async def test_none_is_left_when_they_are_closed() -> None:
    started = Started()
    decoders = Decoders(Limits(workers=2), started)
    await decoders.ask(SMALL)
    first, second = await asyncio.gather(decoders.ask(SMALL, "a"), decoders.ask(SMALL, "b"))
    assert first == second == Kept()
    await decoders.close()
    assert [gone(child.pid) for child in started.children] == [True, True]


async def test_where_no_process_can_be_started_nobody_is_told_it_is_his_fault() -> None:
    async def cannot(limits: Limits) -> Child:
        raise OSError("no more processes")

    with pytest.raises(Refusal) as caught:
        await Decoders(Limits(), cannot).ask(SMALL)
    assert (caught.value.status, caught.value.code) == (503, "overloaded")


LIAR = """
import sys
into, out = sys.stdin.buffer, sys.stdout.buffer
for said in ({first!r}, {then!r}):
    into.read(int.from_bytes(into.read(4), "big"))
    out.write(said)
    out.flush()
into.read()
"""
READY = b"\0\0\0\x0b\x81\xa4type\xa4kept"


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", b"\0\0\0\3abc", b"\0\0\0\1\xc0"])
async def test_one_that_speaks_nonsense_is_not_believed(said: bytes) -> None:
    async def liar(limits: Limits) -> Child:
        program = LIAR.format(first=READY, then=said)
        return await start_child(limits, (sys.executable, "-c", program))

    decoders = Decoders(Limits(timeout_s=5.0), liar)
    try:
        assert await decoders.ask(SMALL) == Refused("crashed")
    finally:
        await decoders.close()


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", b"\0\0\0\3abc"])
async def test_one_that_does_not_get_ready_is_none(said: bytes) -> None:
    async def liar(limits: Limits) -> Child:
        program = LIAR.format(first=said, then=READY)
        return await start_child(limits, (sys.executable, "-c", program))

    with pytest.raises(Refusal) as caught:
        await Decoders(Limits(), liar).ask(SMALL)
    assert caught.value.code == "overloaded"


async def test_it_has_no_descriptor_no_secret_and_little_to_use(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTICO_TEST_SECRET", "s")
    watched = Started()
    watching = Decoders(Limits(timeout_s=7.0), watched)
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    try:
        await watching.ask(SMALL)
        at = Path(f"/proc/{watched.children[0].pid}")
        assert {int(each.name) for each in (at / "fd").iterdir()} <= {0, 1, 2, 3}
        assert b"SECRET" not in (at / "environ").read_bytes()
        limits = (at / "limits").read_text()
        assert "Max core file size        0" in limits
        assert "Max file size             0" in limits
        assert "Max open files            16" in limits
        size = next(line for line in limits.splitlines() if line.startswith("Max address space"))
        assert int(size.split()[3]) < 600_000_000
        cpu = next(line for line in limits.splitlines() if line.startswith("Max cpu time"))
        assert int(cpu.split()[3]) <= 10
    finally:
        os.close(ours)
        os.close(theirs)
        await watching.close()


def test_it_dies_with_its_parent() -> None:
    program = (
        "import asyncio, os, signal, sys\n"
        "from portico.media.child import start_child\n"
        "from portico.media.model import Limits\n"
        "from tests.media.test_process import LONG, SMALL\n"
        "async def main():\n"
        "    child = await start_child(Limits())\n"
        "    await child.ask(SMALL)\n"
        "    asyncio.ensure_future(child.ask(LONG))\n"
        "    await asyncio.sleep(0)\n"
        "    print(child.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    try:
        watch = os.pidfd_open(int(done.stdout))
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([watch], [], [], 10)
        assert ended
    finally:
        os.close(watch)
