"""Never more than the places, never a lost place, never an unbounded or endless wait."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico import errors
from portico.admission.line import QueueLimits
from portico.admission.rules import drain_estimate_ms
from portico.admission.service import Admission, Permit
from portico.callers.model import Caller
from portico.kit.clock import SystemClock
from portico.kit.leaving import Leaving, Left

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class To:
    model: str = "m"
    places: int = 1

    @property
    def places_in_all(self) -> int:
        return self.places


def caller(key_id: str = "key_a", concurrency_max: int = 100) -> Caller:
    return Caller(key_id, "proj_a", "org_a", "live", concurrency_max)


def room(requests_max: int = 10, wait_s_max: float = 30.0) -> Admission:
    return Admission(QueueLimits(requests_max, wait_s_max), SystemClock())


def enter(
    admission: Admission, to: To | None = None, leaving: Leaving | None = None
) -> "asyncio.Task[Permit]":
    loop = asyncio.get_running_loop()
    return loop.create_task(
        admission.admit("req_1", caller(), to or To(), None, leaving or Leaving())
    )


async def test_a_free_place_is_taken_at_once() -> None:
    admission = room()
    permit = await admission.admit("req_1", caller(), To(), None, Leaving())
    assert (admission.running, permit.queue_ms) == (1, 0)
    permit.release()
    assert admission.running == 0


async def test_a_place_is_given_back_once() -> None:
    admission = room()
    permit = await admission.admit("req_1", caller(), To(places=2), None, Leaving())
    await admission.admit("req_1", caller(), To(places=2), None, Leaving())
    permit.release()
    permit.release()
    assert admission.running == 1


async def test_first_come_first_served() -> None:
    admission = room()
    first = await admission.admit("req_1", caller(), To(), None, Leaving())
    second, third = enter(admission), enter(admission)
    await asyncio.sleep(0)
    assert admission.waiting == 2
    first.release()
    permit = await second
    assert not third.done()
    permit.release()
    (await third).release()
    assert (admission.running, admission.waiting) == (0, 0)


async def test_a_newcomer_does_not_overtake_the_line() -> None:
    admission = room()
    first = await admission.admit("req_1", caller(), To(), None, Leaving())
    second = enter(admission)
    await asyncio.sleep(0)
    first.release()  # the place now belongs to `second`, which has not run yet
    third = enter(admission)
    permit = await second
    assert not third.done()
    permit.release()
    (await third).release()


async def test_429_when_one_key_takes_more_than_its_share() -> None:
    admission = room()
    await admission.admit("req_1", caller(concurrency_max=1), To(places=9), None, Leaving())
    with pytest.raises(errors.Refusal) as caught:
        await admission.admit("req_1", caller(concurrency_max=1), To(places=9), None, Leaving())
    refusal = caught.value
    assert (refusal.status, refusal.code) == (429, "concurrency_exceeded")
    assert (refusal.value, refusal.limit) == (1, 1)
    assert refusal.retry_after_ms is not None


async def test_503_when_the_line_is_full() -> None:
    admission = room(requests_max=1)
    first = await admission.admit("req_1", caller(), To(), None, Leaving())
    waiting = enter(admission)
    await asyncio.sleep(0)
    with pytest.raises(errors.Refusal) as caught:
        await admission.admit("req_1", caller(), To(), None, Leaving())
    assert (caught.value.status, caught.value.code) == (503, "overloaded")
    assert caught.value.retry_after_ms is not None
    first.release()
    (await waiting).release()
    assert admission._shares.open == {}


async def test_503_when_the_wait_is_over_its_deadline() -> None:
    admission = room(wait_s_max=0.01)
    first = await admission.admit("req_1", caller(), To(), None, Leaving())
    with pytest.raises(errors.Refusal, match=r"none of 1 places came free in 0\.01 s"):
        await admission.admit("req_1", caller(), To(), None, Leaving())
    assert admission.waiting == 0
    first.release()
    assert (admission.running, admission._shares.open) == (0, {})


async def test_a_waiting_client_that_leaves_frees_its_place_in_the_line() -> None:
    admission = room()
    first = await admission.admit("req_1", caller(), To(), None, Leaving())
    leaving = Leaving()
    waiting = enter(admission, leaving=leaving)
    await asyncio.sleep(0)
    leaving.leave("hung up")
    with pytest.raises(Left):
        await waiting
    assert admission.waiting == 0
    first.release()
    assert (admission.running, admission._shares.open) == (0, {})


async def test_a_client_that_leaves_as_its_turn_comes_hands_the_place_on() -> None:
    admission = room()
    first = await admission.admit("req_1", caller(), To(), None, Leaving())
    leaving = Leaving()
    gone, next_one = enter(admission, leaving=leaving), enter(admission)
    await asyncio.sleep(0)
    first.release()
    leaving.leave("hung up")
    with pytest.raises(Left):
        await gone
    (await next_one).release()
    assert (admission.running, admission._shares.open) == (0, {})


async def test_503_while_draining_and_while_usage_cannot_be_recorded() -> None:
    admission = room()
    admission.storage_refusal = errors.STORAGE_UNAVAILABLE("disk full", retry_after_ms=5000)
    with pytest.raises(errors.Refusal, match="disk full"):
        await admission.admit("req_1", caller(), To(), None, Leaving())
    admission.storage_refusal = None
    admission.draining = True
    with pytest.raises(errors.Refusal, match="shutting down"):
        await admission.admit("req_1", caller(), To(), None, Leaving())


@settings(max_examples=60, deadline=None)
@given(
    places=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from(["enter", "leave", "release"]), st.integers(0, 9))),
)
def test_places_are_conserved_whatever_happens(places: int, steps: list[tuple[str, int]]) -> None:
    """At every step running <= places; when everybody is gone, nothing is held."""

    asyncio.run(live_through(places, steps))


async def live_through(places: int, steps: list[tuple[str, int]]) -> None:
    admission, to = room(requests_max=5), To(places=places)
    visits: list[tuple[Leaving, asyncio.Task[Permit]]] = []
    for verb, which in steps:
        if verb == "enter":
            leaving = Leaving()
            visits.append((leaving, enter(admission, to, leaving)))
        elif visits and verb == "leave":
            visits[which % len(visits)][0].leave("hung up")
        elif visits:
            release(visits[which % len(visits)][1])
        if which % 2:
            await asyncio.sleep(0)
        assert admission.running <= places
    while visits:
        await asyncio.sleep(0)
        visits = [visit for visit in visits if not release(visit[1])]
    assert (admission.running, admission.waiting, admission._shares.open) == (0, 0, {})


def release(visit: "asyncio.Task[Permit]") -> bool:
    """Has the visit ended?  One that got in is sent out again."""
    if visit.done() and visit.exception() is None:
        visit.result().release()
    return visit.done()


@given(st.integers(0, 10_000), st.integers(0, 1_000), st.floats(0, 1e7))
def test_the_advice_to_wait_is_between_a_second_and_a_minute(
    waiting: int, places: int, mean_run_ms: float
) -> None:
    assert 1_000 <= drain_estimate_ms(waiting, places, mean_run_ms) <= 60_000
