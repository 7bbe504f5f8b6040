"""Engines of our own, registered upstreams, and the transport to both."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from portico.app.failure import CannotStart
from portico.callers.pepper import PepperLost, read_peppers
from portico.engines.embedded.child import ModelToServe, StartFailed
from portico.engines.embedded.engine import EmbeddedEngine, start_embedded
from portico.engines.embedded.threads import usable_cores
from portico.engines.embedded.wheel import probe_wheel
from portico.engines.simulated.fleet import fleet as simulated_fleet
from portico.engines.transport.base import Deadlines, Limits, Transport
from portico.engines.transport.native import NativeTransport
from portico.engines.transport.tls import trusting
from portico.kit.clock import Clock
from portico.kit.tasks import Tasks
from portico.observe.metrics import Metrics
from portico.routing.drills import Drills
from portico.routing.fleet import Fleet, Wish
from portico.routing.keys import KeyUnreadable, open_key, seal_of
from portico.routing.loads import Loads
from portico.routing.model import Deployment, Registration
from portico.routing.registry import Registry
from portico.routing.service import Routing
from portico.settings import Settings

DEMO_MODEL = Path(__file__).parents[1] / "engines" / "embedded" / "data" / "portico-demo-q8_0.gguf"
DEMO_NAME = "portico-demo"
_FOLLOW_EVERY_S = 2.0
_TINY = (
    f"{DEMO_NAME} is a very small demo model; connect a real one with --model FILE.gguf or "
    "--upstream URL"
)
log = logging.getLogger(__name__)


def transport_of(settings: Settings) -> Transport:
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


async def own_engines(
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
        model = _model_to_serve(settings)
        engine, note = await _start_embedded(settings, model, transport, clock)
        if engine is not None:
            stack.push_async_callback(engine.close)
            tasks.start(engine.run())
            own = Deployment(f"embedded/{model.alias}", model.alias, engine, "portico", now_s)
            fleet.add_own([own])
        notes += [note] if note else []
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
    settings: Settings, model: ModelToServe, transport: Transport, clock: Clock
) -> tuple[EmbeddedEngine | None, str]:
    """And what the banner should note, "" for nothing.  No engine where this machine cannot run one
    and nobody named a model.  Raises: CannotStart.

    Whether the machine can is asked when it did not: asking loads the engine once more.
    """
    try:
        engine = await start_embedded(model, transport, clock, deadlines(settings))
    except StartFailed as error:
        wheel = await probe_wheel()
        if wheel.usable:
            raise CannotStart(
                "engine",
                f"the model {model.path} cannot be served: {error.detail}",
                "Check the file with --model, or serve another server with --upstream URL.",
            ) from error
        if settings.engine.model:
            raise CannotStart("engine", wheel.problem, wheel.remedy) from error
        return None, f"no embedded engine: {wheel.problem} {wheel.remedy}"
    return engine, _TINY if model.path == DEMO_MODEL else ""


def wishes(settings: Settings, registered: Sequence[Registration]) -> list[Wish]:
    """What the operator wants served: from settings, then from `portico model add`."""
    upstream = settings.upstream
    found = [
        Wish(
            url,
            upstream.api_key,
            among=upstream.models,
            alias=f"upstream-{number}",
            data_use=upstream.data_use,
            efforts=frozenset(upstream.efforts),
        )
        for number, url in enumerate(upstream.urls, 1)
    ]
    for registration in registered:
        api_key, trouble = _key_of(registration, Path(settings.server.data_dir))
        found.append(
            Wish(
                registration.location,
                api_key,
                registration.model,
                registration.upstream_model,
                alias=registration.id,
                data_use=registration.data_use,
                kind=registration.engine,
                trouble=trouble,
            )
        )
    return found


def _key_of(registration: Registration, data_dir: Path) -> tuple[str, str]:
    """Its key, "" without one; and why it cannot be read, "" where it can."""
    if registration.sealed_key is None:
        named = registration.credential_env
        # Named by the operator at run time, so it cannot be a setting.
        return os.environ.get(named, "") if named else "", ""  # noqa: TID251
    try:
        return open_key(seal_of(read_peppers(data_dir)), registration), ""
    except (PepperLost, KeyUnreadable) as error:
        return "", str(error)


async def follow_once(
    settings: Settings, fleet: Fleet, registry: Registry, patience_s: float = 0.0
) -> list[str]:
    """What is not served, and why."""
    wanted = await asyncio.to_thread(lambda: wishes(settings, registry.list()))
    missing = await fleet.follow(wanted, patience_s)
    return [
        f"{wish.model or wish.base_url} is not served yet: {why}" for wish, why in missing.items()
    ]


async def follow(
    settings: Settings, fleet: Fleet, registry: Registry, drills: Drills, clock: Clock
) -> None:
    """Notice what `portico model` changes or wants tried out, and upstreams that come up."""
    while True:
        await asyncio.sleep(_FOLLOW_EVERY_S)
        try:
            await follow_once(settings, fleet, registry)
            await obey(drills, fleet, clock)
        except DBAPIError as error:
            log.warning("the registered models cannot be read now: %s", error.orig)


def follow_load(
    settings: Settings, routing: Routing, transport: Transport, metrics: Metrics
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Ask how busy the servers are, for the metrics page."""
    loads = Loads(routing, transport, settings.upstream.load_every_s)
    metrics.loads = loads.all
    return loads.run


async def obey(drills: Drills, fleet: Fleet, clock: Clock) -> None:
    """Begin the drills that were asked for; they end by themselves."""
    for drill in await asyncio.to_thread(drills.waiting):
        at_ms = clock.wall_ms()
        deployment, problem = fleet.cut(drill.model, drill.seconds)
        if deployment is None:
            await asyncio.to_thread(drills.refused, drill, problem)
        else:
            await asyncio.to_thread(drills.began, drill, at_ms, deployment)


def deadlines(settings: Settings) -> Deadlines:
    upstream = settings.upstream
    return Deadlines(upstream.connect_s, upstream.first_byte_s, upstream.idle_s, upstream.total_s)
