"""What is kept is found by indexes, however much there is; and what is deleted makes room."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from portico.db.database import Database, open_database
from portico.resources.conversations import store
from portico.resources.pages import Window
from tests.resources.attic import MINE, Attic, attic, number, said

pytestmark = pytest.mark.anyio
MANY = 300
FIRST, LAST = Window("", "", 20), Window("", "", 20, newest_first=False)
KEPT_TABLES = ("response", "conversation", "conversation_item")


@pytest.fixture
async def mine(tmp_path: Path) -> AsyncIterator[Attic]:
    async with attic(open_database(tmp_path, "")) as made:
        yield made


class Asked(list[str]):
    """Statements with their values, as the driver runs them.  Made before anybody connects."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

        def watch(driver: Any, _: Any) -> None:
            driver.set_trace_callback(self.append)

        event.listen(database.backend.engine, "connect", watch)

    def scans(self) -> list[str]:
        """What reads a table of ours from one end to the other, or sorts by hand."""
        found = []
        for sql in dict.fromkeys(self):
            if sql.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
                steps = self._database.read(partial(_plan, sql=sql))
                found += [f"{step}: {sql}" for step in steps if _is_scan(step)]
        return found


def _plan(connection: Connection, sql: str) -> list[str]:
    driver: Any = connection.connection.driver_connection
    return [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}")]


def _is_scan(step: str) -> bool:
    words = step.split()
    scanned = words[0] == "SCAN" and words[1] in KEPT_TABLES
    return scanned or step.startswith("USE TEMP B-TREE FOR ORDER BY")


async def test_nothing_reads_a_table_from_one_end_to_the_other(tmp_path: Path) -> None:
    database = open_database(tmp_path, "")
    asked = Asked(database)
    async with attic(database) as mine:
        await use_everything(mine, asked)
    assert len({sql.partition("WHERE")[0] for sql in asked}) > 12, "they were heard"
    # A chain is put in order by its length, which is bounded, not by that of a table.
    assert [step for step in asked.scans() if "chain" not in step] == []


async def use_everything(mine: Attic, asked: Asked) -> None:
    for at in range(MANY):
        mine.keep(
            f"resp_{number(at)}",
            given=[said("x")],
            previous_id=f"resp_{number(at - 1)}" if at % 10 else None,
        )
    chat = await mine.conversations.make(MINE, [said("a")], {})
    asked.clear()
    await mine.responses.get(MINE, f"resp_{number(5)}")
    await mine.responses.input_items(MINE, f"resp_{number(5)}")
    await mine.context(previous_response_id=f"resp_{number(9)}", input="x")
    await mine.responses.delete(MINE, f"resp_{number(0)}")
    await mine.conversations.get(MINE, chat.id)
    await mine.conversations.add(MINE, chat.id, [said("b"), said("c")])
    (entry, *_) = await mine.conversations.page(MINE, chat.id, FIRST)
    await mine.conversations.page(MINE, chat.id, Window(entry.id, "", 20))
    await mine.conversations.page(MINE, chat.id, LAST)
    await mine.conversations.item(MINE, chat.id, entry.id)
    body = {"model": "m", "input": "x", "conversation": chat.id}
    mine.states.close(await mine.states.open(json.dumps(body).encode(), MINE, "req_1"))
    await mine.conversations.delete_item(MINE, chat.id, entry.id)
    await mine.conversations.delete(MINE, chat.id)


async def test_a_page_at_the_end_touches_as_many_rows_as_one_at_the_beginning(mine: Attic) -> None:
    chat = await mine.conversations.make(MINE, [said(str(at)) for at in range(20)], {})
    for _ in range(40):
        await mine.conversations.add(MINE, chat.id, [said("x")] * 20)
    listed = await mine.conversations.page(MINE, chat.id, Window("", "", 100))
    behind = listed[80].position
    steps = {
        name: mine.database.read(partial(_steps, conversation_id=chat.id, window=window, edge=edge))
        for name, window, edge in (
            ("first", FIRST, None),
            ("last", LAST, None),
            ("behind", FIRST, behind),
        )
    }
    assert max(steps.values()) < 2 * min(steps.values()), steps


def _steps(connection: Connection, conversation_id: str, window: Window, edge: int | None) -> int:
    """Of SQLite's machine, in tens, for one page."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(count, 10)
    found = store.page(connection, MINE.organisation_id, conversation_id, window, edge)
    driver.set_progress_handler(None, 0)
    assert len(found) == window.limit + 1
    return counted[0]


async def test_what_is_deleted_makes_room(mine: Attic) -> None:
    def pages() -> int:
        sql = "PRAGMA page_count"
        return int(mine.database.read(lambda c: c.exec_driver_sql(sql).scalar_one()))

    async def fill() -> None:
        for at in range(100):
            mine.keep(f"resp_{number(at)}", given=[said("x" * 20_000)])

    await fill()
    full = pages()
    for _ in range(3):
        for at in range(100):
            await mine.responses.delete(MINE, f"resp_{number(at)}")
        await fill()
    assert pages() <= full * 1.05
