"""Starting and stopping, in order."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

from portico import journey
from portico.admission.service import Admission
from portico.app.admin_api import AdminApi, admin_api
from portico.app.administering import administering
from portico.app.door import Door
from portico.app.engines import (
    deadlines,
    follow,
    follow_load,
    follow_once,
    own_engines,
    transport_of,
)
from portico.app.failure import CannotStart
from portico.app.identity import identity
from portico.app.judging.moderating import moderation_of
from portico.app.limiting import limiting
from portico.app.payments import taking_payments
from portico.app.resources import keeping
from portico.app.storage import Books, locked, opened_accounts, opened_database, recording
from portico.app.watching import operator_targets, watching
from portico.db.database import Database
from portico.db.readers import Readers
from portico.door.edge import Edge
from portico.door.server import Server, bind
from portico.engines.transport.base import Transport
from portico.kit.clock import Clock, SystemClock
from portico.kit.cycles import Collector
from portico.kit.ids import new_id
from portico.kit.tasks import Tasks
from portico.observe.metrics import Metrics
from portico.routing.drills import Drills
from portico.routing.fleet import Fleet
from portico.routing.registry import Registry
from portico.routing.service import Routing
from portico.settings import Settings

_UPSTREAM_PATIENCE_S = 2.0
"""How long the start waits for upstreams; slower ones are served once they have answered."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """What the banner says.  first_key: made at the very first start, else None."""

    base_url: str
    first_key: str | None
    models: list[str]
    start_ms: int
    pid: int
    notes: list[str] = field(default_factory=list)


async def run(settings: Settings, *, simulated: bool, on_ready: Callable[[Running], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain.  Raises: CannotStart."""
    clock = SystemClock()
    since_ms = 1000 * clock.monotonic_s()
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_listening(settings.server.host, settings.server.port))
        lock = stack.enter_context(locked(settings))
        database = await asyncio.to_thread(opened_database, settings)
        metrics, readers = Metrics(), Readers(database)
        stack.callback(readers.close)
        books = await _opened_books(settings, database, readers, metrics, clock, stack)
        taking = await stack.enter_async_context(
            taking_payments(settings, database, clock, operator_targets(settings))
        )
        watched = await asyncio.to_thread(watching, settings, database, clock)
        kept = await stack.enter_async_context(keeping(settings, books, readers, metrics, clock))
        tasks = await stack.enter_async_context(_owned_tasks())
        transport = transport_of(settings)
        stack.push_async_callback(transport.close)
        routing, registry = Routing((), clock, metrics), Registry(database)
        fleet = _fleet(settings, routing, transport, tasks, clock)
        metrics.breakers, load = routing.states, follow_load(settings, routing, transport, metrics)
        notes = await own_engines(settings, simulated, fleet, transport, clock, tasks, stack)
        notes += await follow_once(settings, fleet, registry, _UPSTREAM_PATIENCE_S)
        # Last of all: a key made by a start that then failed would never have been seen.
        peppers, first_key = await asyncio.to_thread(opened_accounts, settings, database, clock)
        await books.prices.refresh()
        who = identity(settings, readers, books.writer, peppers, clock)
        rooms = journey.Rooms(who.callers, routing, books.admission, books.metering, books.counter)
        admin = admin_api(settings, who, books, metrics, clock)
        door = Door(
            *(settings, rooms, books, readers, metrics, clock, who, kept),
            moderation_of(settings, books, transport, metrics, clock),
            also=(*administering(who, books, clock), *taking.routes),
            admin=admin.routes,
        )
        door.add_gauges(metrics, fleet)
        # They end first: while they run, the engines they ask must be there.
        working = await stack.enter_async_context(_owned_tasks())
        for work in (
            lambda: follow(settings, fleet, registry, Drills(database, clock), clock),
            *(door.media.run, load, *who.follow, *books.follow, *kept.follow, *door.follow),
            *(*taking.follow, *admin.follow, *watched, Collector(clock).run),
        ):
            working.start(work())
        base_url = _base_url(listening)
        if lock.held:
            lock.announce(base_url)

        def ready() -> None:
            models, start_ms = list(routing.models()), round(1000 * clock.monotonic_s() - since_ms)
            on_ready(Running(base_url, first_key, models, start_ms, os.getpid(), notes))

        doors = [(door.edge, listening), *_own_door(settings, admin, stack)]
        await _serve(settings, doors, books.admission, ready)


@asynccontextmanager
async def _owned_tasks() -> AsyncIterator[Tasks]:
    """Ended behind it.  Raises: what one of them has failed with, which ends the server as well."""
    tasks = Tasks(_broken_off)
    try:
        yield tasks
    finally:
        await tasks.close()
    if tasks.failure is not None:
        raise tasks.failure


def _fleet(
    settings: Settings, routing: Routing, transport: Transport, tasks: Tasks, clock: Clock
) -> Fleet:
    return Fleet(
        routing,
        transport,
        tasks,
        clock,
        deadlines(settings),
        concurrency_max=settings.upstream.connections_max,
        models_max=settings.upstream.models_max,
    )


async def _opened_books(
    settings: Settings,
    database: Database,
    readers: Readers,
    metrics: Metrics,
    clock: Clock,
    stack: AsyncExitStack,
) -> Books:
    """Raises: CannotStart."""
    owner = new_id("inst")
    limits = limiting(settings, readers, clock, owner, _broken_off)
    rates = await stack.enter_async_context(limits)
    return await stack.enter_async_context(
        recording(settings, database, readers, metrics, clock, rates, owner)
    )


@contextmanager
def _listening(host: str, port: int, choose: str = "--port") -> Iterator[socket.socket]:
    """choose: where another port is said.  Raises: CannotStart."""
    try:
        listening = bind(host, port)
    except OSError as error:
        raise CannotStart(
            "port",
            f"cannot listen on {host}:{port}: {error.strerror or error}.",
            f"Choose another port with {choose}, or stop what uses this one.",
        ) from error
    with listening:
        yield listening


def _own_door(
    settings: Settings, admin: AdminApi, stack: AsyncExitStack
) -> list[tuple[Edge, socket.socket]]:
    """Of the admin API, where it has one.  Raises: CannotStart."""
    if admin.edge is None:
        return []
    host = settings.admin.host or settings.server.host
    listening = _listening(host, settings.admin.port, "`admin.port`")
    return [(admin.edge, stack.enter_context(listening))]


async def _serve(
    settings: Settings,
    doors: Sequence[tuple[Edge, socket.socket]],
    admission: Admission,
    ready: Callable[[], None],
) -> None:
    """Until a signal; a second one ends it at once."""
    drain_s, close = settings.server.drain_s, partial(setattr, admission, "draining", True)
    servers = [(Server(edge, drain_s=drain_s, on_stop=close), at) for edge, at in doors]

    def stop() -> None:
        again = servers[0][0].should_exit
        _say_what_is_open(admission.running + admission.waiting, again, drain_s)
        for server, _ in servers:
            server.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        for server, listening in servers:
            group.create_task(server.serve([listening]))
            await server.listening()
        ready()


def _say_what_is_open(answers: int, again: bool, drain_s: float) -> None:
    """At once: whoever stops a server that goes on waiting must know why, and what to do."""
    if not answers:
        return
    open_now = "1 answer is" if answers == 1 else f"{answers} answers are"
    if again:
        log.warning("%s cut off now; what they have made is recorded", open_now)
    else:
        log.warning(
            "stopping: %s under way and may take %g s more; a second Ctrl-C or SIGTERM cuts off "
            "what is left",
            open_now,
            drain_s,
        )


def _broken_off(failure: BaseException) -> None:
    """Background work that died leaves a server that only looks alive: better to end it."""
    log.critical("background work failed; shutting down", exc_info=failure)
    signal.raise_signal(signal.SIGTERM)


def _base_url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
