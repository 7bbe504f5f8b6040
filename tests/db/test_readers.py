"""What is read in several statements is of one moment, whatever is committed in between."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.reports import Reports
from tests.db.walls import plant

pytestmark = pytest.mark.anyio
KEYS = "SELECT count(*) FROM api_key"
ITEMS = "SELECT count(*) FROM conversation_item"


@pytest.fixture
def readers(database: Database) -> Iterator[Readers]:
    made = Readers(database, threads=1)
    yield made
    made.close()


def count(connection: Connection, sql: str) -> int:
    return int(connection.exec_driver_sql(sql).scalar_one())


def leave(connection: Connection) -> None:
    connection.exec_driver_sql("DELETE FROM api_key")
    connection.exec_driver_sql("DELETE FROM conversation_item")


@pytest.mark.parametrize("way", ["readers", "reports"])
@pytest.mark.parametrize("tenant", [None, "org_a"])
async def test_nothing_that_is_committed_in_between_is_seen_by_half(
    database: Database, readers: Readers, tenant: str | None, way: str
) -> None:
    with database.connect() as connection:
        for organisation in ("org_a", "org_b"):
            plant(connection, organisation)
    ask = readers if way == "readers" else Reports(database, readers, 60.0)

    def read(connection: Connection) -> tuple[int, int]:
        keys = count(connection, KEYS)
        database.write(leave)  # as another process does
        return keys, count(connection, ITEMS)

    theirs = 1 if tenant and database.backend.keeps_tenants_apart else 2
    assert await ask.run(read, tenant=tenant) == (theirs, theirs)
    assert await ask.run(lambda c: count(c, KEYS), tenant=tenant) == 0, "and the next sees it"


@pytest.mark.parametrize("tenant", [None, "org_a"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # a file is not lost
async def test_a_connection_that_is_lost_in_the_middle_is_not_asked_again(
    database: Database, readers: Readers, tenant: str | None
) -> None:
    """Not even where it had just been made: everything that this thread is asked would fail."""

    def lose(connection: Connection) -> int:
        driver: Any = connection.connection.driver_connection
        driver.close()
        return count(connection, KEYS)

    with pytest.raises(DBAPIError):
        await readers.run(lose, tenant=tenant)
    assert await readers.run(lambda c: count(c, KEYS), tenant=tenant) == 0
