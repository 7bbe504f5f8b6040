"""Fixtures of all rooms.

`database` runs a test twice, on SQLite and on PostgreSQL, each time with a fresh, migrated
`portico.db.database.Database`.  `database_url` is what it was opened with ("" for SQLite).
`postgres` is the real server behind it, started once, when the first test asks for it.
"""

import gc
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from portico.db.database import Database, connect_database
from tests.db.databases import (
    PostgresServer,
    kept_connections,
    new_sqlite,
    postgres_server,
)
from tests.warm.commands import NOBODY, warm

# What is compiled is kept, whatever this machine is told: or each of the many processes that tests
# start compiles everything it loads.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes says how busy this machine is.
settings.register_profile("portico", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("portico")

_MEMORY = Path("/dev/shm")
_ROOM_BYTES_MIN = 2 * 2**30


def _write_into_memory() -> None:
    """Where there is room for it, what tests write is no work for a disk: each commit waits for one.

    Nothing here outlives the machine, and whoever says TMPDIR has chosen.
    """
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    place = os.statvfs(_MEMORY)
    if place.f_bavail * place.f_frsize >= _ROOM_BYTES_MIN:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


_write_into_memory()

# Nobody here talks to the world, and yet every client of an SDK reads several times whom to trust out
# there.  Which servers of our own are trusted, each test says itself.
os.environ.setdefault("SSL_CERT_FILE", str(NOBODY))


def pytest_xdist_auto_num_workers() -> int:
    """Of what `-n auto` means: one more than this run has cores, for a worker often waits for a server.

    xdist's own answer counts the machine's cores where a run was given two of them, and one core where
    two threads share it.
    """
    given = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    return len(given) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Next to nothing of what is loaded and collected goes away before the end: to look again and
    again for what did was half of a collection."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _warm_process_ends() -> Iterator[None]:
    yield
    if warm.cache_info().currsize:
        warm().close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A migrated PostgreSQL database of the test's own."""
    url = postgres.borrow()
    yield url
    postgres.give_back(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """`database.url` of a migrated database: "" for SQLite, in whatever folder is used with it."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    # The one lent has the tables of this version: nobody has to look.
    fresh = connect_database(tmp_path, database_url) if database_url else new_sqlite(tmp_path)
    with kept_connections(fresh) as opened:
        yield opened
