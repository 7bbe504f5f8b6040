"""A real database with its writer, and what can be done to it from outside."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from portico.db.committer import WriterLimits
from portico.db.database import Database, open_database
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.metering.service import Metering

QUICK = WriterLimits(
    patience_s=0.0,
    commit_interval_s=0.0,
    free_bytes_min=0,
    spool_reserve_bytes=65_536,
    log_reserve_bytes=0,
)


class HandClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.now_ms = 1_800_000_000_000

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds
        self.now_ms += round(seconds * 1000)


class Health:
    """What admission is told."""

    def __init__(self) -> None:
        self.refusals: list[Refusal | None] = []
        self._changed = asyncio.Event()

    def __call__(self, refusal: Refusal | None) -> None:
        self.refusals.append(refusal)
        self._changed.set()

    @property
    def closed(self) -> bool:
        return bool(self.refusals) and self.refusals[-1] is not None

    async def next(self) -> None:
        """Wait until more is told."""
        async with asyncio.timeout(20):
            self._changed.clear()
            await self._changed.wait()

    async def until(self, closed: bool) -> None:
        while self.closed != closed:
            await self.next()


@dataclass
class Storage:
    database: Database
    writer: Writer
    metering: Metering
    health: Health

    def rows(self, query: str = "SELECT * FROM usage_record") -> list[Any]:
        return self.database.read(lambda c: list(c.exec_driver_sql(query).mappings()))


@asynccontextmanager
async def storage(
    data_dir: Path, url: str = "", limits: WriterLimits = QUICK
) -> AsyncIterator[Storage]:
    database = open_database(data_dir, url)
    health = Health()
    clock = SystemClock()
    writer = Writer(database, clock, health, limits)
    metering = Metering(writer, clock)
    writer.start()
    try:
        yield Storage(database, writer, metering, health)
    finally:
        await writer.close()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another process writes and does not come to an end, for as long as this lasts."""
    with database.connect() as other:
        driver: Any = other.connection.driver_connection
        database.backend.begin(driver)
        yield
        driver.rollback()


_FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON usage_record EXECUTE FUNCTION full_disk();
CREATE TRIGGER full_disk BEFORE INSERT ON organisation EXECUTE FUNCTION full_disk();
"""


async def fill_disk(database: Database, writer: Writer) -> None:
    """From now on the database may not grow.  `free_disk` makes room inside it.  PostgreSQL says
    so without being full: its server has no limit that could be set."""
    if database.dialect == "postgresql":
        database.write(lambda c: c.exec_driver_sql(_FULL))
        return

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE ballast (stuff BLOB)")
        connection.exec_driver_sql("INSERT INTO ballast VALUES (zeroblob(1000000))")

    await writer.run(fill)
    # SQLite takes the size it has now for the smallest limit there can be.
    await writer.run(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1").scalar())


def free_disk(database: Database) -> None:
    dropped = {"sqlite": "DROP TABLE ballast", "postgresql": "DROP FUNCTION full_disk CASCADE"}
    database.write(lambda c: c.exec_driver_sql(dropped[database.dialect]))
