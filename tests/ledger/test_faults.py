"""Races and kills in the size of a test run; `bench/faults` has the long ones."""

import pytest

from bench.faults import kills, races
from bench.faults.place import KINDS


@pytest.mark.parametrize("limited", [False, True], ids=["account", "limit"])
@pytest.mark.parametrize("kind", KINDS)
def test_racing_processes_are_given_exactly_what_there_is(kind: str, limited: bool) -> None:
    race = races.run(kind, processes=3, attempts=60, funds=100, limited=limited)
    assert race.exact, race
    assert race.admitted == 100


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_acknowledged_outlives_a_kill(kind: str) -> None:
    found = kills.run(kind, kills=6, seed=3)
    assert found.whole, found
    assert found.acknowledged > 0


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
def test_eight_processes_with_five_hundred_attempts_each(kind: str) -> None:
    for limited in (False, True):
        race = races.run(kind, processes=8, attempts=500, funds=1000, limited=limited)
        assert race.exact, race
        assert race.admitted == 1000


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_kills(kind: str) -> None:
    found = kills.run(kind, kills=1000, seed=4)
    assert found.whole, found
