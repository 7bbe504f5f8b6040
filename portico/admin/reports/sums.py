"""What was used and what it cost, in buckets of time."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import msgspec
from msgspec import Struct

from portico import errors
from portico.accounts.reports import service
from portico.accounts.reports.service import Group, Span
from portico.admin.operation import Ask, Operation, Told
from portico.admin.reports.buckets import ROWS_MAX, Page, R, cut, page_of_time
from portico.admin.shapes import PAGED, Moment, moment_of, rfc3339
from portico.canon.usage import Meters
from portico.ledger.costs import Cost
from portico.metering.sums import Used

_SPAN_MS = 30 * 86_400_000
_MEMBERS: dict[Group, str] = {"project": "project_id", "key": "key_id", "model": "model"}
_NARROWS = ("organisation_id", "project_id", "key_id", "model")
_ASKED = (*_NARROWS, "since", "until", "group_by", "bucket_width", *PAGED)
Find = Callable[[Span, int | None, int], Sequence[R]]
"""Sums of a part of the time; the width of buckets; at most so many."""


class Summed(Struct, kw_only=True):
    """project_id, key_id, model: null where it is not grouped by that."""

    project_id: str | None
    key_id: str | None
    model: str | None


class UsageSum(Summed, kw_only=True):
    """estimated_requests: of the requests, those that rest on Portico's own counting."""

    requests: int
    estimated_requests: int
    input_tokens: int
    output_tokens: int
    meters: Meters


class CostSum(Summed, kw_only=True):
    """list_nano_usd: before discounts.  net_nano_usd: what is paid.  absorbed_nano_usd: what requests
    cost above what was set aside for them, which nobody pays."""

    charges: int
    list_nano_usd: str
    net_nano_usd: str
    absorbed_nano_usd: str


class Bucket(Struct, kw_only=True):
    """start, end: the end is not included."""

    object: Literal["bucket"]
    id: str
    start: Moment
    end: Moment


class UsageBucket(Bucket, kw_only=True):
    results: list[UsageSum]


class CostBucket(Bucket, kw_only=True):
    results: list[CostSum]


class Report(Struct, kw_only=True):
    """Buckets from the oldest on, those in which nothing happened, too."""

    organisation_id: str | None
    project_id: str | None
    since: Moment
    until: Moment
    group_by: list[Group]
    bucket_width: Literal["1m", "1h", "1d"] | None
    first_id: str | None
    last_id: str | None
    has_more: bool


class UsageReport(Report, kw_only=True):
    object: Literal["usage"]
    data: list[UsageBucket]


class CostReport(Report, kw_only=True):
    object: Literal["costs"]
    currency: Literal["USD"]
    data: list[CostBucket]


def _span(ask: Ask) -> Span:
    """30 days up to now, unless it says otherwise."""
    until_ms = moment_of(ask, "until")
    until_ms = ask.errand.clock.wall_ms() + 1 if until_ms is None else until_ms
    since_ms = moment_of(ask, "since")
    since_ms = max(0, until_ms - _SPAN_MS) if since_ms is None else since_ms
    return Span(since_ms, until_ms, *(ask.query.get(name) or None for name in _NARROWS))


def _groups(ask: Ask) -> list[Group]:
    """Raises: Refusal: invalid_value."""
    asked = [each for each in ask.query.get("group_by", "").split(",") if each]
    wrong = next((each for each in asked if each not in _MEMBERS), None)
    if wrong is not None or len(set(asked)) != len(asked):
        raise errors.INVALID_VALUE(
            f"'group_by' is {','.join(asked)[:100]!r}; it must be some of {', '.join(_MEMBERS)}, "
            "with commas between.",
            field="group_by",
            value=wrong and wrong[:100],
            limit=list(_MEMBERS),
            remedy="For days and hours, there is `bucket_width`.",
        )
    return [each for each in _MEMBERS if each in asked]


def _usage(ask: Ask) -> Told:
    by, span = _groups(ask), service.seen(ask.errand, _span(ask), "usage:read")

    def find(part: Span, width_ms: int | None, most: int) -> Sequence[Used]:
        return service.usage(ask.errand, part, by, width_ms, most)

    return {"object": "usage", **_report(ask, span, by, find, _used)}


def _used(row: Used) -> Told:
    meters = row.totals.meters
    return {
        "requests": row.totals.requests,
        "estimated_requests": row.totals.estimated,
        "input_tokens": meters.input_tokens,
        "output_tokens": meters.output_tokens,
        "meters": msgspec.structs.asdict(meters),
    }


def _costs(ask: Ask) -> Told:
    by, span = _groups(ask), service.seen(ask.errand, _span(ask), "costs:read")

    def find(part: Span, width_ms: int | None, most: int) -> Sequence[Cost]:
        return service.costs(ask.errand, part, by, width_ms, most)

    return {"object": "costs", **_report(ask, span, by, find, _paid), "currency": "USD"}


def _paid(row: Cost) -> Told:
    return {
        "charges": row.charges,
        "list_nano_usd": str(row.list_nano),
        "net_nano_usd": str(row.net_nano),
        "absorbed_nano_usd": str(row.absorbed_nano),
    }


def _report(
    ask: Ask, span: Span, by: list[Group], find: Find[R], shown: Callable[[R], Told]
) -> Told:
    """find: is asked once, for the time of the page and one sum more than it may have."""
    page = page_of_time(ask, span.since_ms, span.until_ms)
    found: Sequence[R] = ()
    if page.starts_ms:
        part = replace(span, since_ms=page.since_ms, until_ms=page.until_ms)
        page, found = cut(page, find(part, page.width_ms, ROWS_MAX + 1))
    results: defaultdict[int, list[Told]] = defaultdict(list)
    for row in found:
        names = dict(zip((_MEMBERS[each] for each in by), row.names, strict=True))
        results[row.start_ms].append({**dict.fromkeys(_MEMBERS.values()), **names, **shown(row)})
    data = [_bucket(page, start_ms, results) for start_ms in page.starts_ms]
    return {
        "organisation_id": span.organisation_id,
        "project_id": span.project_id,
        "since": rfc3339(span.since_ms),
        "until": rfc3339(span.until_ms),
        "group_by": by,
        "bucket_width": ask.query.get("bucket_width") or None,
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": page.more,
    }


def _bucket(page: Page, start_ms: int, results: dict[int, list[Told]]) -> Told:
    whole = page.width_ms is None
    end_ms = page.until_ms if page.width_ms is None else start_ms + page.width_ms
    return {
        "object": "bucket",
        "id": rfc3339(start_ms),
        "start": rfc3339(max(start_ms, page.since_ms)),
        "end": rfc3339(min(end_ms, page.until_ms)),
        "results": results[0 if whole else start_ms],
    }


def operations() -> tuple[Operation, ...]:
    return (
        Operation(
            "GET",
            "/usage",
            "usage:read",
            "What was used.",
            _usage,
            UsageReport,
            query=_ASKED,
            long=True,
        ),
        Operation(
            "GET",
            "/costs",
            "costs:read",
            "What was charged.",
            _costs,
            CostReport,
            query=_ASKED,
            long=True,
        ),
    )
