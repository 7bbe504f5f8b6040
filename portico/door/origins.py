"""Which web pages may call this server from a browser (CORS).  None, unless the operator says so:
a page that holds a key shows it to everybody who opens it."""

from portico.door.exchange import Exchange
from portico.door.lines import line
from portico.door.routes import Routes

_EXPOSED = (
    "x-request-id, request-id, portico-warnings, portico-cost-nano-usd, openai-processing-ms, "
    "retry-after, retry-after-ms, idempotent-replayed, original-request"
)
_REMEMBERED_S = 600


class Origins:
    """allowed: origins such as "https://app.example"; "*" allows any."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed

    def greet(self, exchange: Exchange, routes: Routes) -> bool:
        """Mark the answer readable for its page.  True: it was a preflight, and is answered."""
        origin = exchange.headers.get(b"origin", b"").decode("latin-1")
        if not origin or not (origin in self._allowed or "*" in self._allowed):
            return False
        exchange.also = (
            line("access-control-allow-origin", origin)
            + line("access-control-expose-headers", _EXPOSED)
            + b"vary: origin\r\n"
        )
        asked = exchange.headers.get(b"access-control-request-method")
        methods = routes.methods(exchange.path)
        if exchange.method != "OPTIONS" or asked is None or not methods:
            return False
        wanted = exchange.headers.get(b"access-control-request-headers", b"").decode("latin-1")
        exchange.reply(
            204,
            line("access-control-allow-methods", ", ".join(methods))
            + line("access-control-allow-headers", wanted)
            + line("access-control-max-age", str(_REMEMBERED_S)),
            b"",
        )
        return True
