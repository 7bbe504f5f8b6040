"""A project's room is bounded, and what has expired gives it back in time."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.replay.shelf import Shelf, Shelves
from tests.db.storage import HandClock


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=30))
def test_never_more_than_there_is_room_for(wanted: list[tuple[int, bool]]) -> None:
    shelf, stored = Shelf(100, 0), 0
    for count, needed in wanted:
        had = shelf.take(count)
        assert had == (stored + count <= 100)
        if had and needed:
            stored += count
        elif had:
            shelf.give_back(count)
        assert shelf.stored_bytes == stored


class Found:
    """Readers that say what they are told, when they are told."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)
        self.looks = 0
        self.may = asyncio.Event()
        self.may.set()

    def submit(self, query: Any, tenant: str | None) -> "asyncio.Future[int]":
        return asyncio.ensure_future(self.run(query, tenant))

    async def run(self, query: Any, tenant: str | None) -> int:
        assert tenant == "org_1"
        self.looks += 1
        await self.may.wait()
        if not self.sizes:
            raise OSError("gone")
        return self.sizes.pop(0)


def shelves(found: Any, clock: HandClock) -> Shelves:
    return Shelves(found, clock, 100)


@pytest.mark.anyio
async def test_whoever_comes_during_the_first_look_waits_for_it() -> None:
    """Or its answer, made before the look has ended, would find no room, and be charged again."""
    found, clock = Found(90), HandClock()
    found.may.clear()
    rooms = shelves(found, clock)
    first, second = (
        asyncio.get_running_loop().create_task(rooms.of("p", "org_1")) for _ in range(2)
    )
    for _ in range(3):
        await asyncio.sleep(0)
    assert not second.done()
    found.may.set()
    shelf = await second
    assert await first is shelf
    assert (shelf.take(11), shelf.take(10), shelf.take(1)) == (False, True, False)
    assert found.looks == 1


@pytest.mark.anyio
async def test_one_who_hangs_up_takes_the_look_from_nobody() -> None:
    found, clock = Found(5), HandClock()
    found.may.clear()
    rooms = shelves(found, clock)
    first, second = (
        asyncio.get_running_loop().create_task(rooms.of("p", "org_1")) for _ in range(2)
    )
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    found.may.set()
    assert (await second).stored_bytes == 5
    assert found.looks == 1


@pytest.mark.anyio
async def test_a_look_that_fails_is_told_to_all_who_wait_for_it() -> None:
    """Not made again by each of them, one after the other."""
    found, clock = Found(), HandClock()
    found.may.clear()
    rooms = shelves(found, clock)
    waiting = [asyncio.get_running_loop().create_task(rooms.of("p", "org_1")) for _ in range(3)]
    await asyncio.sleep(0)
    found.may.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told] == [OSError] * 3
    assert found.looks == 1


@pytest.mark.anyio
async def test_it_is_looked_up_again_where_it_is_nearly_full_once_a_minute() -> None:
    found, clock = Found(10, 20), HandClock()
    rooms = shelves(found, clock)
    shelf = await rooms.of("p", "org_1")
    clock.pass_s(1_000)
    assert shelf.take(64)
    await rooms.of("p", "org_1")
    assert found.looks == 1, "there is plenty"
    assert shelf.take(1)
    await rooms.of("p", "org_1")
    assert (found.looks, shelf.stored_bytes) == (2, 20)
    assert shelf.take(80)
    clock.pass_s(59.9)
    await rooms.of("p", "org_1")
    assert found.looks == 2


@pytest.mark.anyio
async def test_what_comes_while_it_looks_counts() -> None:
    found, clock = Found(0, 70), HandClock()
    rooms = shelves(found, clock)
    shelf = await rooms.of("p", "org_1")
    assert shelf.take(80)
    clock.pass_s(60)
    found.may.clear()
    looking = asyncio.get_running_loop().create_task(rooms.of("p", "org_1"))
    await asyncio.sleep(0)
    assert shelf.take(15)
    found.may.set()
    await looking
    assert shelf.stored_bytes == 85


@pytest.mark.anyio
async def test_a_look_that_fails_is_made_again() -> None:
    found, clock = Found(), HandClock()
    rooms = shelves(found, clock)
    with pytest.raises(OSError, match="gone"):
        await rooms.of("p", "org_1")
    found.sizes.append(5)
    assert (await rooms.of("p", "org_1")).stored_bytes == 5
    assert (await rooms.of("p", "org_1")) is not (await shelves(Found(0), clock).of("p", "org_1"))
