"""Places shrink while what is behind them is away, and grow back; nobody who waits is lost."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.admission.line import Line, QueueLimits
from portico.admission.service import Admission, Permit
from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.kit.clock import SystemClock
from portico.kit.leaving import Leaving
from portico.routing.service import Routing
from tests.journeys.world import PROMPT
from tests.routing.test_routing import Engine, deployment

pytestmark = pytest.mark.anyio

CALLER = Caller("key_a", "proj_a", "org_a", "live", 1_000)
PATIENT_S = 5.0


@dataclass
class To:
    """Places that change."""

    places: int
    places_in_all: int
    model: str = "m"


def room() -> Admission:
    return Admission(QueueLimits(100, 30.0), SystemClock())


class House:
    """Real routing before real admission."""

    def __init__(self, *places: int) -> None:
        self.engines = [Engine(places=each) for each in places]
        self.routing = Routing(
            deployment(f"d{at}", engine) for at, engine in enumerate(self.engines)
        )
        self.admission = room()

    @property
    def there(self) -> int:
        """What the law counts: where nobody is there, everybody may be asked."""
        ready = [e.abilities.concurrency_max for e in self.engines if e.ready]
        return sum(ready) or sum(e.abilities.concurrency_max for e in self.engines)

    def enter(self, leaving: Leaving, prompt: Prompt = PROMPT) -> "asyncio.Task[Permit]":
        routes = self.routing.choose(prompt, "own")
        loop = asyncio.get_running_loop()
        return loop.create_task(self.admission.admit("req_1", CALLER, routes, None, leaving))


@settings(max_examples=80, deadline=None)
@given(
    places=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["enter", "enter", "hang up", "end", "away", "back"]),
            st.integers(0, 30),
        ),
        max_size=40,
    ),
)
def test_nobody_enters_beyond_what_is_there_and_everybody_enters_in_the_end(
    places: list[int], steps: list[tuple[str, int]]
) -> None:
    asyncio.run(live_through(places, steps))


async def live_through(places: list[int], steps: list[tuple[str, int]]) -> None:
    house = House(*places)
    visits: list[tuple[Leaving, asyncio.Task[Permit]]] = []
    for verb, which in steps:
        before = house.admission.running
        if verb == "enter":
            leaving = Leaving()
            visits.append((leaving, house.enter(leaving)))
        elif verb in ("away", "back"):
            house.engines[which % len(places)].ready = verb == "back"
        elif visits:
            leaving, visit = visits[which % len(visits)]
            if verb == "hang up":
                leaving.leave("hung up")
            elif visit.done() and visit.exception() is None:
                visit.result().release()
        await asyncio.sleep(0)
        now = house.admission.running
        assert now <= max(before, house.there), "who is in may stay; nobody comes in on top"
    for engine in house.engines:
        engine.ready = True
    async with asyncio.timeout(PATIENT_S):
        for _, visit in visits:
            await asyncio.wait([visit])
            if visit.exception() is None:
                visit.result().release()
    assert (house.admission.running, house.admission.waiting) == (0, 0)
    assert house.admission._shares.open == {}


async def test_two_deployments_of_four_places_have_four_while_one_is_away() -> None:
    house = House(4, 4)
    house.engines[1].ready = False
    visits = [house.enter(Leaving()) for _ in range(8)]
    await asyncio.sleep(0)
    assert (house.admission.running, house.admission.waiting) == (4, 4)
    house.engines[1].ready = True
    async with asyncio.timeout(PATIENT_S):  # although nobody has ended
        permits = [await visit for visit in visits]
    assert house.admission.running == 8
    for permit in permits:
        permit.release()


class Late:
    """A second place, for whoever asks often enough."""

    model, places_in_all, asked = "m", 2, 0

    @property
    def places(self) -> int:
        self.asked += 1
        return 1 if self.asked < 5 else 2


async def test_the_line_goes_on_looking_for_as_long_as_somebody_waits() -> None:
    admission, to = room(), Late()
    first = await admission.admit("req_1", CALLER, to, None, Leaving())
    async with asyncio.timeout(PATIENT_S):
        second = await admission.admit("req_1", CALLER, to, None, Leaving())
    assert to.asked >= 5
    first.release()
    second.release()


async def test_places_that_went_are_not_handed_on() -> None:
    admission, to = room(), To(2, 2)
    loop = asyncio.get_running_loop()
    inside = [await admission.admit("req_1", CALLER, to, None, Leaving()) for _ in range(2)]
    waiting = loop.create_task(admission.admit("req_1", CALLER, to, None, Leaving()))
    await asyncio.sleep(0)
    to.places = to.places_in_all = 1
    inside[0].release()
    await asyncio.sleep(0)
    assert (admission.running, admission.waiting) == (1, 1)
    inside[1].release()
    (await waiting).release()
    assert admission.running == 0


async def test_who_may_go_to_one_place_only_gets_one_however_busy_the_rest_is() -> None:
    line = Line(QueueLimits(10, 5.0), "requests")
    wide, narrow = To(3, 3), To(1, 3)
    assert all(line.enter(wide) for _ in range(3))
    loop = asyncio.get_running_loop()
    turns = [loop.create_task(line.wait(narrow, Leaving())) for _ in range(2)]
    await asyncio.sleep(0)
    line.give_back(1.0)
    await turns[0]
    assert not turns[1].done(), "one place came free, one was handed on"
    for _ in range(3):
        line.give_back(1.0)
    await turns[1]
    line.give_back(1.0)
    assert line.running == 0
