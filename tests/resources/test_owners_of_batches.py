"""Who works on a batch: one server at a time, and another once that one is gone."""

import pytest
from sqlalchemy import insert

from portico.db import tables
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.ledger import owners
from portico.resources.batches import store

BATCH = {
    "organisation_id": "org_1",
    "project_id": "proj_1",
    "key_id": "key_1",
    "credential_id": "key_1",
    "kind": "openai",
    "endpoint": "/v1/embeddings",
    "metadata": "{}",
    "lines": 1,
    "created_at_ms": 1,
    "due_at_ms": 2,
}


@pytest.fixture
def found(database: Database) -> Database:
    rows = [
        {"id": "batch_free", "owner": None, "ended_at_ms": None},
        {"id": "batch_left", "owner": "inst_dead", "ended_at_ms": None},
        {"id": "batch_mine", "owner": "inst_1", "ended_at_ms": None},
        {"id": "batch_over", "owner": None, "ended_at_ms": 3},
        {"id": "batch_theirs", "owner": "inst_2", "ended_at_ms": None},
    ]
    batches = [{**BATCH, "state": "in_progress", **row} for row in rows]
    database.write(lambda c: c.execute(insert(tables.batch), batches))
    for owner in ("inst_1", "inst_2"):
        database.write(lambda c, owner=owner: owners.start(Transaction(c), owner, 0))  # type: ignore[misc]
    return database


def unclaimed(database: Database, most: int = 9) -> list[str]:
    return database.read(lambda c: store.unclaimed(c, "inst_1", most))


def owned(database: Database, owner: str = "inst_1") -> list[str]:
    return [each.id for each in database.read(lambda c: store.owned(c, owner))]


def test_what_nobody_works_on_is_taken(found: Database) -> None:
    assert unclaimed(found) == ["batch_free", "batch_left"]
    assert unclaimed(found, 1) == ["batch_free"]
    found.write(lambda c: store.claim(c, "inst_1", unclaimed(found)))
    assert owned(found) == ["batch_free", "batch_left", "batch_mine"]
    assert unclaimed(found) == []


def test_who_was_slower_gets_nothing(found: Database) -> None:
    """It is looked for beside the writer: another may have been faster."""
    ids = unclaimed(found)
    found.write(lambda c: store.claim(c, "inst_2", ids))
    found.write(lambda c: store.claim(c, "inst_1", [*ids, "batch_theirs", "batch_over"]))
    assert owned(found) == ["batch_mine"]
    assert owned(found, "inst_2") == ["batch_free", "batch_left", "batch_theirs"]
