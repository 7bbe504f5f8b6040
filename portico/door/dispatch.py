"""From an exchange to whoever answers it, and from any failure to one clear answer."""

from collections.abc import Mapping

import structlog

from portico import errors
from portico.db.away import AWAY, away
from portico.door.dialect import Dialect
from portico.door.edge import Observer, Render
from portico.door.exchange import Exchange
from portico.door.origins import Origins
from portico.door.routes import Routes
from portico.door.speech import Speech, speech_of
from portico.kit.failures import let_go
from portico.kit.leaving import Left

log = structlog.get_logger("portico.door")


class Dispatch:
    """The edge's way in: `Edge(dispatch.serve, ...)`."""

    def __init__(
        self,
        routes: Routes,
        render: Render,
        observer: Observer,
        origins: Origins | None = None,
        others: Mapping[Speech, Dialect] | None = None,
    ) -> None:
        """render: for everybody whose dialect is not among the `others`."""
        self._routes = routes
        self._render = render
        self._observer = observer
        self._origins = origins
        self._others = others or {}

    async def serve(self, exchange: Exchange) -> None:
        """Raises nothing: what goes wrong is answered, and logged when it is our fault."""
        try:
            if self._origins is not None and self._origins.greet(exchange, self._routes):
                return
            route, rest = self._routes.find(exchange.method, exchange.path)
            exchange.route, exchange.scope = route.name, route.scope
            await route.handle(exchange, rest)
        except Left as left:
            let_go(left)
        except errors.Refusal as refusal:
            self._refuse(exchange, refusal)
            let_go(refusal)
        except AWAY as failure:
            self._refuse(exchange, away(failure, exchange.request_id))
            let_go(failure)
        except Exception as failure:
            log.exception("a request failed", request_id=exchange.request_id)
            self._refuse(exchange, errors.INTERNAL("Something went wrong here; it was logged."))
            let_go(failure)

    def _refuse(self, exchange: Exchange, refusal: errors.Refusal) -> None:
        self._observer.refused(refusal.code)
        if not exchange.started:
            speech = speech_of(exchange.path, exchange.headers, exchange.query)
            spoken = self._others.get(speech)
            render = self._render if spoken is None else spoken.render
            status = refusal.status if spoken is None else spoken.status(refusal)
            headers, body = render(refusal, exchange.request_id)
            exchange.reply(status, headers, body)
