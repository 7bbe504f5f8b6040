"""What is spoken at the door, and where."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from portico.app.spoken import gemini
from portico.app.spoken.responses import responses
from portico.callers.scopes import EMBED
from portico.canon.prompt import Feature, Prompt
from portico.dialects.anthropic_messages import errors as messages_errors
from portico.dialects.anthropic_messages import models as messages_models
from portico.dialects.anthropic_messages import parse as messages
from portico.dialects.anthropic_messages.answers.writer import writer_for as messages_writer
from portico.dialects.anthropic_messages.request import CountRequest, MessagesRequest
from portico.dialects.anthropic_messages.signatures import Signatures
from portico.dialects.gemini import counting as gemini_counting
from portico.dialects.gemini.contents.signatures import Signatures as ThoughtSignatures
from portico.dialects.gemini.request import CountRequest as GeminiCountRequest
from portico.dialects.openai_chat import errors as chat_errors
from portico.dialects.openai_chat import strictness as chat_strictness
from portico.dialects.openai_chat.parse import SPECIMEN, parse
from portico.dialects.openai_chat.request import ChatRequest
from portico.dialects.openai_chat.writer import writer_for
from portico.dialects.openai_completions import parse as completions
from portico.dialects.openai_completions.writer import writer_for as completions_writer
from portico.dialects.openai_embeddings import parse as embeddings
from portico.dialects.openai_embeddings.writer import VectorsWriter
from portico.dialects.openai_responses.compaction import Compactor
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.openai_responses.parse import Parser
from portico.dialects.openai_responses.request import ResponsesRequest
from portico.dialects.strictness import check_fields
from portico.door.dialect import Dialect
from portico.door.endpoints.compacting import Compact
from portico.door.endpoints.gemini_models import GeminiShape
from portico.door.endpoints.models import Shape
from portico.door.speech import Speech
from portico.kit.clock import Clock
from portico.kit.sealing import Seal
from portico.rates import told
from portico.routing.model import Deployment

_MESSAGES = frozenset({*MessagesRequest.__struct_encode_fields__, "mcp_servers"})
"""Fields that are not strange there."""

OPENAI_CHAT = Dialect(
    parse=parse,
    writer=writer_for,
    envelope=chat_errors.render,
    headers=chat_errors.headers,
    event=chat_errors.stream_error,
    specimen=SPECIMEN,
    body=ChatRequest,
    strict=chat_strictness.check,
    summary="Chat Completions, in OpenAI's words.",
)

OPENAI_COMPLETIONS = Dialect(
    parse=completions.parse,
    writer=completions_writer,
    envelope=chat_errors.render,
    headers=chat_errors.headers,
    event=chat_errors.stream_error,
    specimen=completions.SPECIMEN,
    body=completions.CompletionsRequest,
    strict=partial(check_fields, known=completions.KNOWN),
    summary="The text that follows a text, in OpenAI's older words.",
)

OPENAI_EMBEDDINGS = Dialect(
    parse=embeddings.parse,
    writer=VectorsWriter,
    envelope=chat_errors.render,
    headers=chat_errors.headers,
    event=chat_errors.stream_error,
    specimen=embeddings.SPECIMEN,
    body=embeddings.EmbeddingsRequest,
    strict=partial(check_fields, known=frozenset(embeddings.EmbeddingsRequest.__struct_fields__)),
    summary="Vectors for texts, in OpenAI's words.",
    scope=EMBED,
)

GENERATING: Mapping[str, Dialect] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/completions": OPENAI_COMPLETIONS,
    "/v1/embeddings": OPENAI_EMBEDDINGS,
}
"""Those of them that need nothing but their own words."""


@dataclass(frozen=True, slots=True)
class Question:
    """How many tokens a request would be, as one dialect asks it at `path`; see `Counting`."""

    path: str
    dialect: Dialect
    parse: Callable[[bytes, dict[str, str]], Prompt]
    told: Callable[[int], Any]
    body: type


@dataclass(frozen=True, slots=True)
class Spoken:
    """
    generating: by the path a request to generate is sent to.
    others: who is answered in other words than those of Chat; shapes: how they are shown models.
    compact: of a conversation in Responses, a shorter one.
    """

    generating: Mapping[str, Dialect]
    others: Mapping[Speech, Dialect]
    shapes: Mapping[Speech, Shape]
    questions: Sequence[Question]
    compact: Compact


def spoken(seal: Seal, clock: Clock) -> Spoken:
    """Everything that is spoken here.  seal: for what callers keep for us."""
    seals = Seals(seal, clock)
    parser = Parser(seals)
    openai_responses = responses(parser, seals, clock)
    signatures = Signatures(seal)
    anthropic = _anthropic(signatures)
    counting = partial(messages.parse_count, signatures=signatures)
    thoughts = ThoughtSignatures(seal)
    google = gemini.gemini(thoughts)
    return Spoken(
        generating={
            **GENERATING,
            **gemini.generating(thoughts),
            "/v1/responses": openai_responses,
            "/v1/messages": anthropic,
        },
        others={
            "responses": openai_responses,
            "anthropic": anthropic,
            "gemini": google,
        },
        shapes={"anthropic": AnthropicShape(), "gemini": GeminiShape()},
        compact=Compactor(seals).compact,
        questions=(
            Question(
                "/v1/responses/input_tokens",
                openai_responses,
                parser.about,
                lambda count: {"object": "response.input_tokens", "input_tokens": count},
                ResponsesRequest,
            ),
            Question(
                "/v1/messages/count_tokens",
                anthropic,
                counting,
                lambda count: {"input_tokens": count},
                CountRequest,
            ),
            *(
                Question(
                    path,
                    google,
                    partial(gemini_counting.parse_count, signatures=thoughts),
                    gemini_counting.counted,
                    GeminiCountRequest,
                )
                for path in gemini.COUNTING
            ),
        ),
    )


def _anthropic(signatures: Signatures) -> Dialect:
    return Dialect(
        parse=partial(messages.parse, signatures=signatures),
        writer=partial(messages_writer, signatures=signatures),
        envelope=messages_errors.render,
        headers=messages_errors.headers,
        event=messages_errors.event,
        specimen=messages.SPECIMEN,
        body=MessagesRequest,
        strict=partial(check_fields, known=_MESSAGES),
        summary="Messages, in Anthropic's words.",
        named=messages_errors.named,
        passage=messages_errors.passage,
        limits=told.anthropic,
        status=messages_errors.status_of,
    )


class AnthropicShape:
    """Models as Anthropic's clients read them."""

    def one(self, model: str, ways: Sequence[Deployment]) -> dict[str, Any]:
        abilities = [way.engine.abilities for way in ways]
        features: frozenset[Feature] = frozenset().union(*(each.features for each in abilities))
        created_s, context_tokens = ways[0].created_at_s, abilities[0].context_tokens
        return messages_models.model_of(model, created_s, context_tokens, features)

    def all(self, models: Sequence[dict[str, Any]], query: bytes) -> dict[str, Any]:
        """Raises: Refusal."""
        return messages_models.page_of(models, query)
