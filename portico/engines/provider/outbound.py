"""The dialects a provider may be spoken to in: everything in which they differ, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from portico.canon.delta import Delta
from portico.canon.prompt import Feature, Prompt
from portico.dialects.anthropic_messages import failures as messages_failures
from portico.dialects.anthropic_messages import reader as messages_reader
from portico.dialects.anthropic_messages import upstream as messages_upstream
from portico.dialects.gemini import failures as gemini_failures
from portico.dialects.gemini import reader as gemini_reader
from portico.dialects.gemini import upstream as gemini_upstream
from portico.dialects.losses import Losses
from portico.dialects.openai_responses import failures as responses_failures
from portico.dialects.openai_responses import reader as responses_reader
from portico.dialects.openai_responses import upstream as responses_upstream
from portico.dialects.outbound.stream import ProviderStream
from portico.dialects.outbound.translation import Translation
from portico.errors import Refusal
from portico.kit.sealing import MARK

ProviderKind = Literal["anthropic", "gemini", "openai-responses"]

Body = dict[str, Any]

_OUR_SEAL = b'"' + MARK.encode()
_OPENED_SEAL = b'"portico_issuer"'
"""What the door put in its place, in Responses."""
_SEAL_IN_BASE64 = b'"cG9ydGljby'
"""`portico/`, as Gemini's signatures of other makers begin."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """
    dialect: the word of `Prompt.dialect` for callers who speak it.
    features: what the models behind it can do; their provider refuses what one of them cannot.
    image_types: media types of the pictures they take.
    credentials: headers that hold the key.
    target: of a model and whether to stream.  Paths begin behind the base path.
    passed: the body for a caller of this dialect; translated: for any other.
    stream: a reader, given whether bytes pass through and where signatures of calls go.
    whole: reads an answer that is not streamed.
    refusal: the meaning of a status and a body.
    own_seal: what only this server reads stands in a request that has it, and a provider must
      not see it.
    counting, counted: target and body of the question how many tokens a request has, and the
      member of the answer that says it.
    listing: where the models are listed.
    """

    dialect: str
    features: frozenset[Feature]
    image_types: frozenset[str]
    credentials: Callable[[str], dict[str, str]]
    target: Callable[[str, bool], str]
    passed: Callable[[Prompt, str, Losses], Body]
    translated: Callable[[Translation], Body]
    stream: Callable[[bool, gemini_reader.Keep], ProviderStream]
    whole: Callable[[bytes], Delta]
    refusal: Callable[[int, bytes], Refusal]
    own_seal: bytes
    counting: Callable[[str], str]
    asked: Callable[[str, Body], Body]
    counted: str
    listing: str


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _anthropic(key: str) -> dict[str, str]:
    return {"anthropic-version": "2023-06-01"} | ({"x-api-key": key} if key else {})


def _google(key: str) -> dict[str, str]:
    return {"x-goog-api-key": key} if key else {}


def _gemini_target(model: str, stream: bool) -> str:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"{_gemini_model(model)}:{verb}"


def _gemini_model(model: str) -> str:
    return f"/v1beta/models/{quote(model.removeprefix('models/'), safe='')}"


def _without(*names: str) -> Callable[[str, Body], Body]:
    return lambda _, body: {name: said for name, said in body.items() if name not in names}


def _gemini_asked(model: str, body: Body) -> Body:
    counted = {name: said for name, said in body.items() if name != "generationConfig"}
    name = f"models/{model.removeprefix('models/')}"
    return {"generateContentRequest": {"model": name, **counted}}


_NOT_COUNTED = (
    *("max_tokens", "max_output_tokens", "metadata", "stop_sequences", "stream", "store"),
    *("temperature", "top_p", "top_k", "top_logprobs", "include", "service_tier"),
    *("prompt_cache_key", "safety_identifier"),
)
_EVERY: frozenset[Feature] = frozenset({"tools", "json_schema", "image", "file"})
_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp"})

OUTBOUND: dict[ProviderKind, Outbound] = {
    "anthropic": Outbound(
        dialect="anthropic_messages",
        features=_EVERY,
        image_types=_IMAGES | {"image/gif"},
        credentials=_anthropic,
        target=lambda _, stream: "/v1/messages",
        passed=messages_upstream.passed,
        translated=messages_upstream.translated,
        stream=lambda through, _: messages_reader.MessagesStream(through=through),
        whole=messages_reader.read_answer,
        refusal=messages_failures.refusal_for,
        own_seal=_OUR_SEAL,
        counting=lambda _: "/v1/messages/count_tokens",
        asked=_without(*_NOT_COUNTED),
        counted="input_tokens",
        listing="/v1/models?limit=1000",
    ),
    "gemini": Outbound(
        dialect="gemini",
        features=_EVERY | {"audio", "choices", "logprobs"},
        image_types=_IMAGES,
        credentials=_google,
        target=_gemini_target,
        passed=gemini_upstream.passed,
        translated=gemini_upstream.translated,
        stream=lambda through, keep: gemini_reader.GeminiStream(through=through, keep=keep),
        whole=gemini_reader.read_answer,
        refusal=gemini_failures.refusal_for,
        own_seal=_SEAL_IN_BASE64,
        counting=lambda model: f"{_gemini_model(model)}:countTokens",
        asked=_gemini_asked,
        counted="totalTokens",
        listing="/v1beta/models?pageSize=1000",
    ),
    "openai-responses": Outbound(
        dialect="openai_responses",
        features=_EVERY | {"audio", "logprobs"},
        image_types=_IMAGES | {"image/gif"},
        credentials=_bearer,
        target=lambda _, stream: "/v1/responses",
        passed=responses_upstream.passed,
        translated=responses_upstream.translated,
        stream=lambda through, _: responses_reader.ResponsesStream(through=through),
        whole=responses_reader.read_answer,
        refusal=responses_failures.refusal_for,
        own_seal=_OPENED_SEAL,
        counting=lambda _: "/v1/responses/input_tokens",
        asked=_without(*_NOT_COUNTED),
        counted="input_tokens",
        listing="/v1/models",
    ),
}
