"""Ask a server what it is and what it can do, without generating anything.

Run when a server is added, at start, and by `portico doctor`.  Whatever goes wrong is an answer
as well: `problem` says it in one sentence, and nothing is raised.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from portico.canon.prompt import Feature
from portico.engines.base import Abilities
from portico.engines.openai_compatible.server import Kind, Server
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed

_ANSWER_BYTES_MAX = 4_194_304
_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=10.0, idle_s=5.0, total_s=15.0)
_KIND_BY_OWNER: dict[str, Kind] = {"llamacpp": "llamacpp", "vllm": "vllm", "sglang": "sglang"}

# What a server gets when it does not say: the benefit of the doubt, because it refuses for itself
# what it cannot do.
_UNKNOWN_FEATURES: frozenset[Feature] = frozenset(
    {"tools", "json_schema", "image", "audio", "file", "logprobs", "choices", "embeddings"}
)


@dataclass(frozen=True, slots=True)
class ModelFound:
    """One model a server offers.  context_tokens: None when it does not say."""

    name: str
    context_tokens: int | None


@dataclass(frozen=True, slots=True)
class Survey:
    """slots: requests it runs at once, None when it does not say.
    problem: why there is nothing to know, "" when all is well."""

    kind: Kind
    models: tuple[ModelFound, ...]
    features: frozenset[Feature]
    slots: int | None
    problem: str = ""

    def abilities(self, model: str, concurrency_max: int) -> Abilities:
        """concurrency_max: for a server that queues for itself and does not say its slots."""
        context = next((m.context_tokens for m in self.models if m.name == model), None)
        return Abilities(self.features, context, self.slots or concurrency_max)


Shape = TypeVar("Shape")


class _Unusable(Exception):
    """Says what is wrong, for the operator."""


class _Modalities(msgspec.Struct):
    vision: bool = False
    audio: bool = False


class _Generation(msgspec.Struct):
    n_ctx: int


class _Props(msgspec.Struct):
    """GET /props of llama.cpp."""

    total_slots: int
    default_generation_settings: _Generation
    modalities: _Modalities = msgspec.field(default_factory=_Modalities)
    chat_template_caps: dict[str, Any] = msgspec.field(default_factory=dict)


class _Model(msgspec.Struct):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


async def survey(transport: Transport, server: Server) -> Survey:
    """At most 30 s, mostly some milliseconds."""
    try:
        models = await _get(transport, server, "/v1/models", _Models)
    except _Unusable as unusable:
        return Survey("generic", (), _UNKNOWN_FEATURES, None, str(unusable))
    kind = _kind_of(models)
    if kind == "llamacpp":
        return await _survey_llamacpp(transport, server, models)
    found = tuple(ModelFound(m.id, _positive(m.max_model_len)) for m in models.data)
    problem = "" if found else "The server offers no model."
    return Survey(kind, found, _UNKNOWN_FEATURES, None, problem)


def _kind_of(models: _Models) -> Kind:
    for model in models.data:
        if model.owned_by in _KIND_BY_OWNER:
            return _KIND_BY_OWNER[model.owned_by]
    return "generic"


async def _survey_llamacpp(transport: Transport, server: Server, models: _Models) -> Survey:
    try:
        props = await _get(transport, server, "/props", _Props)
    except _Unusable as unusable:
        return Survey("llamacpp", (), frozenset(), None, str(unusable))
    context = _positive(props.default_generation_settings.n_ctx)
    found = tuple(ModelFound(model.id, context) for model in models.data)
    slots = _positive(props.total_slots)
    features: set[Feature] = {"json_schema", "logprobs"}
    if props.chat_template_caps.get("supports_tools", True):
        features.add("tools")
    if slots is not None and slots > 1:
        features.add("choices")  # each choice takes a slot
    if props.modalities.vision:
        features.add("image")
    if props.modalities.audio:
        features.add("audio")
    return Survey("llamacpp", found, frozenset(features), slots)


async def _get(transport: Transport, server: Server, path: str, shape: type[Shape]) -> Shape:
    call = Call(
        server.origin, "GET", server.base_path + path, server.headers, b"", _DEADLINES, reuse=False
    )
    where = f"{server.shown()}{path}"
    try:
        answer = await transport.send(call)
        try:
            body = await answer.read(_ANSWER_BYTES_MAX)
        finally:
            answer.close()
    except TransportFailed as failed:
        raise _Unusable(f"{where} cannot be reached: {failed.detail}.") from failed
    if answer.status in (401, 403):
        raise _Unusable(f"{where} does not accept the API key (status {answer.status}).")
    if answer.status != 200:
        raise _Unusable(f"{where} answers with status {answer.status}.")
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Unusable(f"{where} does not answer as expected: {error}.") from error


def _positive(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None
