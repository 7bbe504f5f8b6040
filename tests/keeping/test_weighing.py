"""How much a project keeps: every row of it, and nobody else's."""

from typing import Any

import pytest
from sqlalchemy import insert

from portico.background.weighing import Weighing
from portico.db import tables
from portico.db.database import Database
from portico.db.readers import Readers
from portico.keeping import weighing
from portico.keeping.room import Room
from portico.keeping.rules import ROW_BYTES
from tests.db.storage import HandClock

pytestmark = pytest.mark.anyio

RESPONSE: dict[str, Any] = {
    "organisation_id": "org_a",
    "key_id": "k",
    "credential_id": "k",
    "model": "m",
    "background": 1,
    "stream": 1,
    "created_at_ms": 0,
    "attempts": 0,
}
ROWS: dict[str, tuple[int, int]] = {
    "proj_a": (12 + 30 + 5 + 8 + 100 + 2 + 12 + 1_000 + 21, 8),
    "proj_b": (2 + 4, 1),
}
"""Bytes of contents, and rows, as `fill` writes them."""


def fill(database: Database) -> None:
    def write(connection: Any) -> None:
        def add(name: str, **values: Any) -> None:
            connection.execute(insert(getattr(tables, name)).values(**values))

        for number, (project, contents) in enumerate(
            (
                ("proj_a", {"input": b"i" * 12, "body": b"b" * 30, "request": b"r" * 5}),
                ("proj_a", {"input": b"", "body": b"b" * 8, "request": None}),
                ("proj_b", {"input": b"[]", "body": b"true", "request": None}),
            )
        ):
            state = "completed" if contents["request"] is None else "queued"
            values = {**RESPONSE, "project_id": project, "state": state, **contents}
            add("response", id=f"resp_{number}", **values)
        of_it = {"organisation_id": "org_a"}
        add("response_event", response_id="resp_0", sequence=0, events=b"e" * 100, **of_it)
        of_both = {**of_it, "project_id": "proj_a", "created_at_ms": 0}
        add("conversation", id="conv_1", metadata="{}", **of_both)
        item = {"conversation_id": "conv_1", "id": "msg_1", "created_at_ms": 0, **of_it}
        add("conversation_item", position=1, item=b"i" * 12, **item)
        batch = {"kind": "openai", "endpoint": "/", "state": "in_progress", "lines": 2}
        more = {"key_id": "k", "credential_id": "k", "metadata": "m" * 16, "due_at_ms": 1}
        add("batch", id="batch_1", **batch, **more, **of_both)
        line = {"batch_id": "batch_1", "custom_id": "c", "attempts": 0, **of_it}
        add("batch_line", number=1, state="waiting", request=b"r" * 1_000, **line)
        add("batch_line", number=2, state="succeeded", answer=b"a" * 5, **line)

    database.write(write)


def expected(project_id: str) -> int:
    contents, rows = ROWS[project_id]
    return contents + ROW_BYTES * rows


async def weighed(database: Database, project_id: str) -> int:
    """As a server finds it: the limit is refused at, and not a byte above it."""
    room, readers = Room(expected(project_id), HandClock()), Readers(database)
    try:
        room.is_full(project_id)
        await Weighing(readers, room, HandClock()).once()
    finally:
        readers.close()
    assert room.is_full(project_id)
    return int(room.refusal(project_id).value)  # type: ignore[union-attr]  # it is full


@pytest.mark.parametrize("most", [1, 1_000])
async def test_every_row_counts_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """In whatever pieces it is weighed."""
    monkeypatch.setattr(weighing, "WEIGHED", dict.fromkeys(weighing.WEIGHED, most))
    fill(database)
    for project_id in ROWS:
        assert await weighed(database, project_id) == expected(project_id)
    assert await weighed_nothing(database) == 0


async def weighed_nothing(database: Database) -> int:
    room, readers = Room(1, HandClock()), Readers(database)
    room.is_full("proj_c")
    try:
        await Weighing(readers, room, HandClock()).once()
    finally:
        readers.close()
    return room.full


async def test_what_was_removed_makes_room(database: Database) -> None:
    fill(database)
    room, readers, clock = Room(expected("proj_a"), HandClock()), Readers(database), HandClock()
    job = Weighing(readers, room, clock)
    try:
        room.is_full("proj_a")
        await job.once()
        assert room.is_full("proj_a")
        gone = "DELETE FROM batch WHERE id = 'batch_1'"
        database.write(lambda connection: connection.exec_driver_sql(gone))
        room.shrank("proj_a")
        await job.once()
        assert not room.is_full("proj_a")
    finally:
        readers.close()


def test_the_fullest_come_first(database: Database) -> None:
    fill(database)
    found = database.read(weighing.fullest)
    assert list(found) == [(each, expected(each)) for each in ROWS]
