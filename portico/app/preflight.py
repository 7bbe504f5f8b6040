"""What says what would become of a request, for every endpoint that generates."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from portico.app.spoken.dialects import OPENAI_CHAT, Spoken
from portico.dialects.anthropic_messages import errors as messages
from portico.dialects.gemini import errors as gemini
from portico.dialects.openai_chat.errors import error_of
from portico.dialects.openai_responses import errors as responses
from portico.door.endpoints.preflight import Desks, Endpoint, Intake, Preflight, Told
from portico.door.routes import Route
from portico.door.speech import VERBS, Speech, speech_of
from portico.kit.clock import Clock

_AT = "/v1/preflight"
_CHAT = "/v1/chat/completions"
_TOLD: Mapping[Speech, Told] = {
    "openai": error_of,
    "responses": partial(error_of, names=responses.FIELDS),
    "anthropic": partial(error_of, names=messages.FIELDS),
    "gemini": partial(error_of, names=gemini.FIELDS),
}


def preflights(words: Spoken, desks: Desks, intake: Intake, clock: Clock) -> Iterator[Route]:
    """Behind `/v1/preflight` stands what stands behind `/v1` otherwise; nothing, for Chat.  Only
    Responses follow each other."""
    for path in (_CHAT, *_others(words)):
        dialect = words.generating[path]
        coming = intake if path == "/v1/responses" else replace(intake, states=None)
        endpoint = Endpoint(path, dialect, _TOLD[speech_of(path, {}, b"")])
        yield Route(
            "POST",
            _AT if dialect is OPENAI_CHAT else _AT + path.removeprefix("/v1"),
            Preflight(endpoint, desks, clock, coming).handle,
            "What would become of such a request, without running it; free.",
            dialect.body,
            dialect.scope,
        )


def _others(words: Spoken) -> Iterator[str]:
    """Gemini's versions are one here; asking about one of them is enough."""
    for path in words.generating:
        verb = path.rpartition(":")[2]
        if path != _CHAT and (verb not in VERBS or path.startswith("/v1/")):
            yield path
