"""GET /openapi.json: what is served here, for tools and people.  Open to everybody."""

from collections.abc import Callable
from typing import Any

from portico.door.endpoints.answering import answer_json
from portico.door.exchange import Exchange


class Description:
    """document: made when it is asked for the first time; the routes are all known then."""

    def __init__(self, document: Callable[[], dict[str, Any]]) -> None:
        self._make = document
        self._document: dict[str, Any] | None = None

    async def show(self, exchange: Exchange, _: str) -> None:
        if self._document is None:
            self._document = self._make()
        answer_json(exchange, 200, self._document)
