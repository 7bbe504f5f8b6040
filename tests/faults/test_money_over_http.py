"""The drills of `bench/faults` over HTTP in the size of a test run: the same code, other numbers."""

from pathlib import Path

import pytest

from bench.faults import disconnects, overspend, process_kills
from bench.faults.place import Address
from portico.db.database import open_database

pytestmark = pytest.mark.anyio


def migrated(folder: Path, url: str) -> Address:
    open_database(folder, url)
    return Address(folder, url)


async def test_many_clients_never_spend_more_than_there_is(
    database_url: str, tmp_path: Path
) -> None:
    found = await overspend.run(
        migrated(tmp_path, database_url),
        processes=2 if database_url else 1,
        clients=16,
        rounds=6,
        seed=2,
    )
    assert found.holds, found
    assert found.admitted == found.expected > 0


async def test_whoever_hangs_up_pays_once_for_what_was_made(
    database_url: str, tmp_path: Path
) -> None:
    found = await disconnects.run(
        migrated(tmp_path, database_url),
        processes=2 if database_url else 1,
        disconnects=250,
        clients=32,
        seed=2,
    )
    assert found.holds, found
    assert found.settled == found.started
    assert 0 < found.tokens_received < found.tokens_charged


async def test_what_a_client_was_told_outlives_its_server(
    database_url: str, tmp_path: Path
) -> None:
    found = await process_kills.run([migrated(tmp_path, database_url)], kills=2, clients=6, seed=5)
    assert found.holds, found
    assert found.kills == 2
