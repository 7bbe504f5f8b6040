"""Token counts have places of their own: so many for a model, so many for a key."""

import asyncio

import pytest

from portico import errors
from portico.admission.counts import CountLimits, Counts
from portico.admission.line import QueueLimits
from portico.callers.model import Caller
from portico.kit.clock import SystemClock
from portico.kit.leaving import Leaving, Left

pytestmark = pytest.mark.anyio


def caller(key_id: str) -> Caller:
    return Caller(key_id, "proj_a", "org_a", "live", 1)


def desk(per_key: int = 9, per_model: int = 9, waiting: int = 9, wait_s: float = 5.0) -> Counts:
    return Counts(CountLimits(per_key, per_model, QueueLimits(waiting, wait_s)), SystemClock())


async def test_429_for_one_more_than_a_key_may_have_and_not_for_another_key() -> None:
    counts = desk(per_key=2)
    places = [await counts.enter(caller("a"), "m", Leaving()) for _ in range(2)]
    with pytest.raises(errors.Refusal, match="2 token counts open; it may have 2") as caught:
        await counts.enter(caller("a"), "n", Leaving())
    assert (caught.value.status, caught.value.code) == (429, "concurrency_exceeded")
    (await counts.enter(caller("b"), "m", Leaving())).release()
    for place in places:
        place.release()
        place.release()
    (await counts.enter(caller("a"), "m", Leaving())).release()
    assert counts._shares.open == {}


async def test_a_model_counts_so_many_at_once_and_the_rest_wait_in_line() -> None:
    counts = desk(per_model=1)
    first = await counts.enter(caller("a"), "m", Leaving())
    (await counts.enter(caller("a"), "another model", Leaving())).release()
    loop = asyncio.get_running_loop()
    second = loop.create_task(counts.enter(caller("a"), "m", Leaving()))
    await asyncio.sleep(0)
    assert not second.done()
    first.release()
    (await second).release()


@pytest.mark.parametrize(("waiting", "why"), [(0, "are waiting already"), (9, "came free in 0.01")])
async def test_503_where_the_line_is_full_or_the_wait_too_long(waiting: int, why: str) -> None:
    counts = desk(per_model=1, waiting=waiting, wait_s=0.01)
    first = await counts.enter(caller("a"), "m", Leaving())
    with pytest.raises(errors.Refusal, match=why) as caught:
        await counts.enter(caller("b"), "m", Leaving())
    assert (caught.value.status, caught.value.code) == (503, "overloaded")
    first.release()
    assert counts._shares.open == {}


async def test_who_leaves_the_line_leaves_nothing_behind() -> None:
    counts, leaving = desk(per_model=1), Leaving()
    first = await counts.enter(caller("a"), "m", Leaving())
    gone = asyncio.get_running_loop().create_task(counts.enter(caller("b"), "m", leaving))
    await asyncio.sleep(0)
    leaving.leave("hung up")
    with pytest.raises(Left):
        await gone
    first.release()
    assert (counts._shares.open, counts._lines["m"].running) == ({}, 0)
