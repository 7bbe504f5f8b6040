"""The routes, and what stands behind each."""

import asyncio
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from ipaddress import ip_network
from typing import Any

from portico import journey
from portico.admission.counts import CountLimits, Counts
from portico.app.backstage.background import background
from portico.app.backstage.batches import batches
from portico.app.backstage.ends import ends
from portico.app.backstage.stage import Backstage, Surroundings
from portico.app.failure import CannotStart
from portico.app.identity import Identity
from portico.app.judging.moderating import moderating
from portico.app.media import media_of
from portico.app.preflight import preflights
from portico.app.resources import Kept, resources
from portico.app.spoken.conversing import conversing
from portico.app.spoken.dialects import OPENAI_CHAT, Spoken, spoken
from portico.app.spoken.gemini import ROOTS
from portico.app.spoken.remote import remote_tools
from portico.app.spoken.responses import keeping
from portico.app.spoken.sockets import route_of, sockets
from portico.app.storage import Books, queue_limits
from portico.callers.scopes import BALANCE, GENERATE, MODELS, USAGE
from portico.db.readers import Readers
from portico.door.dispatch import Dispatch
from portico.door.edge import Edge
from portico.door.endpoints import Health, MetricsPage, Models, Usage
from portico.door.endpoints.answering import Reception
from portico.door.endpoints.compacting import Compacting
from portico.door.endpoints.counting import Counting
from portico.door.endpoints.description import Description
from portico.door.endpoints.models import offered_by
from portico.door.endpoints.money import Money
from portico.door.endpoints.openapi import document
from portico.door.endpoints.preflight import Desks, Intake
from portico.door.framing.forwarded import Network
from portico.door.intake.media import Media
from portico.door.limits import EdgeLimits
from portico.door.lines import SECURE, STANDING
from portico.door.origins import Origins
from portico.door.resources.repeating import Repeating
from portico.door.routes import Route, Routes
from portico.door.visits.generation import Generation, Rounds
from portico.kit.clock import Clock
from portico.metering import reports
from portico.metering.model import GroupBy, Question, Totals
from portico.observe.metrics import CONTENT_TYPE, Metrics
from portico.resources.responses.states import States
from portico.routing.fleet import Fleet
from portico.safety.service import Moderation
from portico.settings import Settings


class Door:
    """The endpoints and what they are made of."""

    def __init__(
        self,
        settings: Settings,
        rooms: journey.Rooms,
        books: Books,
        readers: Readers,
        metrics: Metrics,
        clock: Clock,
        identity: Identity,
        kept: Kept,
        moderation: Moderation,
        also: Sequence[Route] = (),
        admin: Sequence[Route] = (),
    ) -> None:
        """also: routes of rooms that are not always open.  admin: those of the admin API, which
        describes itself."""
        self._rooms = rooms
        self.media = media = media_of(settings, rooms.routing, kept.files)
        words = spoken(identity.seal, clock)
        states = States(readers, books.locks, clock, keeping(settings), books.room)
        unseen = Surroundings(
            *(settings, words, rooms, books, readers, clock, identity, media, states),
            *(kept.files, _reception(words, rooms), moderation),
        )
        rounds = remote_tools(settings, books, identity, metrics, clock)
        self.sockets = sockets(unseen, rounds)
        stage = background(unseen)
        batch_routes, batch_work = batches(unseen)
        self.follow = (
            *stage.follow,
            *batch_work,
            *ends(books, readers, kept.files, clock, metrics),
        )
        repeating = Repeating(clock, round(1000 * settings.replay.keep_s))
        self._described = [
            *_generating(
                words, settings, rooms, books, clock, identity, media, states, stage, rounds
            ),
            route_of(self.sockets),
            *stage.routes,
            *batch_routes,
            *_counting(words, settings, rooms, clock, media, states),
            _compacting(words, settings, rooms, clock, media, states),
            *_telling(words, rooms, books, clock),
            *resources(words, _reception(words, rooms), kept, repeating),
            *conversing(
                *(settings, _reception(words, rooms), books, readers, clock),
                *(stage.background, repeating),
            ),
            *moderating(settings, rooms, moderation),
            *self._watching(settings, metrics),
            *also,
        ]
        self.routes = Routes([*self._described, *admin])
        self.edge = self._edge(settings, words, metrics, clock)

    def _edge(self, settings: Settings, words: Spoken, metrics: Metrics, clock: Clock) -> Edge:
        render = OPENAI_CHAT.render
        dispatch = Dispatch(self.routes, render, metrics, origins(settings), words.others)
        return Edge(
            *(dispatch.serve, render, metrics, edge_limits(settings), clock),
            hosts_allowed=hosts_allowed(settings),
            proxies=proxies(settings),
            standing=standing(settings),
            logs_from_status=100 if settings.observe.access_log else 500,
        )

    def _watching(self, settings: Settings, metrics: Metrics) -> list[Route]:
        health = Health(self._unready)
        page = MetricsPage(metrics.render, CONTENT_TYPE, settings.observe.metrics_token)
        description = Description(self._document)
        return [
            Route("GET", "/healthz", health.alive, "Is the process alive?", open=True),
            Route("GET", "/health", health.alive, "The same.", open=True),
            Route("GET", "/", health.alive, "The same: tools probe it first.", open=True),
            Route("GET", "/readyz", health.ready, "May requests be sent here now?", open=True),
            Route("GET", "/metrics", page.show, "Figures for Prometheus.", open=True),
            Route("GET", "/openapi.json", description.show, "This document.", open=True),
        ]

    def _document(self) -> dict[str, Any]:
        return document(self._described, "Portico", version("portico"))

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
        metrics.gauge("websockets", "WebSockets open.", lambda: self.sockets.count)
        metrics.gauge("tasks", "Tasks on the event loop.", lambda: len(asyncio.all_tasks()))
        metrics.gauge("deployments", "Deployments served.", lambda: fleet.size)
        metrics.gauge("deployments_ready", "Those ready now.", lambda: fleet.ready)


def _generating(
    words: Spoken,
    settings: Settings,
    rooms: journey.Rooms,
    books: Books,
    clock: Clock,
    identity: Identity,
    media: Media,
    states: States,
    stage: Backstage,
    rounds: Mapping[str, Rounds],
) -> list[Route]:
    """What runs a model, by admission only, and what says how that would go."""
    size, compression = settings.edge.body_bytes_max, settings.edge.compression
    generating = [
        Route(
            "POST",
            path,
            Generation(
                dialect,
                rooms,
                clock,
                books.claims,
                body_bytes_max=size,
                compression=compression,
                media=media,
                salts=identity.salts,
                presence=identity.presence,
                states=states if path == "/v1/responses" else None,
                later=stage.background if path == "/v1/responses" else None,
                rounds=rounds.get(path),
            ).handle,
            dialect.summary,
            dialect.body,
            dialect.scope,
        )
        for path, dialect in words.generating.items()
    ]
    desks = Desks(_reception(words, rooms), rooms.routing, rooms.counter, books.standings)
    intake = Intake(size, compression, media, states)
    return [*generating, *preflights(words, desks, intake, clock)]


def _reception(words: Spoken, rooms: journey.Rooms) -> Reception:
    """Of all that runs nothing."""
    return Reception(rooms.callers, rooms.admission, words.others)


def _counting(
    words: Spoken,
    settings: Settings,
    rooms: journey.Rooms,
    clock: Clock,
    media: Media,
    states: States,
) -> list[Route]:
    """How many tokens a request would be, free."""
    queue = settings.queue
    limits = CountLimits(queue.key_counts, queue.model_counts, queue_limits(settings))
    counts = Counts(limits, clock)
    size, compression = settings.edge.body_bytes_max, settings.edge.compression
    return [
        Route(
            "POST",
            question.path,
            Counting(
                question.dialect,
                question.parse,
                question.told,
                _reception(words, rooms),
                rooms.routing,
                counts,
                body_bytes_max=size,
                compression=compression,
                media=media,
                states=states if question.path == "/v1/responses/input_tokens" else None,
            ).handle,
            "How many tokens a request would be; free.",
            question.body,
            GENERATE,
        )
        for question in words.questions
    ]


def _compacting(
    words: Spoken,
    settings: Settings,
    rooms: journey.Rooms,
    clock: Clock,
    media: Media,
    states: States,
) -> Route:
    dialect = words.generating["/v1/responses"]
    compacting = Compacting(
        dialect,
        words.compact,
        _reception(words, rooms),
        rooms.routing,
        clock,
        media,
        body_bytes_max=settings.edge.body_bytes_max,
        compression=settings.edge.compression,
        states=states,
    )
    summary = "A conversation made shorter, without asking a model; free."
    return Route(
        "POST", "/v1/responses/compact", compacting.handle, summary, dialect.body, GENERATE
    )


def _telling(words: Spoken, rooms: journey.Rooms, books: Books, clock: Clock) -> list[Route]:
    """What a developer may read, free."""

    async def ask_usage(question: Question, by: GroupBy) -> dict[str, Totals]:
        return await books.reports.run(
            lambda connection: reports.groups(connection, question, by),
            tenant=question.organisation_id or "",  # who does not say whose sees nothing
        )

    reception = _reception(words, rooms)
    offered = offered_by(rooms.routing, rooms.counter)
    models = Models(reception, offered, words.shapes, words.others)
    usage = Usage(reception, ask_usage, clock)
    money = Money(
        reception,
        books.standings,
        lambda caller: books.prices.terms_of(caller.organisation_id).kind,
        lambda caller: books.prices.in_force(caller.organisation_id),
        books.rates.rules_of,
    )
    return [
        *(
            route
            for root in ROOTS
            for route in (
                Route("GET", f"{root}/models", models.all, "What is served here.", scope=MODELS),
                Route("GET", f"{root}/models/{{id}}", models.one, "One model.", scope=MODELS),
            )
        ),
        Route(
            "GET",
            "/v1/usage",
            usage.own,
            "What your project has used; free.",
            scope=USAGE,
            query=("since", "until", "group_by", "request_id"),
        ),
        Route("GET", "/v1/balance", money.balance, "What is left to spend; free.", scope=BALANCE),
        Route(
            "GET",
            "/v1/limits",
            money.limits,
            "What limits you, and when it resets; free.",
            scope=BALANCE,
        ),
        Route(
            "GET", "/v1/prices", money.prices, "What you pay for each model; free.", scope=BALANCE
        ),
    ]


def origins(settings: Settings) -> Origins | None:
    """None: no page is let in, and no request is looked at for it."""
    allowed = settings.edge.origins_allowed
    return Origins(frozenset(allowed)) if allowed else None


def hosts_allowed(settings: Settings) -> frozenset[bytes]:
    return frozenset(host.lower().encode() for host in settings.server.hosts_allowed)


def proxies(settings: Settings) -> tuple[Network, ...]:
    """Raises: CannotStart: a network that is none."""
    try:
        return tuple(ip_network(each) for each in settings.server.proxies_trusted)
    except ValueError as error:
        raise CannotStart("settings", f"server.proxies_trusted: {error}.") from error


def standing(settings: Settings) -> bytes:
    return STANDING + SECURE if settings.server.https else STANDING


def edge_limits(settings: Settings) -> EdgeLimits:
    edge = settings.edge
    return EdgeLimits(
        headers_max=edge.headers_max,
        header_bytes_max=edge.header_bytes_max,
        header_read_s=edge.header_read_s,
        body_bytes_max=edge.body_bytes_max,
        bodies_bytes_max=edge.bodies_bytes_max,
        body_read_s=edge.body_read_s,
        body_bytes_per_s_min=edge.body_bytes_per_s_min,
        body_grace_s=edge.body_grace_s,
        write_idle_s=edge.write_idle_s,
        keep_alive_s=edge.keep_alive_s,
        linger_s=edge.linger_s,
        connections_max=edge.connections_max,
        connections_per_ip_max=edge.connections_per_ip_max,
    )
