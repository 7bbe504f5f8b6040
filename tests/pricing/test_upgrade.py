"""Data from before there was money: the operator's organisation goes on being charged nothing."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from portico.db.database import connect_database, upgrade
from portico.pricing.model import Terms
from portico.pricing.service import read_book


def _old_data(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "portico.db:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    connection.exec_driver_sql("INSERT INTO organisation VALUES ('org_old', 'Default', 5)")


def test_the_first_organisation_is_internal_after_the_upgrade(tmp_path: Path) -> None:
    database = connect_database(tmp_path)
    database.write(_old_data)
    upgrade(database)
    assert database.read(read_book).terms("org_old") == (
        Terms(
            id="terms_org_old",
            organisation_id="org_old",
            kind="internal",
            effective_from_ms=5,
            author="first start",
            created_at_ms=5,
        ),
    )
