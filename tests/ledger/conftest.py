"""A migrated database for the ledger's laws, which leave no trace in it."""

from collections.abc import Iterator

import pytest

from bench.faults.place import KINDS, Address, Place
from tests.db.databases import PostgresServer
from tests.ledger.world import World, undone


@pytest.fixture(scope="session", params=KINDS)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Shared: nobody commits into it."""
    url = ""
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.new_url()
    opened = Place(Address(tmp_path_factory.mktemp("ledger"), url))
    opened.create()
    yield opened
    opened.close()


@pytest.fixture
def world(place: Place) -> Iterator[World]:
    with undone(place) as made:
        yield made
