"""Every law of the drills sees the breach it is there for."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from bench.faults import disconnects
from bench.faults.laws import broken
from bench.faults.place import Address
from bench.faults.site import Books
from portico.db.backends.sqlite import FILE_NAME
from portico.db.database import open_database

_PAID = "(SELECT min(id) FROM charge WHERE net_nano > 1)"
_FREE = "(SELECT min(id) FROM hold WHERE state = 'void')"
BREACHES = {
    "holds that are still open": f"UPDATE hold SET state = 'open' WHERE id = {_FREE}",
    "records that still run": f"UPDATE usage_record SET outcome = 'running' WHERE id = {_FREE}",
    "admitted, and no record": f"DELETE FROM usage_record WHERE id = {_FREE}",
    "a record, and never admitted": f"DELETE FROM hold WHERE id = {_FREE}",
    "charges without a settled hold, or settled holds without a charge": (
        f"UPDATE hold SET state = 'void' WHERE id = {_PAID}"
    ),
    "charges that are not the record at its prices": (
        f"UPDATE usage_record SET output_text = output_text + 1 WHERE id = {_PAID}"
    ),
    "charges that end otherwise than the record": (
        f"UPDATE usage_record SET outcome = 'out_of_funds' WHERE id = {_PAID}"
    ),
    "generated and to be paid, but free": (
        f"UPDATE usage_record SET output_text = 1 WHERE id = {_FREE}"
    ),
    "charges debited not once": (
        f"DELETE FROM entry WHERE amount_nano < 0 AND txn_id = 'settle:' || {_PAID}"
    ),
    "nano-USD that the operator lost": (
        f"UPDATE charge SET absorbed_nano = 1, net_nano = net_nano - 1 WHERE id = {_PAID}"
    ),
    "nano-USD between the balance and granted less charged": (
        "UPDATE account SET posted_nano = posted_nano + 1 WHERE kind = 'prepaid'"
    ),
    # The index knows rows that its new definition leaves out.
    "damaged database files": (
        "UPDATE sqlite_master SET sql = replace(sql, '''open''', '''void''') "
        "WHERE name = 'hold_open'"
    ),
}


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survived") / "data"
    open_database(folder)
    address = Address(folder, "")
    run = disconnects.run(address, processes=1, disconnects=60, clients=8, seed=3)
    assert asyncio.run(run).holds
    return folder


@pytest.mark.parametrize("law", [*BREACHES])
def test_a_breach_is_seen(law: str, survived: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(survived, folder)
    assert broken(Books(Address(folder, ""))) == {}
    _break(folder / FILE_NAME, BREACHES[law])
    assert law in broken(Books(Address(folder, "")))


def _break(file: Path, sql: str) -> None:
    """Past the triggers that would refuse it."""
    connection = sqlite3.connect(file)
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    for (name,) in triggers.fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("PRAGMA writable_schema = ON")
    assert connection.execute(sql).rowcount == 1
    connection.commit()
    connection.close()
