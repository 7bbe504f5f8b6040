"""Races and kills in the size of a test run; `bench/faults` has the long ones."""

from pathlib import Path

import pytest

from bench.faults import kills, races
from bench.faults.place import Address
from portico.db.database import open_database


def migrated(folder: Path, url: str) -> Address:
    open_database(folder, url)
    return Address(folder, url)


@pytest.mark.parametrize("limited", [False, True], ids=["account", "limit"])
def test_racing_processes_are_given_exactly_what_there_is(
    database_url: str, tmp_path: Path, limited: bool
) -> None:
    race = races.run(
        migrated(tmp_path, database_url), processes=3, attempts=60, funds=100, limited=limited
    )
    assert race.exact, race
    assert race.admitted == 100


def test_what_several_processes_do_is_done_once(database_url: str, tmp_path: Path) -> None:
    """A sweeper and an owner end the same holds; a payment is announced to two servers."""
    found = races.run_doubles(migrated(tmp_path, database_url), processes=3, once=60)
    assert found.exact, found


def test_what_was_acknowledged_outlives_a_kill(database_url: str, tmp_path: Path) -> None:
    found = kills.run(migrated(tmp_path, database_url), kills=6, seed=3)
    assert found.whole, found
    assert found.acknowledged > 0


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("limited", [False, True], ids=["account", "limit"])
def test_eight_processes_with_five_hundred_attempts_each(
    database_url: str, tmp_path: Path, limited: bool
) -> None:
    address = migrated(tmp_path, database_url)
    race = races.run(address, processes=8, attempts=500, funds=1000, limited=limited)
    assert race.exact, race
    assert race.admitted == 1000


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_thousand_kills(database_url: str, tmp_path: Path) -> None:
    found = kills.run(migrated(tmp_path, database_url), kills=1000, seed=4)
    assert found.whole, found
