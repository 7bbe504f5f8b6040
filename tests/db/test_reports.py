"""Long reads of customers: whoever asks for much waits behind himself, and nobody asks for ever."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.reports import WAITING_MAX, Reports
from portico.errors import Refusal

pytestmark = pytest.mark.anyio
_ENDLESS = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) "
    "SELECT count(*) FROM n"
)


@pytest.fixture
def readers(database: Database) -> Iterator[Readers]:
    made = Readers(database)
    yield made
    made.close()


async def test_one_at_a_time_for_each_and_so_many_in_line(
    database: Database, readers: Readers
) -> None:
    reports = Reports(database, readers, 60.0)
    begun, free = threading.Event(), threading.Event()
    seen: list[int] = []

    def wait(_: Connection) -> int:
        seen.append(1)
        begun.set()
        free.wait(60)
        return len(seen)

    mine = [asyncio.ensure_future(reports.run(wait, whose="org_a")) for _ in range(WAITING_MAX + 1)]
    try:
        assert await asyncio.to_thread(begun.wait, 60)
        # The other of two threads is anybody else's.
        assert await reports.run(lambda _: "here", whose="org_b") == "here"
        assert len(seen) == 1
        with pytest.raises(Refusal) as refused:
            await reports.run(wait, whose="org_a")
        assert refused.value.code == "concurrency_exceeded"
        assert refused.value.retry_after_ms is not None
    finally:
        free.set()
        assert sorted(await asyncio.gather(*mine)) == list(range(1, WAITING_MAX + 2))
    assert await reports.run(lambda _: 1, whose="org_a") == 1


@pytest.mark.parametrize("tenant", [None, "org_a"])
async def test_what_takes_too_long_is_ended_and_the_next_is_read(
    database: Database, readers: Readers, tenant: str | None
) -> None:
    reports = Reports(database, readers, 0.05)

    def endless(connection: Connection) -> object:
        return connection.exec_driver_sql(_ENDLESS).scalar()

    for _ in range(3):
        with pytest.raises(Refusal) as refused:
            await reports.run(endless, tenant)
        assert (refused.value.code, refused.value.limit) == ("report_too_long", 0.05)
    few = _ENDLESS.replace("2000000000", "200000")
    short = Reports(database, readers, 60.0)
    assert await short.run(lambda c: c.exec_driver_sql(few).scalar(), tenant) == 200_000
    # Others that are read on these threads have no such limit.
    if database.dialect == "postgresql":
        shown = await readers.run(lambda c: c.exec_driver_sql("SHOW statement_timeout").scalar())
        assert shown == "0"
