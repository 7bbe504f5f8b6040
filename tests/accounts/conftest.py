"""Fixtures of this room: an organisation with people in it, on SQLite or on both databases."""

from pathlib import Path

import pytest

from portico.db.database import Database, open_database
from tests.accounts.tenancy import Tenancy


@pytest.fixture
def tenancy(tmp_path: Path) -> Tenancy:
    return Tenancy(open_database(tmp_path), tmp_path)


@pytest.fixture
def tenancy_on_both(database: Database, tmp_path: Path) -> Tenancy:
    """Where locks matter."""
    return Tenancy(database, tmp_path)
