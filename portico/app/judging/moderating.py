"""What judges texts, and the route to it."""

from collections.abc import Iterator

from portico import journey
from portico.admission.counts import CountLimits, Counts
from portico.app.failure import CannotStart
from portico.app.spoken.dialects import OPENAI_CHAT
from portico.app.storage import Books, queue_limits
from portico.callers.scopes import GENERATE
from portico.dialects.openai_moderations.parse import ModerationRequest
from portico.door.endpoints.answering import Reception
from portico.door.endpoints.moderations import Moderations
from portico.door.routes import Route
from portico.engines.openai_compatible.server import server_at
from portico.engines.transport.base import Transport
from portico.kit.clock import Clock
from portico.observe.metrics import Metrics
from portico.safety.guard.forms import Form, SafeOrUnsafe, taxonomy_of
from portico.safety.guard.forms import Moderations as AsModerations
from portico.safety.guard.guard import Guard, Observer, Terms
from portico.safety.pack import pack
from portico.safety.service import InputLimits, Moderation
from portico.settings import Settings

_NAMELESS = "guard"


def moderation_of(
    settings: Settings, books: Books, transport: Transport, metrics: Metrics, clock: Clock
) -> Moderation:
    """Raises: CannotStart."""
    wanted = settings.moderation
    limits = CountLimits(wanted.key_requests, wanted.requests, queue_limits(settings))
    return Moderation(
        pack(),
        guard_of(settings, transport, metrics, clock),
        books.rates,
        Counts(limits, clock, "moderations"),
        InputLimits(wanted.inputs_max, wanted.characters_max),
    )


def moderating(settings: Settings, rooms: journey.Rooms, moderation: Moderation) -> Iterator[Route]:
    endpoint = Moderations(
        OPENAI_CHAT,
        Reception(rooms.callers, rooms.admission),
        moderation,
        body_bytes_max=settings.edge.body_bytes_max,
        compression=settings.edge.compression,
    )
    yield Route(
        "POST",
        "/v1/moderations",
        endpoint.handle,
        "What a text says outright: categories and rule scores; free.",
        ModerationRequest,
        GENERATE,
    )


def guard_of(
    settings: Settings, transport: Transport, observer: Observer, clock: Clock
) -> Guard | None:
    """None where there is none.  Raises: CannotStart."""
    wanted = settings.moderation
    if not wanted.guard_url:
        return None
    try:
        server = server_at(wanted.guard_url, wanted.guard_api_key)
    except ValueError as error:
        raise CannotStart("settings", f"moderation.guard_url: {error}.") from error
    terms = Terms(
        wanted.guard_model or _NAMELESS,
        wanted.guard_s,
        wanted.guard_at_once,
        wanted.guard_on_error,
        wanted.guard_data_use,
    )
    return Guard(terms, _form(settings), server, transport, clock, observer)


def _form(settings: Settings) -> Form:
    wanted = settings.moderation
    if wanted.guard_speaks == "moderations":
        return AsModerations(wanted.guard_model, sees=wanted.guard_images)
    if not wanted.guard_model:
        raise CannotStart("settings", "moderation.guard_model: a chat model must be named.")
    if wanted.guard_images:
        raise CannotStart("settings", "moderation.guard_images: `llama_guard` is shown no images.")
    try:
        return SafeOrUnsafe(wanted.guard_model, taxonomy_of(wanted.guard_categories))
    except ValueError as error:
        raise CannotStart("settings", f"moderation.guard_categories: {error}.") from error
