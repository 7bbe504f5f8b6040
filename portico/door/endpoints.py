"""What the door answers without a journey: models, usage, health, metrics."""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, get_args
from urllib.parse import parse_qsl

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.door.credentials import credential_of
from portico.door.exchange import Exchange
from portico.door.lines import JSON
from portico.kit.clock import Clock
from portico.metering.model import GroupBy, Question, Totals
from portico.routing.model import Deployment

AskUsage = Callable[[Question, GroupBy], Awaitable[Mapping[str, Totals]]]
KnownModels = Callable[[], Mapping[str, Sequence[Deployment]]]

_GROUPS = get_args(GroupBy)
_DEFAULT_SPAN_MS = 30 * 86_400_000
_UNCACHED = b"cache-control: no-store\r\n"


class Verifier(Protocol):
    async def verify(self, credential: str) -> Caller:
        """Raises: Refusal."""
        ...


def answer_json(exchange: Exchange, status: int, content: Any) -> None:
    lines = b"%bx-request-id: %b\r\n" % (JSON, exchange.request_id.encode("ascii"))
    exchange.reply(status, lines + _UNCACHED, msgspec.json.encode(content))


class Models:
    """GET /v1/models and GET /v1/models/{id}, in OpenAI's shape."""

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


class Usage:
    """GET /v1/usage: what the caller's project has used.

    since, until: RFC 3339 date or time, or Unix seconds; 30 days up to now when left out.
    group_by: model (default), key, day or hour (UTC).
    """

    def __init__(self, callers: Verifier, ask: AskUsage, clock: Clock) -> None:
        self._callers = callers
        self._ask = ask
        self._clock = clock

    async def own(self, exchange: Exchange, _: str) -> None:
        caller = await self._callers.verify(credential_of(exchange.headers, exchange.query))
        given = dict(parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True))
        until_ms = _moment_ms(given, "until")
        since_ms = _moment_ms(given, "since")
        if until_ms is None:
            until_ms = self._clock.wall_ms() + 1
        if since_ms is None:
            since_ms = max(0, until_ms - _DEFAULT_SPAN_MS)
        if since_ms >= until_ms:
            raise errors.OUT_OF_RANGE(
                "'since' must be earlier than 'until'.", field="since", value=given.get("since")
            )
        by = _group(given)
        groups = await self._ask(Question(caller.project_id, since_ms, until_ms), by)
        answer_json(
            exchange,
            200,
            {
                "object": "usage",
                "project_id": caller.project_id,
                "since": _rfc3339(since_ms),
                "until": _rfc3339(until_ms),
                "group_by": by,
                "data": [{by: key, **_figures(totals)} for key, totals in groups.items()],
            },
        )


def _figures(totals: Totals) -> dict[str, Any]:
    meters = totals.meters
    return {
        "requests": totals.requests,
        "estimated_requests": totals.estimated,
        "input_tokens": meters.input_tokens,
        "output_tokens": meters.output_tokens,
        "meters": msgspec.structs.asdict(meters),
    }


def _group(given: Mapping[str, str]) -> GroupBy:
    asked = given.get("group_by", "model")
    for group in _GROUPS:
        if asked == group:
            return group  # type: ignore[no-any-return]  # get_args forgets the literal
    raise errors.INVALID_VALUE(
        f"'group_by' is {asked[:200]!r}; it must be one of {', '.join(_GROUPS)}.",
        field="group_by",
        value=asked[:200],
        limit=list(_GROUPS),
    )


def _moment_ms(given: Mapping[str, str], name: str) -> int | None:
    """Milliseconds since the epoch, None when it is not said."""
    text = given.get(name, "")
    if not text:
        return None
    try:
        if text.isascii() and text.isdigit() and len(text) <= 11:
            return int(text) * 1000
        # A "+" in a query is a blank once decoded.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        moment_ms = round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
        if moment_ms < 0:
            raise ValueError("before 1970")
        return moment_ms
    except (ValueError, OverflowError):
        raise errors.INVALID_VALUE(
            f"'{name}' is {text[:200]!r}; it must be a date or time such as "
            "2026-11-21T00:00:00Z, or Unix seconds.",
            field=name,
            value=text[:200],
        ) from None


def _rfc3339(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


class Health:
    """GET /healthz (the process runs), GET /readyz (send requests here), and the bare paths that
    agents and load balancers probe before their first call.

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
    """GET /metrics, in Prometheus's text format.  token: what it asks for; "" leaves it open."""

    def __init__(self, render: Callable[[], bytes], content_type: str, token: str) -> None:
        self._render = render
        self._lines = f"content-type: {content_type}\r\n".encode("ascii") + _UNCACHED
        self._token = token.encode()

    async def show(self, exchange: Exchange, _: str) -> None:
        if self._token:
            shown = credential_of(exchange.headers, b"").encode("latin-1")
            if not hmac.compare_digest(shown, self._token):
                raise errors.INVALID_KEY("Metrics need the operator's metrics token.")
        exchange.reply(200, self._lines, self._render())
