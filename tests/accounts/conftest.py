"""Fixtures of this room: an organisation with people in it, on SQLite or on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from portico.db.database import Database, open_database
from tests.accounts.tenancy import Tenancy


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Tenancy:
    folder = tmp_path_factory.mktemp("founded")
    return Tenancy(open_database(folder), folder)


@pytest.fixture
def tenancy(founded: Tenancy) -> Iterator[Tenancy]:
    """For this test alone, and never committed."""
    aside = founded.aside()
    yield aside
    aside.end()


@pytest.fixture
def tenancy_on_both(database: Database, tmp_path: Path) -> Tenancy:
    """Committed: where locks, files or the database matter."""
    return Tenancy(database, tmp_path)
