"""Ask a server what it is and what it can do, without generating anything.

Run when a server is added, at start, and by `portico doctor`.  Whatever goes wrong is an answer
as well: `problem` says it in one sentence, and nothing is raised.
"""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from portico.canon.prompt import Feature
from portico.engines.base import Abilities
from portico.engines.openai_compatible.server import Adapter, Kind, Server
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed

_ANSWER_BYTES_MAX = 4_194_304
_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=10.0, idle_s=5.0, total_s=15.0)
_KIND_BY_OWNER: dict[str, Kind] = {"llamacpp": "llamacpp", "vllm": "vllm", "sglang": "sglang"}

# What a server gets when it does not say: the benefit of the doubt, because it refuses for itself
# what it cannot do.  Not files: hardly any reads them, and all are given their text.
_UNKNOWN_FEATURES: frozenset[Feature] = frozenset(
    {"tools", "json_schema", "image", "audio", "logprobs", "choices", "embeddings"}
)
_READS_FILES = "api.openai.com"


@dataclass(frozen=True, slots=True)
class ModelFound:
    """One model a server offers, or a LoRA adapter upon one.

    name: what developers may call it; an adapter is `base:adapter`, so that two servers' adapters
      of one name are told apart.
    listed_as: what the server's own list calls it.  asked_as: what it is asked for as.
    context_tokens: None when it does not say.
    adapter: where it is chosen beside the model's name (llama.cpp).
    """

    name: str
    context_tokens: int | None
    listed_as: str
    asked_as: str
    adapter: Adapter | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """slots: requests it runs at once, None when it does not say.
    problem: why there is nothing to know, "" when all is well.
    efforts: the reasoning efforts its models take; None where it does not say."""

    kind: Kind
    models: tuple[ModelFound, ...]
    features: frozenset[Feature]
    slots: int | None
    problem: str = ""
    efforts: frozenset[str] | None = None

    def abilities(self, model: str, concurrency_max: int) -> Abilities:
        """concurrency_max: for a server that queues for itself and does not say its slots."""
        return Abilities(
            self.features,
            self.model(model).context_tokens,
            self.slots or concurrency_max,
            # Only llama.cpp says that it sees; of others it is only not known that they do not.
            sees_pages=self.kind == "llamacpp" and "image" in self.features,
        )

    def model(self, name: str) -> ModelFound:
        """The one called so, here or by the server itself; what it does not list may be there all
        the same."""
        by_name = next((found for found in self.models if found.name == name), None)
        listed = next((found for found in self.models if found.listed_as == name), None)
        return by_name or listed or ModelFound(name, None, name, name)


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
    """parent: of an adapter, the model it sits upon (vLLM, SGLang)."""

    id: str
    owned_by: str = ""
    max_model_len: int | None = None
    parent: str | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


class _Adapter(msgspec.Struct):
    """One of GET /lora-adapters of llama.cpp.  scale: as it was started; 0 leaves it aside until a
    request names it."""

    id: int
    path: str
    scale: float = 0.0


async def survey(transport: Transport, server: Server) -> Survey:
    """At most 30 s, mostly some milliseconds."""
    try:
        models = await _get(transport, server, "/v1/models", _Models)
    except _Unusable as unusable:
        return Survey("generic", (), _UNKNOWN_FEATURES, None, str(unusable))
    kind = _kind_of(models)
    if kind == "llamacpp":
        return await _survey_llamacpp(transport, server, models)
    found = tuple(_found(model, kind, models) for model in models.data)
    problem = "" if found else "The server offers no model."
    features = _UNKNOWN_FEATURES
    if server.origin.host == _READS_FILES:
        features |= {"file"}
    return Survey(kind, found, features, None, problem)


def _found(model: _Model, kind: Kind, models: _Models) -> ModelFound:
    context = _positive(model.max_model_len)
    parent = model.parent
    if kind not in ("vllm", "sglang") or not parent or parent == model.id:
        return ModelFound(model.id, context, model.id, model.id)
    if context is None:  # an adapter has the room of what it sits upon
        room = next((each.max_model_len for each in models.data if each.id == parent), None)
        context = _positive(room)
    name = f"{parent}:{model.id}"
    return ModelFound(name, context, model.id, model.id if kind == "vllm" else name)


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
    found = [ModelFound(model.id, context, model.id, model.id) for model in models.data]
    if found:
        found += await _adapters(transport, server, found[0])
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
    # A template that reads an effort takes any word; one that does not takes none.
    thinks = props.chat_template_caps.get("supports_reasoning_effort", True)
    efforts = None if thinks else frozenset[str]()
    return Survey("llamacpp", tuple(found), frozenset(features), slots, efforts=efforts)


async def _adapters(transport: Transport, server: Server, base: ModelFound) -> list[ModelFound]:
    """Of a server that was started with some, each under the name of its file; of the files of one
    name the first.  A server without this route has none."""
    try:
        listed = await _get(transport, server, "/lora-adapters", list[_Adapter])
    except _Unusable:
        return []
    by_name: dict[str, ModelFound] = {}
    for each in listed:
        stem = PurePath(each.path).stem
        name = f"{base.name}:{stem}"
        adapter = Adapter(each.id, each.scale if each.scale > 0 else 1.0)
        found = ModelFound(name, base.context_tokens, stem, base.asked_as, adapter)
        by_name.setdefault(name, found)
    return list(by_name.values())


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
