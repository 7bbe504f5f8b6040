"""Responses over WebSockets, wired."""

from collections.abc import Mapping

from portico.app.backstage.stage import Surroundings
from portico.callers.scopes import GENERATE
from portico.door.routes import Route
from portico.door.sockets.endpoint import Sockets
from portico.door.sockets.socket import SocketLimits
from portico.door.visits.generation import Knowing, Rounds
from portico.door.visits.preparing import Preparing
from portico.settings import Settings

_PATH = "/v1/responses"


def sockets(of: Surroundings, rounds: Mapping[str, Rounds]) -> Sockets:
    """rounds: by path, see `Generation`."""
    dialect, settings = of.words.generating[_PATH], of.settings

    def generation(knowing: Knowing) -> Preparing:
        return Preparing(
            dialect,
            of.rooms,
            of.clock,
            of.books.claims,
            body_bytes_max=settings.edge.body_bytes_max,
            compression=False,
            media=of.media,
            salts=of.identity.salts,
            presence=of.identity.presence,
            states=knowing,
            rounds=rounds.get(_PATH),
        )

    return Sockets(
        *(of.reception, of.identity.presence, dialect, of.states, generation, of.clock),
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
