"""GET /healthz, GET /readyz, GET /metrics, and the bare paths that are probed first."""

import hmac
from collections.abc import Callable, Sequence

from portico import errors
from portico.door.credentials import credential_of
from portico.door.endpoints.answering import UNCACHED, answer_json
from portico.door.exchange import Exchange


class Health:
    """alive: the process runs; agents and load balancers also probe bare paths for it.
    ready: send requests here.

    unready: why no request should be sent here, [] when it should.
    """

    def __init__(self, unready: Callable[[], Sequence[str]]) -> None:
        self._unready = unready

    async def alive(self, exchange: Exchange, _: str) -> None:
        answer_json(exchange, 200, {"status": "ok"})

    async def ready(self, exchange: Exchange, _: str) -> None:
        reasons = list(self._unready())
        if reasons:
            answer_json(exchange, 503, {"status": "not_ready", "reasons": reasons})
        else:
            answer_json(exchange, 200, {"status": "ready"})


class MetricsPage:
    """Prometheus's text format.  token: what it asks for; "" leaves it open."""

    def __init__(self, render: Callable[[], bytes], content_type: str, token: str) -> None:
        self._render = render
        self._lines = f"content-type: {content_type}\r\n".encode("ascii") + UNCACHED
        self._token = token.encode()

    async def show(self, exchange: Exchange, _: str) -> None:
        if self._token:
            shown = credential_of(exchange.headers, b"").encode("latin-1")
            if not hmac.compare_digest(shown, self._token):
                raise errors.INVALID_KEY(
                    "Metrics are shown for the operator's metrics token alone.",
                    remedy="Send it as `Authorization: Bearer <observe.metrics_token>`.",
                )
        exchange.reply(200, self._lines, self._render())
