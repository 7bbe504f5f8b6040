"""The admin API, at the API's own port or at one of its own."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from portico.accounts.actors.caps import Caps
from portico.accounts.admin_keys import store
from portico.admin.desk import Desk
from portico.admin.operation import Secrets
from portico.admin.routes import routes
from portico.admin.turnstile import Turnstile
from portico.app.door import edge_limits, hosts_allowed, proxies, standing
from portico.app.identity import Identity
from portico.app.spoken.dialects import OPENAI_CHAT
from portico.app.storage import Books
from portico.callers.last_use import LastUse
from portico.door.dispatch import Dispatch
from portico.door.edge import Edge
from portico.door.routes import Route, Routes
from portico.kit.clock import Clock
from portico.observe.metrics import Metrics
from portico.settings import Settings


@dataclass(frozen=True, slots=True)
class AdminApi:
    """routes: for the API's own port.  edge: of a port of its own; None without one.
    follow: work beside the road."""

    routes: tuple[Route, ...] = ()
    edge: Edge | None = None
    follow: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = ()


def _caps(settings: Settings) -> Caps:
    most = settings.organisation
    return Caps(
        projects=most.projects_max,
        project_keys=most.project_keys_max,
        replaced_keys=most.project_keys_max,
        service_accounts=most.service_accounts_max,
        invitations=most.invitations_max,
        roles=most.roles_max,
        admin_keys=most.admin_keys_max,
        webhooks=most.webhooks_max,
    )


def admin_api(
    settings: Settings,
    who: Identity,
    books: Books,
    metrics: Metrics,
    clock: Clock,
) -> AdminApi:
    if not settings.admin.enabled:
        return AdminApi()
    last_use = LastUse(books.writer.run, clock, store.note_use)
    desk = Desk(
        *(books.desk, books.reports, books.writer, clock, Secrets(who.peppers, who.seal), last_use),
        Turnstile(clock, settings.admin.requests_per_minute, settings.admin.failures_per_minute),
        caps=_caps(settings),
        keep_ms=1000 * settings.replay.keep_s,
        compression=settings.edge.compression,
    )
    made = tuple(routes(desk, version("portico")))
    if not settings.admin.port:
        return AdminApi(made, None, (last_use.run,))
    edge = Edge(
        Dispatch(Routes(made), OPENAI_CHAT.render, metrics).serve,
        OPENAI_CHAT.render,
        metrics,
        edge_limits(settings),
        clock,
        hosts_allowed=hosts_allowed(settings),
        proxies=proxies(settings),
        standing=standing(settings),
        logs_from_status=100 if settings.observe.access_log else 500,
    )
    return AdminApi((), edge, (last_use.run,))
