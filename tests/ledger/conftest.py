"""The ledger's tables on both databases; every law starts from empty ones."""

from collections.abc import Iterator

import pytest

from bench.faults.place import KINDS, Place, fresh_url
from tests.ledger.world import World, undone


@pytest.fixture(scope="session", params=KINDS)
def ledger_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Shared: whoever commits into it empties it."""
    with fresh_url(request.param) as url:
        place = Place(url)
        place.create()
        place.close()
        yield url


@pytest.fixture(scope="session")
def place(ledger_url: str) -> Iterator[Place]:
    opened = Place(ledger_url)
    yield opened
    opened.close()


@pytest.fixture
def world(place: Place) -> Iterator[World]:
    with undone(place) as made:
        yield made
