"""All of it together."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from portico import journey
from portico.app.identity import Identity
from portico.app.spoken.dialects import Spoken
from portico.app.storage import Books
from portico.db.readers import Readers
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier
from portico.door.intake.media import Media
from portico.door.resources.background import Background
from portico.door.routes import Route
from portico.door.visits.generation import Generation, Knowing, Rounds
from portico.kit.clock import Clock
from portico.resources.files.service import Files
from portico.resources.responses.states import States
from portico.safety.service import Moderation
from portico.settings import Settings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What everything that works unseen is made of.  reception: for the routes that look in on it."""

    settings: Settings
    words: Spoken
    rooms: journey.Rooms
    books: Books
    readers: Readers
    clock: Clock
    identity: Identity
    media: Media
    states: States
    files: Files
    reception: Verifier
    moderation: Moderation

    def way(
        self,
        dialect: Dialect,
        knowing: Knowing,
        callers: journey.Verifier | None = None,
        rounds: Rounds | None = None,
    ) -> Generation:
        """Into the journey, for callers who are not there.  knowing: what each of them follows.
        callers: who they are; None: `Deputies`.  rounds: what is said of requests that take
        several."""
        return Generation(
            dialect,
            journey.Rooms(
                callers or self.identity.deputies,
                self.rooms.routing,
                self.rooms.admission,
                self.rooms.metering,
                self.rooms.counter,
            ),
            self.clock,
            self.books.claims,
            body_bytes_max=self.settings.edge.body_bytes_max,
            compression=False,
            media=self.media,
            salts=self.identity.salts,
            presence=self.identity.absent,
            states=knowing,
            rounds=rounds,
        )


@dataclass(frozen=True, slots=True)
class Backstage:
    """follow: work beside the road."""

    background: Background
    routes: tuple[Route, ...]
    follow: tuple[Callable[[], Coroutine[Any, Any, None]], ...]
