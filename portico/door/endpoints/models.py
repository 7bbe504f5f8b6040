"""GET /v1/models and GET /v1/models/{id}: what whoever asks may use.  Nothing else exists for them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from portico import errors
from portico.callers.model import Caller
from portico.canon.data_use import DataUse
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.speech import Speech, speech_of
from portico.routing.model import Deployment

Offered = Callable[[Caller], Mapping[str, Sequence[Deployment]]]
"""The models a caller may use, each with the deployments its prompts may go to.  Raises: Refusal."""


class Catalogue(Protocol):
    def open_to(self, data_use: DataUse) -> Mapping[str, Sequence[Deployment]]: ...


class Seller(Protocol):
    def sells(self, payer: Caller, model: str) -> bool:
        """Raises: Refusal: storage_unavailable."""
        ...


def offered_by(catalogue: Catalogue, seller: Seller) -> Offered:
    """What would not be refused for what the key may name, for what its project allows to be made
    of prompts, or for a price."""

    def offered(caller: Caller) -> dict[str, Sequence[Deployment]]:
        return {
            model: ways
            for model, ways in catalogue.open_to(caller.data_use).items()
            if (caller.models is None or model in caller.models) and seller.sells(caller, model)
        }

    return offered


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
    """What is served to whoever asks, in their shape.

    others: shapes beside OpenAI's; dialects: their words about a request."""

    def __init__(
        self,
        callers: Verifier,
        offered: Offered,
        others: Mapping[Speech, Shape] | None = None,
        dialects: Mapping[Speech, Dialect] | None = None,
    ) -> None:
        self._callers = callers
        self._offered = offered
        self._others = others or {}
        self._dialects = dialects or {}

    async def all(self, exchange: Exchange, _: str) -> None:
        offered = await self._asked(exchange)
        shape, dialect = self._asker(exchange)
        models = [shape.one(model, ways) for model, ways in offered.items()]
        answer_json(exchange, 200, shape.all(models, exchange.query), dialect)

    async def one(self, exchange: Exchange, model: str) -> None:
        offered = await self._asked(exchange)
        if model not in offered:
            raise errors.MODEL_NOT_FOUND(
                f"The model {model[:200]!r} does not exist here.",
                field="model",
                value=model[:200],
                limit=sorted(offered)[:20],
            )
        shape, dialect = self._asker(exchange)
        answer_json(exchange, 200, shape.one(model, offered[model]), dialect)

    async def _asked(self, exchange: Exchange) -> Mapping[str, Sequence[Deployment]]:
        caller = await identify(self._callers, exchange)
        return self._offered(caller)

    def _asker(self, exchange: Exchange) -> tuple[Shape, Dialect | None]:
        speech = speech_of(exchange.path, exchange.headers, exchange.query)
        return self._others.get(speech, _OPENAI), self._dialects.get(speech)
