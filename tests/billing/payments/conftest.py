"""A shop on SQLite and on PostgreSQL, at a Stripe on loopback."""

from collections.abc import Iterator

import pytest

from bench.faults.shop import Port, Shop, port
from portico.db.database import Database


@pytest.fixture(scope="session")
def stripe_at() -> Iterator[Port]:
    with port() as made:
        yield made


@pytest.fixture
def shop(database: Database, stripe_at: Port) -> Shop:
    """With a card that works."""
    made = Shop(database, stripe_at)
    made.keep()
    return made
