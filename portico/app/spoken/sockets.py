"""Responses over WebSockets, wired."""

from collections.abc import Mapping

from portico import journey
from portico.app.identity import Identity
from portico.app.spoken.dialects import Spoken
from portico.app.storage import Books
from portico.callers.scopes import GENERATE
from portico.door.intake.media import Media
from portico.door.routes import Route
from portico.door.sockets.endpoint import Sockets
from portico.door.sockets.socket import SocketLimits
from portico.door.visits.generation import Generation, Knowing, Rounds
from portico.kit.clock import Clock
from portico.settings import Settings

_PATH = "/v1/responses"


def sockets(
    settings: Settings,
    words: Spoken,
    rooms: journey.Rooms,
    books: Books,
    clock: Clock,
    identity: Identity,
    media: Media,
    states: Knowing,
    rounds: Mapping[str, Rounds],
) -> Sockets:
    dialect = words.generating[_PATH]

    def generation(knowing: Knowing) -> Generation:
        return Generation(
            dialect,
            rooms,
            clock,
            books.claims,
            body_bytes_max=settings.edge.body_bytes_max,
            compression=False,
            media=media,
            salts=identity.salts,
            presence=identity.presence,
            states=knowing,
            rounds=rounds.get(_PATH),
        )

    return Sockets(
        *(rooms.callers, identity.presence, dialect, states, generation, clock),
        limits_of(settings),
        frozenset(settings.edge.origins_allowed),
    )


def route_of(sockets: Sockets) -> Route:
    return Route(
        "GET",
        _PATH,
        sockets.open,
        "The same over a WebSocket: a message is a request, and its events are messages.",
        scope=GENERATE,
    )


def limits_of(settings: Settings) -> SocketLimits:
    said = settings.websocket
    return SocketLimits(
        connections_max=said.connections_max,
        per_key_max=said.per_key_max,
        waiting_max=said.waiting_max,
        connection_s=said.connection_s,
        idle_s=said.idle_s,
        ping_s=said.ping_s,
        pong_s=said.pong_s,
        memory_bytes_max=said.memory_bytes_max,
        memory_bytes_in_all=said.memory_bytes_in_all,
        links_max=settings.responses.links_max,
    )
