"""Leaving interrupts what is inside the scope and nothing after it."""

import asyncio

import pytest

from portico.kit.leaving import Leaving, Left

pytestmark = pytest.mark.anyio


async def test_leaving_ends_the_scope_and_nothing_else() -> None:
    leaving = Leaving()
    facts: list[str] = []

    async def visit() -> None:
        with leaving:
            facts.append("inside")
            await asyncio.Event().wait()
            facts.append("never")
        facts.append("after")
        await asyncio.sleep(0)
        facts.append("still running")

    task = asyncio.get_running_loop().create_task(visit())
    await asyncio.sleep(0)
    leaving.leave("hung up")
    await task
    assert facts == ["inside", "after", "still running"]
    assert leaving.reason == "hung up"


async def test_leaving_after_the_scope_interrupts_nothing() -> None:
    leaving = Leaving()
    settled = asyncio.Event()

    async def visit() -> str:
        with leaving:
            pass
        await settled.wait()
        return "settled"

    task = asyncio.get_running_loop().create_task(visit())
    await asyncio.sleep(0)
    leaving.leave("too late")
    settled.set()
    assert await task == "settled"


async def test_leaving_before_the_scope_keeps_it_shut() -> None:
    leaving = Leaving()
    leaving.leave("gone already")
    with pytest.raises(Left, match="gone already"), leaving:
        pytest.fail("entered")


async def test_somebody_elses_cancel_goes_on() -> None:
    leaving = Leaving()

    async def visit() -> None:
        with leaving:
            await asyncio.Event().wait()

    task = asyncio.get_running_loop().create_task(visit())
    await asyncio.sleep(0)
    leaving.leave("hung up")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_on_the_way_out_is_not_swallowed() -> None:
    leaving = Leaving()

    async def visit() -> None:
        with leaving:
            try:
                await asyncio.Event().wait()
            finally:
                raise RuntimeError("closing failed")

    task = asyncio.get_running_loop().create_task(visit())
    await asyncio.sleep(0)
    leaving.leave("hung up")
    with pytest.raises(RuntimeError, match="closing failed"):
        await task


async def test_the_first_reason_stays() -> None:
    leaving = Leaving()
    leaving.leave("hung up")
    leaving.leave("stopped reading")
    assert leaving.reason == "hung up"
