"""The data directory, the database, the keys, and what is written while serving."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from portico import errors
from portico.accounts.keys.model import KeyWish
from portico.accounts.service import open_accounts
from portico.admission.budgets import Budgets
from portico.admission.holds import Holds
from portico.admission.line import QueueLimits
from portico.admission.service import Admission
from portico.admission.standing import Standings
from portico.app.failure import CannotStart
from portico.callers.pepper import Pepper, PepperLost
from portico.db.backends.postgresql import DriverMissing, UrlInvalid
from portico.db.committer import WriterLimits
from portico.db.database import Database, OldSchema, open_database
from portico.db.lock import AlreadyServing, ServerLock
from portico.db.readers import Readers
from portico.db.reports import Reports
from portico.db.schema import NewerDatabase
from portico.db.wiping import Wiping
from portico.db.writer import Writer
from portico.keeping.room import Room
from portico.kit.clock import Clock
from portico.metering.service import Metering
from portico.metering.sweeper import Sweeper
from portico.observe.metrics import Metrics
from portico.pricing.counter import Counter
from portico.pricing.service import Prices
from portico.rates.service import Rates
from portico.replay.claims import Claims, Keeping
from portico.resources.conversations.locks import Locks
from portico.routing.tries import TRIES_MAX
from portico.settings import Settings

log = logging.getLogger(__name__)
_HOLD_MARGIN_MS = 600_000
"""A hold outlives the longest request by this; then it belongs to the sweeper."""
_START_PATIENCE_S = 30.0
"""How long a start waits for a database that cannot be written to; the writer gives up sooner."""
_START_RETRY_S = 0.5
_ABANDONED_AFTER_S = 3_600.0
"""On a shared database: added to twice the longest request, before its record counts as left over."""


@contextmanager
def locked(settings: Settings) -> Iterator[ServerLock]:
    data_dir = Path(settings.server.data_dir)
    lock = ServerLock(data_dir)
    try:
        lock.take()
    except AlreadyServing as error:
        # Several may share a PostgreSQL; `portico ask` then finds the first one here.
        if not settings.database.url:
            raise CannotStart("data", str(error)) from error
    except OSError as error:
        raise CannotStart(
            "data",
            f"the data directory {data_dir} cannot be used: {error.strerror or error}.",
            "Choose a folder you may write to with --data-dir.",
        ) from error
    try:
        yield lock
    finally:
        lock.release()


def opened_database(settings: Settings) -> Database:
    """Blocking."""
    data_dir = Path(settings.server.data_dir)
    url = settings.database.url
    try:
        return open_database(data_dir, url)
    except DBAPIError as error:
        if url:
            raise CannotStart(
                "data",
                f"the database of database.url cannot be reached: {error.orig}.",
                "Check the address, and that PostgreSQL runs and lets this user in.",
            ) from error
        raise CannotStart(
            "data",
            f"the database {data_dir / 'portico.db'} cannot be opened: {error.orig}.",
            "Run `portico doctor`; restore the file from a backup if it is damaged.",
        ) from error
    except (OldSchema, UrlInvalid, DriverMissing) as error:
        raise CannotStart("data", str(error)) from error
    except (OSError, NewerDatabase) as error:
        raise CannotStart("data", f"{data_dir}: {error}") from error


def opened_accounts(
    settings: Settings, database: Database, clock: Clock
) -> tuple[tuple[Pepper, ...], str | None]:
    """Blocking.  The peppers, and the key of a very first start."""
    data_dir = Path(settings.server.data_dir)
    wish = KeyWish("First key", concurrency_max=settings.queue.key_concurrency)
    try:
        peppers, issued = open_accounts(database, data_dir, clock, wish)
    except (DBAPIError, OSError, PepperLost) as error:
        raise CannotStart("data", f"the keys in {data_dir} cannot be used: {error}") from error
    return peppers, None if issued is None else issued.secret


@dataclass(frozen=True, slots=True)
class Books:
    """What is written while serving, and who decides what is."""

    admission: Admission
    metering: Metering
    claims: Claims
    locks: Locks
    room: Room
    counter: Counter
    prices: Prices
    standings: Standings
    writer: Writer
    rates: Rates
    reports: Reports
    """Sums over many rows: no request that is to be served waits behind them for its key."""
    long: Readers
    """The same threads, for the system itself."""
    desk: Readers
    """For the admin API: nobody's reports keep others from revoking a key."""
    owner: str
    """This process, as what it has under way names it."""
    follow: tuple[Callable[[], Coroutine[Any, Any, None]], ...]
    """Work beside the road, to be started once the door opens."""


@asynccontextmanager
async def recording(
    settings: Settings,
    database: Database,
    readers: Readers,
    metrics: Metrics,
    clock: Clock,
    rates: Rates,
    owner: str,
) -> AsyncIterator[Books]:
    """The writer's thread and what it writes, closed after every journey has ended.

    owner: what this process is called among others that share the database.
    """

    def on_health(refusal: errors.Refusal | None) -> None:
        admission.storage_refusal = refusal

    try:
        writer = Writer(database, clock, on_health, _writer_limits(settings))
    except OSError as error:
        raise CannotStart(
            "data", f"there is no room for records in {database.data_dir}: {error.strerror}."
        ) from error
    # Its lane comes first: what is settled frees money for what is held in the same commit.
    metering = Metering(writer, clock, metrics)
    budgets = Budgets(readers, clock)
    holds = Holds(writer, budgets, clock, owner, ttl_ms=_longest_ms(settings) + _HOLD_MARGIN_MS)
    # After metering's: a retry finds what the same commit has finished.
    claims = Claims(writer, readers, clock, owner, _keeping(settings), metrics)
    locks = Locks(writer, clock)  # after metering's, too: a commit that settles frees its own
    admission = Admission(queue_limits(settings), clock, holds, rates)
    sweeper = Sweeper(writer, clock, owner, alone=not settings.database.url)
    prices = Prices(readers, clock)
    counter = Counter(
        prices,
        output_tokens_max=settings.pricing.output_tokens_max,
        window_tokens=settings.pricing.window_tokens,
    )
    long, desk = Readers(database), Readers(database)
    writer.start()
    try:
        await _taken_over(sweeper, metering, settings, clock)
        wiping = Wiping(database)
        follow = (
            *(metering.run, budgets.run, prices.run, sweeper.run),
            *(rates.run, wiping.run, locks.run),
        )
        room = Room(settings.kept.bytes_per_project_max, clock)
        yield Books(
            *(admission, metering, claims, locks, room, counter, prices),
            Standings(readers, budgets, clock),
            *(writer, rates, Reports(database, long, settings.database.reports_s), long, desk),
            *(owner, follow),
        )
        await sweeper.leave()
    finally:
        await writer.close()
        long.close()
        desk.close()


def _writer_limits(settings: Settings) -> WriterLimits:
    return WriterLimits(
        free_bytes_min=settings.storage.free_bytes_min,
        spool_reserve_bytes=settings.storage.reserve_bytes,
    )


async def _taken_over(
    sweeper: Sweeper, metering: Metering, settings: Settings, clock: Clock
) -> None:
    """Ends what dead processes left.  Others may keep a shared database busy: it is asked again."""
    until_s = clock.monotonic_s() + _START_PATIENCE_S
    while True:
        try:
            swept = await sweeper.start()
            await metering.recover(_abandoned_before_ms(settings, clock))
        except errors.Refusal as refusal:
            if clock.monotonic_s() >= until_s:
                raise CannotStart(
                    "data", refusal.message, "See what keeps the database, then start again."
                ) from refusal
            log.warning("the start waits for the database: %s", refusal.message)
            await asyncio.sleep(_START_RETRY_S)
        else:
            if swept:
                log.warning(
                    "left open by a dead process: %d holds settled, %d given back",
                    swept.settled,
                    swept.voided,
                )
            return


def _longest_ms(settings: Settings) -> int:
    """The longest a request may take, from its admission to its end: the last of its tries may
    begin when another has used up its time."""
    return round(1000 * (TRIES_MAX * settings.upstream.total_s + settings.server.drain_s))


def _keeping(settings: Settings) -> Keeping:
    replay = settings.replay
    # Longer than its hold, which is younger by the time in the queue and must end first.
    open_ms = _longest_ms(settings) + round(1000 * settings.queue.wait_s) + 2 * _HOLD_MARGIN_MS
    return Keeping(
        replay.answer_bytes_max, replay.bytes_per_project_max, 1000 * replay.keep_s, open_ms
    )


def _abandoned_before_ms(settings: Settings, clock: Clock) -> int | None:
    """Wall clock.  None: whatever runs, runs in a process that is dead."""
    if not settings.database.url:
        return None
    longest_s = settings.queue.wait_s + settings.upstream.total_s
    return clock.wall_ms() - round(1000 * (2 * longest_s + _ABANDONED_AFTER_S))


def queue_limits(settings: Settings) -> QueueLimits:
    return QueueLimits(settings.queue.requests_max, settings.queue.wait_s)
