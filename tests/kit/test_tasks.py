"""Background work ends with its owner, and its failures are told."""

import asyncio

import pytest

from portico.kit.tasks import Tasks

pytestmark = pytest.mark.anyio


async def test_what_runs_is_cancelled_and_waited_for() -> None:
    facts: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            facts.append("cleaned up")

    tasks = Tasks(on_failure=lambda failure: facts.append(str(failure)))
    tasks.start(work())
    await asyncio.sleep(0)
    await tasks.close()
    assert facts == ["cleaned up"]


async def test_a_failure_is_told_once() -> None:
    told: list[BaseException] = []

    async def work() -> None:
        raise RuntimeError("broke")

    tasks = Tasks(told.append)
    tasks.start(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await tasks.close()
    assert [str(failure) for failure in told] == ["broke"]
