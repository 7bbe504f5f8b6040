"""Everybody is written down in time, and never a crowd at once."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.metering.rounds import Rounds

TICK_S, ROUND_S, FIRST_S = 1 / 32, 1.75, 0.2


@dataclass
class Record:
    id: str
    checkpoint_due_s: float = 0.0


class Clerk:
    """Asks at every tick, and notes when each was written."""

    def __init__(self) -> None:
        self.rounds = Rounds[Record](first_s=FIRST_S, round_s=ROUND_S, tick_s=TICK_S)
        self.now_s = 100.0
        self.last_s: dict[str, float] = {}
        self.waited_s: list[float] = []
        self.bites: list[int] = []

    def stream(self, record: Record) -> None:
        self.rounds.written(record, self.now_s)
        self.last_s[record.id] = self.now_s

    def tick(self) -> None:
        self.now_s += TICK_S
        taken = [*self.rounds.first(self.now_s), *self.rounds.turn(self.now_s)]
        for record in taken:
            self.rounds.written(record, self.now_s)
            self.waited_s.append(self.now_s - self.last_s[record.id])
            self.last_s[record.id] = self.now_s
        self.bites.append(len(taken))


@pytest.mark.parametrize("count", [1, 55, 56, 100, 667, 5_000])
def test_who_began_together_does_not_come_together(count: int) -> None:
    clerk = Clerk()
    for number in range(count):
        clerk.stream(Record(str(number)))
    for _ in range(4 * round(ROUND_S / TICK_S)):
        clerk.tick()
    assert max(clerk.bites) <= count * TICK_S / ROUND_S + 2
    assert sum(clerk.bites) <= count * 5, "and nobody more often than once in a round, nearly"


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=120))
def test_whoever_comes_and_goes_each_is_written_within_a_round(
    steps: list[tuple[int, int]],
) -> None:
    """steps: how many streams begin, and every which of those there are ends."""
    clerk, there = Clerk(), []
    for number, (begin, end) in enumerate(steps):
        for each in range(begin):
            record = Record(f"{number}.{each}")
            there.append(record)
            clerk.stream(record)
        for record in there[:: end + 1] if end else []:
            clerk.rounds.leave(record)
            there.remove(record)
            del clerk.last_s[record.id]
        clerk.tick()
        assert len(clerk.rounds) == len(there)
        oldest_s = min((clerk.last_s[each.id] for each in there), default=clerk.now_s)
        assert clerk.now_s - oldest_s < ROUND_S + TICK_S


def test_who_was_never_written_waits_for_its_first_time_only() -> None:
    clerk, record = Clerk(), Record("new")
    clerk.rounds.enter(record, clerk.now_s)
    assert clerk.rounds.first(clerk.now_s + FIRST_S - 0.01) == []
    assert clerk.rounds.first(clerk.now_s + FIRST_S) == [record]
    clerk.rounds.written(record, clerk.now_s + FIRST_S)
    assert clerk.rounds.first(clerk.now_s + 100) == []
    assert clerk.rounds.turn(clerk.now_s + FIRST_S + ROUND_S - 0.01) == []
    assert clerk.rounds.turn(clerk.now_s + FIRST_S + ROUND_S) == [record]
