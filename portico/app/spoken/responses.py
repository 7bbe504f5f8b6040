"""OpenAI Responses, wired."""

from functools import partial

from portico.dialects.openai_chat.errors import headers
from portico.dialects.openai_responses.answers.writer import Writers
from portico.dialects.openai_responses.errors import render, stream_error
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.openai_responses.parse import SPECIMEN, Parser
from portico.dialects.openai_responses.request import ResponsesRequest
from portico.dialects.strictness import check_fields
from portico.door.dialect import Dialect
from portico.kit.clock import Clock
from portico.resources.responses.model import Keeping
from portico.settings import Settings

_DAY_MS = 86_400_000

_KNOWN = frozenset(
    {
        *ResponsesRequest.__struct_encode_fields__,
        "access_programs",
        "image",
        "moderation",
        "prompt_cache_options",
        "prompt_cache_retention",
    }
)
"""Fields that are not strange here; those that are not checked are passed on."""


def responses(parser: Parser, seals: Seals, clock: Clock) -> Dialect:
    return Dialect(
        parse=parser.create,
        writer=Writers(seals, clock).of,
        envelope=render,
        headers=headers,
        event=stream_error,
        specimen=SPECIMEN,
        body=ResponsesRequest,
        strict=partial(check_fields, known=_KNOWN),
        summary="Responses, in OpenAI's words.",
    )


def keeping(settings: Settings) -> Keeping:
    said = settings.responses
    return Keeping(
        said.store,
        said.keep_days * _DAY_MS,
        said.links_max,
        said.context_bytes_max,
        said.response_bytes_max,
    )
