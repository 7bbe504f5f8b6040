"""Work that nobody waits for, wired: a second way to the same journey, for callers who are gone."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from portico import journey
from portico.app.identity import Identity
from portico.app.spoken.responses import keeping
from portico.app.storage import Books
from portico.background.responses import Runner
from portico.callers.deputies import Deputies
from portico.callers.model import Caller
from portico.callers.scopes import RESPONSES
from portico.db.readers import Readers
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier
from portico.door.intake.media import Media
from portico.door.limits import EdgeLimits
from portico.door.resources.background import Background
from portico.door.routes import Route
from portico.door.visits.generation import Generation
from portico.kit.clock import Clock
from portico.resources.background.lives import Lives
from portico.resources.background.model import Limits
from portico.resources.background.resumed import Resumed
from portico.resources.responses.states import States
from portico.settings import Settings


@dataclass(frozen=True, slots=True)
class Backstage:
    """follow: work beside the road."""

    background: Background
    routes: tuple[Route, ...]
    follow: tuple[Callable[[], Coroutine[Any, Any, None]], ...]


def backstage(
    settings: Settings,
    dialect: Dialect,
    rooms: journey.Rooms,
    books: Books,
    readers: Readers,
    clock: Clock,
    identity: Identity,
    media: Media,
    states: States,
    reception: Verifier,
) -> Backstage:
    said, kept, lives = settings.background, keeping(settings), Lives()
    limits = Limits(said.at_once, said.per_project_max, round(1000 * said.patience_s))

    def keep_ms(caller: Caller) -> int:
        most = caller.content_ms_max
        return kept.keep_ms if most is None else min(kept.keep_ms, most)

    background = Background(
        *(reception, readers, books.writer, lives, clock, limits),
        keep_ms=keep_ms,
        replay_ms=round(1000 * settings.replay.keep_s),
        ping_s=EdgeLimits().ping_s,
    )
    generation = Generation(
        dialect,
        replace(rooms, callers=Deputies(readers, clock)),
        clock,
        books.claims,
        body_bytes_max=settings.edge.body_bytes_max,
        compression=settings.edge.compression,
        media=media,
        salts=identity.salts,
        presence=identity.presence,
        states=Resumed(states, lives),
    )
    runner = Runner(
        *(generation.handle, lives, books.writer, readers, clock, limits),
        owner=books.owner,
        keep_ms=kept.keep_ms,
        closed=lambda: books.admission.draining,
    )
    cancelling = Route(
        "POST",
        "/v1/responses/{id}/cancel",
        background.cancel,
        "End a response that is made in the background.",
        scope=RESPONSES,
    )
    return Backstage(background, (cancelling,), (runner.run, runner.save, runner.watch))
