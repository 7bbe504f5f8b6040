"""The second wall where one connection serves both the system and organisations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection


@contextmanager
def within(connection: Connection, organisation_id: str | None) -> Iterator[None]:
    """Inside, the database shows and takes rows of this organisation only, where it can
    (PostgreSQL); None: of all, for the operator.

    connection: the system's own, as `Database.connect` and the writer have it.
    """
    if organisation_id is None or connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("SELECT set_config('portico.organisation', %s, false)", (organisation_id,))
    try:
        yield
    finally:
        # A transaction that has failed takes it back itself, with its rollback.
        if not driver.closed and driver.info.transaction_status.name != "INERROR":
            driver.execute("SET portico.organisation = '*'")
