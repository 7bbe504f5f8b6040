"""The composition root: settings in, a running platform out.  The only file that knows every room.

`run` starts things in the order in which they can fail most cheaply (address, data, engine) and
stops them in the opposite one: door, journeys, records, engines.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from sqlalchemy.exc import DBAPIError

from portico import journey
from portico.accounts.model import KeyWish
from portico.accounts.service import open_accounts
from portico.admission.service import Admission, QueueLimits
from portico.callers.pepper import Pepper, PepperLost
from portico.callers.service import Callers
from portico.db.committer import WriterLimits
from portico.db.database import Database, OldSchema, open_database
from portico.db.lock import AlreadyServing, ServerLock
from portico.db.postgresql import DriverMissing, UrlInvalid
from portico.db.readers import Readers
from portico.db.schema import NewerDatabase
from portico.db.writer import Writer
from portico.dialects.openai_chat import errors as chat_errors
from portico.dialects.openai_chat.parse import parse
from portico.dialects.openai_chat.writer import writer_for
from portico.door.dialect import Dialect
from portico.door.dispatch import Dispatch
from portico.door.edge import Edge
from portico.door.endpoints import Health, MetricsPage, Models, Usage
from portico.door.generation import Generation
from portico.door.limits import EdgeLimits
from portico.door.routes import Route, Routes
from portico.door.server import Server, bind
from portico.engines.embedded.child import ModelToServe, StartFailed
from portico.engines.embedded.engine import EmbeddedEngine, start_embedded
from portico.engines.embedded.threads import usable_cores
from portico.engines.embedded.wheel import probe_wheel
from portico.engines.simulated.engine import fleet as simulated_fleet
from portico.engines.transport.base import Deadlines, Limits, Transport
from portico.engines.transport.native import NativeTransport
from portico.engines.transport.tls import trusting
from portico.kit.clock import Clock, SystemClock
from portico.kit.tasks import Tasks
from portico.metering import reports
from portico.metering.model import GroupBy, Question, Totals
from portico.metering.service import Metering
from portico.observe.metrics import CONTENT_TYPE, Metrics
from portico.routing.fleet import Fleet, Wish
from portico.routing.model import Deployment, Registration
from portico.routing.registry import Registry
from portico.routing.service import Routing
from portico.settings import Settings

DEMO_MODEL = Path(__file__).parent / "engines" / "embedded" / "data" / "portico-demo-q8_0.gguf"
DEMO_NAME = "portico-demo"
OPENAI_CHAT = Dialect(
    parse=parse,
    writer=writer_for,
    envelope=chat_errors.render,
    headers=chat_errors.headers,
    event=chat_errors.stream_error,
)
_ABANDONED_AFTER_S = 3_600.0
"""On a shared database: added to twice the longest request, before its record counts as left over."""
_FOLLOW_EVERY_S = 2.0
_YOUNG_OBJECTS = 10_000
"""New objects, less those gone, before the collector looks at them."""
_UPSTREAM_PATIENCE_S = 2.0
"""How long the start waits for upstreams; slower ones are served once they have answered."""
_TINY = (
    f"{DEMO_NAME} is a very small demo model; connect a real one with --model FILE.gguf or "
    "--upstream URL"
)
log = logging.getLogger(__name__)


class CannotStart(Exception):
    """One clear sentence, and what to do.  Nothing is left running."""

    def __init__(
        self, kind: Literal["port", "data", "engine", "settings"], says: str, fix: str = ""
    ) -> None:
        super().__init__(says)
        self.kind = kind
        self.says = says
        self.fix = fix


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
    started_s = clock.monotonic_s()
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(_listening(settings))
        lock = stack.enter_context(_locked(settings))
        database = await asyncio.to_thread(_open_database, settings)
        metrics = Metrics()
        admission = Admission(_queue_limits(settings), clock)
        readers = Readers(database)
        stack.callback(readers.close)
        metering = await stack.enter_async_context(
            _recording(settings, database, admission, metrics, clock)
        )
        tasks = Tasks(_broken_off)
        stack.push_async_callback(tasks.close)
        transport = _transport(settings)
        stack.push_async_callback(transport.close)
        routing, registry = Routing(), Registry(database, clock)
        connections_max = settings.upstream.connections_max
        fleet = Fleet(routing, transport, tasks, clock, _deadlines(settings), connections_max)
        notes = await _own_engines(settings, simulated, fleet, transport, clock, tasks, stack)
        notes += await _follow_once(settings, fleet, registry, _UPSTREAM_PATIENCE_S)
        # Last of all: a key made by a start that then failed would never have been seen.
        peppers, first_key = await asyncio.to_thread(_open_accounts, settings, database, clock)
        rooms = journey.Rooms(Callers(readers, peppers, clock), routing, admission, metering)
        door = _Door(settings, rooms, readers, metrics, clock)
        door.add_gauges(metrics, fleet)
        tasks.start(_follow(settings, fleet, registry))
        tasks.start(metering.run())
        base_url = _base_url(listening)
        if lock.held:
            lock.announce(base_url)

        def ready() -> None:
            start_ms = round((clock.monotonic_s() - started_s) * 1000)
            models = list(routing.models())
            on_ready(Running(base_url, first_key, models, start_ms, os.getpid(), notes))

        await _serve(settings, door.edge, admission, listening, ready)
        if tasks.failure is not None:
            raise tasks.failure


class _Door:
    """The endpoints and what they are made of."""

    def __init__(
        self,
        settings: Settings,
        rooms: journey.Rooms,
        readers: Readers,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._rooms = rooms

        async def ask_usage(question: Question, by: GroupBy) -> dict[str, Totals]:
            return await readers.run(lambda connection: reports.groups(connection, question, by))

        chat = Generation(
            OPENAI_CHAT,
            rooms,
            clock,
            body_bytes_max=settings.edge.body_bytes_max,
            compression=settings.edge.compression,
        )
        models = Models(rooms.callers, rooms.routing.models)
        usage = Usage(rooms.callers, ask_usage, clock)
        health = Health(self._unready)
        page = MetricsPage(metrics.render, CONTENT_TYPE, settings.observe.metrics_token)
        routes = Routes(
            [
                Route("POST", "/v1/chat/completions", chat.handle),
                Route("GET", "/v1/models", models.all),
                Route("GET", "/v1/models/{id}", models.one),
                Route("GET", "/v1/usage", usage.own),
                Route("GET", "/healthz", health.alive),
                Route("GET", "/health", health.alive),
                Route("GET", "/", health.alive),
                Route("GET", "/readyz", health.ready),
                Route("GET", "/metrics", page.show),
            ]
        )
        self.edge = Edge(
            Dispatch(routes, OPENAI_CHAT.render, metrics).serve,
            OPENAI_CHAT.render,
            metrics,
            _edge_limits(settings),
            clock,
            hosts_allowed=frozenset(
                host.lower().encode() for host in settings.server.hosts_allowed
            ),
            logs_from_status=100 if settings.observe.access_log else 500,
        )

    def _unready(self) -> Sequence[str]:
        """Why no request should be sent here."""
        admission, models = self._rooms.admission, self._rooms.routing.models()
        reasons = []
        if admission.draining:
            reasons.append("shutting down")
        if admission.storage_refusal is not None:
            reasons.append(admission.storage_refusal.message)
        if not any(d.engine.ready for deployments in models.values() for d in deployments):
            reasons.append("no engine is ready")
        return reasons

    def add_gauges(self, metrics: Metrics, fleet: Fleet) -> None:
        admission, metering = self._rooms.admission, self._rooms.metering
        metrics.gauge("requests_running", "Requests holding a place.", lambda: admission.running)
        metrics.gauge("requests_waiting", "Requests in line.", lambda: admission.waiting)
        metrics.gauge("records_open", "Usage records not settled.", lambda: metering.open_count)
        metrics.gauge("tasks", "Tasks on the event loop.", lambda: len(asyncio.all_tasks()))
        metrics.gauge("deployments", "Deployments served.", lambda: fleet.size)
        metrics.gauge("deployments_ready", "Those ready now.", lambda: fleet.ready)


# -- starting and stopping, one part each --------------------------------------------------------


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.server.host, settings.server.port
    try:
        listening = bind(host, port)
    except OSError as error:
        raise CannotStart(
            "port",
            f"cannot listen on {host}:{port}: {error.strerror or error}.",
            "Choose another port with --port, or stop what uses this one.",
        ) from error
    with listening:
        yield listening


@contextmanager
def _locked(settings: Settings) -> Iterator[ServerLock]:
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


def _open_database(settings: Settings) -> Database:
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


def _open_accounts(
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


@asynccontextmanager
async def _recording(
    settings: Settings, database: Database, admission: Admission, metrics: Metrics, clock: Clock
) -> AsyncIterator[Metering]:
    """The writer's thread and what it writes, closed after every journey has ended."""
    limits = WriterLimits(
        free_bytes_min=settings.storage.free_bytes_min,
        spool_reserve_bytes=settings.storage.reserve_bytes,
    )
    try:
        writer = Writer(database, clock, partial(setattr, admission, "storage_refusal"), limits)
    except OSError as error:
        raise CannotStart(
            "data", f"there is no room for records in {database.data_dir}: {error.strerror}."
        ) from error
    metering = Metering(writer, clock, metrics)
    writer.start()
    try:
        await metering.recover(_abandoned_before_ms(settings, clock))
        yield metering
    finally:
        await writer.close()


def _abandoned_before_ms(settings: Settings, clock: Clock) -> int | None:
    """Wall clock.  None: whatever runs, runs in a process that is dead."""
    if not settings.database.url:
        return None
    longest_s = settings.queue.wait_s + settings.upstream.total_s
    return clock.wall_ms() - round(1000 * (2 * longest_s + _ABANDONED_AFTER_S))


def _transport(settings: Settings) -> Transport:
    upstream = settings.upstream
    try:
        tls = trusting(Path(upstream.ca_file)) if upstream.ca_file else None
    except OSError as error:
        raise CannotStart("settings", f"upstream.ca_file: {upstream.ca_file}: {error}.") from error
    if upstream.transport == "native":
        return NativeTransport(Limits(connections=upstream.connections_max), tls)
    from portico.engines.transport.fallback import FallbackTransport  # noqa: PLC0415 - aiohttp is 20 MB that only this choice needs

    return FallbackTransport(
        Limits(connections=upstream.connections_max), tls, upstream.proxy or None
    )


async def _own_engines(
    settings: Settings,
    simulated: bool,
    fleet: Fleet,
    transport: Transport,
    clock: Clock,
    tasks: Tasks,
    stack: AsyncExitStack,
) -> list[str]:
    """Start the embedded and the simulated engines.  Gives what the banner should note."""
    now_s = clock.wall_ms() // 1000
    notes: list[str] = []
    if settings.engine.enabled:
        wheel = await probe_wheel()
        if not wheel.usable and settings.engine.model:
            raise CannotStart("engine", wheel.problem, wheel.remedy)
        if not wheel.usable:
            notes.append(f"no embedded engine: {wheel.problem} {wheel.remedy}")
        else:
            model = _model_to_serve(settings)
            engine = await _start_embedded(model, transport, clock, _deadlines(settings))
            stack.push_async_callback(engine.close)
            tasks.start(engine.run())
            own = Deployment(f"embedded/{model.alias}", model.alias, engine, "portico", now_s)
            fleet.add_own([own])
            notes += [_TINY] if model.path == DEMO_MODEL else []
    if simulated:
        fleet.add_own(
            Deployment(f"simulated/{name}", name, engine, "portico", now_s)
            for name, engine in simulated_fleet(clock)
        )
    return notes


def _model_to_serve(settings: Settings) -> ModelToServe:
    wanted = settings.engine
    path = Path(wanted.model) if wanted.model else DEMO_MODEL
    alias = wanted.name or (path.stem if wanted.model else DEMO_NAME)
    return ModelToServe(
        path=path,
        alias=alias,
        parallel=wanted.parallel,
        context_tokens=wanted.context_tokens,
        threads=wanted.threads or (usable_cores() if wanted.model else 1),
        share_prefix_cache=wanted.share_prefix_cache,
        memory_limit_bytes=wanted.memory_bytes_max or None,
    )


async def _start_embedded(
    model: ModelToServe, transport: Transport, clock: Clock, deadlines: Deadlines
) -> EmbeddedEngine:
    try:
        return await start_embedded(model, transport, clock, deadlines)
    except StartFailed as error:
        raise CannotStart(
            "engine",
            f"the model {model.path} cannot be served: {error.detail}",
            "Check the file with --model, or serve another server with --upstream URL.",
        ) from error


def _wishes(settings: Settings, registered: Sequence[Registration]) -> list[Wish]:
    """What the operator wants served: from settings, then from `portico model add`."""
    wishes = [Wish(url, settings.upstream.api_key) for url in settings.upstream.urls]
    for registration in registered:
        named = registration.credential_env
        # Named by the operator at run time, so it cannot be a setting.
        api_key = os.environ.get(named, "") if named else ""  # noqa: TID251
        wishes.append(
            Wish(registration.location, api_key, registration.model, registration.upstream_model)
        )
    return wishes


async def _follow_once(
    settings: Settings, fleet: Fleet, registry: Registry, patience_s: float = 0.0
) -> list[str]:
    """What is not served, and why."""
    registered = await asyncio.to_thread(registry.list)
    missing = await fleet.follow(_wishes(settings, registered), patience_s)
    return [
        f"{wish.model or wish.base_url} is not served yet: {why}" for wish, why in missing.items()
    ]


async def _follow(settings: Settings, fleet: Fleet, registry: Registry) -> None:
    """Notice what `portico model` changes, and upstreams that come up."""
    while True:
        await asyncio.sleep(_FOLLOW_EVERY_S)
        try:
            await _follow_once(settings, fleet, registry)
        except DBAPIError as error:
            log.warning("the registered models cannot be read now: %s", error.orig)


async def _serve(
    settings: Settings,
    edge: Edge,
    admission: Admission,
    listening: socket.socket,
    ready: Callable[[], None],
) -> None:
    """Until a signal; a second one ends it at once."""
    server = Server(
        edge, drain_s=settings.server.drain_s, on_stop=partial(setattr, admission, "draining", True)
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve([listening]))
        await server.listening()
        # What exists now lives as long as the process; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # A request leaves no cycles behind.  At the usual 700 the collector ran whenever a few dozen
        # were under way, and found them all alive.
        gc.set_threshold(_YOUNG_OBJECTS)
        ready()


def _broken_off(failure: BaseException) -> None:
    """Background work that died leaves a server that only looks alive: better to end it."""
    log.critical("background work failed; shutting down", exc_info=failure)
    signal.raise_signal(signal.SIGTERM)


def _base_url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def _queue_limits(settings: Settings) -> QueueLimits:
    return QueueLimits(settings.queue.requests_max, settings.queue.wait_s)


def _deadlines(settings: Settings) -> Deadlines:
    upstream = settings.upstream
    return Deadlines(upstream.connect_s, upstream.first_byte_s, upstream.idle_s, upstream.total_s)


def _edge_limits(settings: Settings) -> EdgeLimits:
    edge = settings.edge
    return EdgeLimits(
        headers_max=edge.headers_max,
        header_bytes_max=edge.header_bytes_max,
        header_read_s=edge.header_read_s,
        body_bytes_max=edge.body_bytes_max,
        body_read_s=edge.body_read_s,
        write_idle_s=edge.write_idle_s,
        keep_alive_s=edge.keep_alive_s,
        connections_max=edge.connections_max,
        connections_per_ip_max=edge.connections_per_ip_max,
    )
