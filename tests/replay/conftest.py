"""A migrated database for the laws of claims, which leave no trace in it."""

from collections.abc import Iterator

import pytest

from bench.faults.place import KINDS, Address, Place
from tests.db.databases import PostgresServer


@pytest.fixture(scope="session", params=KINDS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Shared: nobody commits into it."""
    url = ""
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.new_url()
    opened = Place(Address(tmp_path_factory.mktemp("replay"), url))
    opened.create()
    yield opened
    opened.close()
