"""GET /v1/models and GET /v1/models/{id}."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from portico import errors
from portico.door.credentials import credential_of
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, answer_json
from portico.door.exchange import Exchange
from portico.door.speech import Speech, speech_of
from portico.routing.model import Deployment

KnownModels = Callable[[], Mapping[str, Sequence[Deployment]]]


class Shape(Protocol):
    """How one dialect shows what is served."""

    def one(self, model: str, ways: Sequence[Deployment]) -> dict[str, Any]: ...

    def all(self, models: Sequence[dict[str, Any]], query: bytes) -> dict[str, Any]:
        """models: every `one`.  query: the raw query string, for dialects that page."""
        ...


class OpenAIShape:
    def one(self, model: str, ways: Sequence[Deployment]) -> dict[str, Any]:
        first = ways[0]
        return {
            "id": model,
            "object": "model",
            "created": first.created_at_s,
            "owned_by": first.owned_by,
        }

    def all(self, models: Sequence[dict[str, Any]], _query: bytes) -> dict[str, Any]:
        return {"object": "list", "data": list(models)}


_OPENAI = OpenAIShape()


class Models:
    """What is served here, in the shape of whoever asks.

    others: shapes beside OpenAI's; dialects: their words about a request."""

    def __init__(
        self,
        callers: Verifier,
        known: KnownModels,
        others: Mapping[Speech, Shape] | None = None,
        dialects: Mapping[Speech, Dialect] | None = None,
    ) -> None:
        self._callers = callers
        self._known = known
        self._others = others or {}
        self._dialects = dialects or {}

    async def all(self, exchange: Exchange, _: str) -> None:
        await self._callers.verify(credential_of(exchange.headers, exchange.query))
        shape, dialect = self._asker(exchange)
        models = [shape.one(model, ways) for model, ways in self._known().items()]
        answer_json(exchange, 200, shape.all(models, exchange.query), dialect)

    async def one(self, exchange: Exchange, model: str) -> None:
        await self._callers.verify(credential_of(exchange.headers, exchange.query))
        known = self._known()
        if model not in known:
            raise errors.MODEL_NOT_FOUND(
                f"The model {model[:200]!r} does not exist here.",
                field="model",
                value=model[:200],
                limit=sorted(known)[:20],
            )
        shape, dialect = self._asker(exchange)
        answer_json(exchange, 200, shape.one(model, known[model]), dialect)

    def _asker(self, exchange: Exchange) -> tuple[Shape, Dialect | None]:
        speech = speech_of(exchange.path, exchange.headers, exchange.query)
        return self._others.get(speech, _OPENAI), self._dialects.get(speech)
