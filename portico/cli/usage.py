"""`portico usage`: what was used, by whom, of what."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.db.database import Database
from portico.errors import Refusal
from portico.metering import reports
from portico.metering.model import GroupBy, Page, Question, Totals, UsageRecord


def usage(
    *,
    by: Annotated[GroupBy, Parameter(help="Group by this.")] = "model",
    since: Annotated[
        str | None, Parameter(help="From this day (2026-11-01) or time ago (24h, 7d).")
    ] = None,
    until: Annotated[str | None, Parameter(help="Up to this day, not included.")] = None,
    request: Annotated[
        str | None, Parameter(help="Only what this request's answer took, all its rounds.")
    ] = None,
    list: Annotated[
        int | None, Parameter(help="Instead, the newest N requests one by one.")
    ] = None,
    data_dir: Annotated[str | None, Parameter(help="Folder of the server's data.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print JSON.")] = False,
) -> None:
    """Tokens of every request that has ended, from the durable records."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    question = Question(
        None, _moment_ms(since, "--since"), _moment_ms(until, "--until"), None, request
    )
    if list is not None:
        _records(database, question, list, json=json)
        return
    total, groups = database.read(
        lambda c: (reports.totals(c, question), reports.groups(c, question, by))
    )
    if json:
        shown = {name: _figures(found) for name, found in groups.items()}
        say_json({"total": _figures(total), "by": by, "groups": shown})
        return
    rows = [(name, *_row(found)) for name, found in groups.items()]
    say_table(
        (by, "requests", "input", "cached", "output", "reasoning", "estimated"),
        [*rows, ("total", *_row(total))],
        numbers=6,
    )


def _records(database: Database, question: Question, wanted: int, *, json: bool) -> None:
    records: list[UsageRecord] = []
    cursor: str | None = None
    while len(records) < wanted:
        size = min(wanted - len(records), reports.RECORDS_MAX)
        page = _page(database, question, size, cursor)
        records += page.records
        cursor = page.next_cursor
        if cursor is None:
            break
    if json:
        say_json({"records": [_record(record) for record in records]})
        return
    say_table(
        ("request", "started", "model", "outcome", "input", "output", "ms"),
        [
            (
                record.id,
                f"{datetime.fromtimestamp(record.started_at_ms / 1000, UTC):%m-%d %H:%M:%S}",
                record.model,
                record.outcome,
                record.meters.input_tokens,
                record.meters.output_tokens,
                record.duration_ms,
            )
            for record in records
        ],
        numbers=3,
    )
    if not records:
        console.print("No request has ended yet.")


def _page(database: Database, question: Question, size: int, cursor: str | None) -> Page:
    try:
        return database.read(
            lambda connection: reports.recent(connection, question, limit=size, cursor=cursor)
        )
    except Refusal as refusal:
        stop(Exit.USAGE, refusal.message)


def _row(totals: Totals) -> tuple[int, ...]:
    meters = totals.meters
    return (
        totals.requests,
        meters.input_tokens,
        meters.input_cache_read,
        meters.output_tokens,
        meters.output_reasoning,
        totals.estimated,
    )


def _figures(totals: Totals) -> dict[str, Any]:
    return {
        "requests": totals.requests,
        "input_tokens": totals.meters.input_tokens,
        "output_tokens": totals.meters.output_tokens,
        "estimated_requests": totals.estimated,
        "meters": msgspec.structs.asdict(totals.meters),
    }


def _record(record: UsageRecord) -> dict[str, Any]:
    return {
        **asdict(record),
        "input_tokens": record.meters.input_tokens,
        "output_tokens": record.meters.output_tokens,
        "meters": msgspec.structs.asdict(record.meters),
    }


def _moment_ms(text: str | None, flag: str) -> int | None:
    """Milliseconds since the epoch of a day (UTC) or of a time ago."""
    if text is None:
        return None
    unit = {"h": "hours", "d": "days"}.get(text[-1:])
    if unit and text[:-1].isdigit():
        moment = datetime.now(UTC) - timedelta(**{unit: int(text[:-1])})
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            stop(Exit.USAGE, f"{flag} is {text!r}; write a day (2026-11-01) or 24h, 7d.")
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
