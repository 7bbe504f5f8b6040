"""GET /v1/models and GET /v1/models/{id}."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portico import errors
from portico.door.credentials import credential_of
from portico.door.endpoints.answering import Verifier, answer_json
from portico.door.exchange import Exchange
from portico.routing.model import Deployment

KnownModels = Callable[[], Mapping[str, Sequence[Deployment]]]


class Models:
    """What is served here, in OpenAI's shape."""

    def __init__(self, callers: Verifier, known: KnownModels) -> None:
        self._callers = callers
        self._known = known

    async def all(self, exchange: Exchange, _: str) -> None:
        await self._callers.verify(credential_of(exchange.headers, exchange.query))
        data = [_described(model, ways) for model, ways in self._known().items()]
        answer_json(exchange, 200, {"object": "list", "data": data})

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
        answer_json(exchange, 200, _described(model, known[model]))


def _described(model: str, ways: Sequence[Deployment]) -> dict[str, Any]:
    first = ways[0]
    return {
        "id": model,
        "object": "model",
        "created": first.created_at_s,
        "owned_by": first.owned_by,
    }
