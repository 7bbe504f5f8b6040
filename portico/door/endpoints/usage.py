"""GET /v1/usage: what the caller's project has used."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import parse_qsl

import msgspec

from portico import errors
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.kit.clock import Clock
from portico.metering.model import GroupBy, Question, Totals

AskUsage = Callable[[Question, GroupBy], Awaitable[Mapping[str, Totals]]]

_GROUPS = get_args(GroupBy)
_REQUEST_ID = re.compile(r"req_[0-9a-f]{32}")
_DEFAULT_SPAN_MS = 30 * 86_400_000


class Usage:
    """
    since, until: RFC 3339 date or time, or Unix seconds; 30 days up to now when left out.
    request_id: what one answer took: each of the requests to a model that were made for it.
    group_by: model (default), key, day or hour (UTC); request, where request_id names one (default).
    """

    def __init__(self, callers: Verifier, ask: AskUsage, clock: Clock) -> None:
        self._callers = callers
        self._ask = ask
        self._clock = clock

    async def own(self, exchange: Exchange, _: str) -> None:
        caller = await identify(self._callers, exchange)
        given = dict(parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True))
        until_ms = _moment_ms(given, "until")
        since_ms = _moment_ms(given, "since")
        if until_ms is None:
            until_ms = self._clock.wall_ms() + 1
        if since_ms is None:
            since_ms = max(0, until_ms - _DEFAULT_SPAN_MS)
        if since_ms >= until_ms:
            raise errors.OUT_OF_RANGE(
                f"'since' is {given.get('since', '')[:200]!r}; it must be earlier than 'until'.",
                field="since",
                value=given.get("since"),
            )
        request_id = _request_id(given)
        by = _group(given, "model" if request_id is None else "request")
        groups = await self._ask(
            Question(caller.project_id, since_ms, until_ms, caller.organisation_id, request_id), by
        )
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


def _request_id(given: Mapping[str, str]) -> str | None:
    asked = given.get("request_id")
    if asked is None or _REQUEST_ID.fullmatch(asked):
        return asked
    raise errors.INVALID_VALUE(
        f"'request_id' is {asked[:200]!r}; it must be the id of a request, as its answer's header "
        "'x-request-id' has it.",
        field="request_id",
        value=asked[:200],
        limit="req_ and 32 of 0-9 a-f",
    )


def _group(given: Mapping[str, str], otherwise: GroupBy) -> GroupBy:
    asked = given.get("group_by", otherwise)
    if asked == "request" and otherwise != "request":
        raise errors.INVALID_VALUE(
            "'group_by' is 'request', and 'request_id' does not say which.",
            field="group_by",
            value=asked,
            limit="with request_id",
            remedy="Name a request by 'request_id'.",
        )
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
