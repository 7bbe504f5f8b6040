"""`embedContent` and `batchEmbedContents`: contents become texts to embed, and vectors `values`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct

from portico import errors
from portico.canon.conversation import Conversation, Message, TextPart
from portico.canon.delta import Delta
from portico.canon.embedding import Embedded, ToEmbed
from portico.canon.prompt import Prompt
from portico.dialects.body import PROJECT, json_object, obeyed, without_bom
from portico.dialects.diagnosis import brief, shown
from portico.dialects.gemini.keys import in_camel_case
from portico.dialects.gemini.parse import DIALECT, model_of, typed
from portico.dialects.gemini.request import Content, placed
from portico.dialects.openai_chat.plain import fields_of
from portico.dialects.openai_embeddings.parse import DIMENSIONS_MAX, INPUTS_MAX
from portico.dialects.writing import Running, encode

SPECIMEN: dict[str, Any] = {"model": "-", "content": {"parts": [{"text": "-"}]}}
BATCH_SPECIMEN: dict[str, Any] = {"model": "-", "requests": [{"content": SPECIMEN["content"]}]}
"""The smallest valid requests."""


class EmbedRequest(Struct, rename="camel"):
    content: Content
    output_dimensionality: Annotated[int, Meta(ge=1, le=DIMENSIONS_MAX)] | None = None
    task_type: str | None = None
    title: str | None = None
    model: str | None = None


class BatchRequest(Struct, rename="camel"):
    requests: Annotated[list[EmbedRequest], Meta(min_length=1, max_length=INPUTS_MAX)]
    model: str | None = None


def parse_embed(body: bytes, hints: dict[str, str]) -> Prompt:
    """Read and check the body of `embedContent`.  Raises: Refusal with a 4xx status."""
    body = without_bom(body)
    request = typed(in_camel_case(json_object(body), body), EmbedRequest)
    return _prompt(body, hints, request.model, [("", request)])


def parse_batch(body: bytes, hints: dict[str, str]) -> Prompt:
    """Read and check the body of `batchEmbedContents`.  Raises: Refusal with a 4xx status."""
    body = without_bom(body)
    batch = typed(in_camel_case(json_object(body), body), BatchRequest)
    requests = [(f"{path}.", request) for path, request in placed("requests", batch.requests)]
    model = batch.model or batch.requests[0].model
    prompt = _prompt(body, hints, model, requests)
    for path, request in requests:
        if model_of(request.model or prompt.model, {}) != prompt.model:
            raise _differs(f"{path}model", request.model, prompt.model)
        if request.output_dimensionality != batch.requests[0].output_dimensionality:
            first = batch.requests[0].output_dimensionality
            raise _differs(f"{path}outputDimensionality", request.output_dimensionality, first)
    return prompt


def _differs(path: str, value: Any, first: Any) -> errors.Refusal:
    return errors.INVALID_VALUE(
        f"{path!r} is {shown(value)}; all requests of a batch must have the same, here "
        f"{shown(first)}.",
        field=path,
        value=brief(value),
        limit=first,
    )


def _prompt(
    body: bytes, hints: dict[str, str], model: str | None, requests: list[tuple[str, EmbedRequest]]
) -> Prompt:
    texts = tuple(_text(f"{path}content", request.content) for path, request in requests)
    asked = ToEmbed(texts, requests[0][1].output_dimensionality)
    return Prompt(
        dialect=DIALECT,
        model=model_of(model, hints),
        stream=False,
        body=body,
        fields=fields_of(body),
        wants_usage=True,
        choices=1,
        output_tokens_max=0,
        input_tokens_guess=len(body) // 4,
        needs=frozenset({"embeddings"}),
        conversation=partial(_converse, texts),
        hints=obeyed(hints),
        project_id=hints.get(PROJECT, ""),
        warnings=list(dict.fromkeys(_dropped(requests))),
        to_embed=lambda: asked,
    )


def _text(path: str, content: Content) -> str:
    """One vector is made of all the parts together."""
    words = []
    for at, part in placed(f"{path}.parts", content.parts):
        if part.text is None:
            raise errors.UNSUPPORTED_FEATURE(
                f"{at!r} is not text; only text is embedded here.", field=at, limit="text"
            )
        words.append(part.text)
    text = "\n".join(words)
    if not text:
        raise errors.INVALID_VALUE(
            f"{path!r} is empty; there is nothing to embed: it must hold text.",
            field=path,
            value=0,
            limit="at least one character",
        )
    return text


def _dropped(requests: list[tuple[str, EmbedRequest]]) -> Iterator[str]:
    """What no engine behind this server is told."""
    for _, request in requests:
        for name, said in (("taskType", request.task_type), ("title", request.title)):
            if said:
                yield f'not_supported; field="{name}"; action=dropped'


def _converse(texts: tuple[str, ...]) -> Conversation:
    return Conversation(tuple(Message("user", (TextPart(text),)) for text in texts))


Told = Callable[[list[dict[str, Any]]], dict[str, Any]]


class VectorsWriter:
    """Written with the last delta.  told: the answer's member for the vectors."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._vectors: list[Embedded] = []
        self._running = Running()

    def write(self, delta: Delta) -> bytes:
        self._running.count(delta)
        self._vectors += delta.vectors
        if not delta.last:
            return b""
        used = self._running.total().input_tokens
        shown = [{"values": vector.numbers()} for vector in self._vectors]
        return encode({**self._told(shown), "usageMetadata": {"promptTokenCount": used}})

    def ping(self) -> bytes:
        return b""


def embed_writer(_prompt: Prompt, _request_id: str, _created_s: int) -> VectorsWriter:
    """Of `embedContent`: its one vector."""
    return VectorsWriter(lambda vectors: {"embedding": vectors[0]})


def batch_writer(_prompt: Prompt, _request_id: str, _created_s: int) -> VectorsWriter:
    """Of `batchEmbedContents`: one vector for each request, in their order."""
    return VectorsWriter(lambda vectors: {"embeddings": vectors})
