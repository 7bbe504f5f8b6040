"""Starting beside others that keep the database."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from portico.app import storage
from portico.app.failure import CannotStart
from portico.db.database import Database
from portico.db.readers import Readers
from portico.kit.clock import SystemClock
from portico.observe.metrics import Metrics
from portico.rates.counters import Alone
from portico.rates.service import Rates
from portico.settings import Settings

pytestmark = pytest.mark.anyio


@contextmanager
def kept_busy(database: Database) -> Iterator[threading.Event]:
    """Somebody else writes, until the event is set."""
    begun, over = threading.Event(), threading.Event()

    def write() -> None:
        database.write(lambda _: (begun.set(), over.wait(30)))

    writing = threading.Thread(target=write)
    writing.start()
    begun.wait(30)
    try:
        yield over
    finally:
        over.set()
        writing.join()


class Noticed(logging.Handler):
    """Ends the wait as soon as the start says that it waits."""

    def __init__(self, over: threading.Event) -> None:
        super().__init__()
        self._over = over

    def emit(self, record: logging.LogRecord) -> None:
        if "the start waits" in record.msg:
            self._over.set()


async def started(database: Database) -> None:
    settings, readers = Settings(), Readers(database)
    try:
        clock = SystemClock()
        rates = Rates(readers, Alone(clock), clock)
        async with storage.recording(
            settings, database, readers, Metrics(), clock, rates, "inst_test"
        ):
            pass
    finally:
        await asyncio.to_thread(readers.close)


async def test_a_start_waits_for_a_busy_database(database: Database) -> None:
    with kept_busy(database) as over:
        noticed = Noticed(over)
        storage.log.addHandler(noticed)
        try:
            await started(database)
        finally:
            storage.log.removeHandler(noticed)
    assert over.is_set()


async def test_a_start_that_waited_long_enough_says_what_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_START_PATIENCE_S", 0.0)
    with kept_busy(database), pytest.raises(CannotStart, match="locked"):
        await started(database)
