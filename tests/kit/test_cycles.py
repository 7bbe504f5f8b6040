"""What nobody can reach any more goes soon; looking for it takes a bounded share of the time."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from portico.kit.cycles import Collector


class HandClock:
    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.step_s = 0.0

    def monotonic_s(self) -> float:
        """Passes by `step_s` with every look."""
        self.now_s += self.step_s
        return self.now_s

    def wall_ms(self) -> int:
        return 0


class Knot:
    def __init__(self) -> None:
        self.myself = self


@pytest.fixture
def left_alone() -> Iterator[None]:
    """The interpreter's own rules say nothing here, and hold again afterwards.

    What other tests have loaded is not looked at, in hundreds of looks at everything, here or later."""
    thresholds = gc.get_threshold()
    gc.disable()
    gc.freeze()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()


def all_looks(collector: Collector, clock: HandClock, bites: int, leave: int = 0) -> int:
    """How many of so many bites, one a second, looked at everything.

    leave: so many knots, there at one bite and out of reach at the next."""
    found = []

    def seen(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            found.append(info)

    gc.callbacks.append(seen)
    knots: list[Knot] = []
    try:
        for _ in range(bites):
            clock.now_s += 1.0
            collector.bite()
            knots = [Knot() for _ in range(leave)]
            gc.collect(0)
    finally:
        gc.callbacks.remove(seen)
    del knots
    return len(found)


@pytest.mark.usefixtures("left_alone")
def test_a_young_cycle_is_gone_with_the_next_bite_an_old_one_within_a_minute() -> None:
    clock = HandClock()
    collector = Collector(clock)
    young, old = Knot(), Knot()
    gone = weakref.ref(young), weakref.ref(old)
    del young
    collector.bite()
    assert gone[0]() is None
    del old
    collector.bite()
    assert gone[1]() is not None, "it was there when it was looked at, and is left for later"
    clock.now_s += 60.0
    collector.bite()
    assert gone[1]() is None


@pytest.mark.usefixtures("left_alone")
def test_everything_is_looked_at_every_minute_while_that_finds_something() -> None:
    clock = HandClock()
    assert all_looks(Collector(clock), clock, 600, leave=50) in (9, 10)


@pytest.mark.usefixtures("left_alone")
def test_who_finds_nothing_looks_at_everything_ever_more_seldom() -> None:
    clock = HandClock()
    collector = Collector(clock)
    assert all_looks(collector, clock, 60 + 120 + 240 + 10) == 3
    for _ in range(10):
        clock.now_s += 10_000.0
        collector.bite()
    assert all_looks(collector, clock, 3_600) == 1, "every hour at least"


@pytest.mark.usefixtures("left_alone")
def test_looking_at_everything_takes_a_thousandth_of_the_time_at_most() -> None:
    clock = HandClock()
    clock.step_s = 0.3
    collector = Collector(clock)
    assert all_looks(collector, clock, 600, leave=50) in (2, 3), "0.3 s of work: once in 300 s"


@pytest.mark.usefixtures("left_alone")
def test_what_exists_when_serving_begins_is_never_looked_at() -> None:
    knot = Knot()
    gone = weakref.ref(knot)
    collector = Collector(HandClock())
    collector.take_over()
    assert gc.get_threshold()[0] > 700
    del knot
    gc.collect()
    assert gone() is not None
