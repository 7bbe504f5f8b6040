"""Usage records: how they are written (by the writer's thread) and read (by readers)."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, Row, Select, func, literal_column, or_, select, update

from portico.canon.usage import Meters
from portico.db.tables import usage_record
from portico.db.transaction import Row as TableRow
from portico.db.transaction import Transaction
from portico.metering.model import GroupBy, Question, Totals, UsageRecord

_RUNNING = usage_record.c.outcome == literal_column("'running'")
"""In words, not as a parameter: only so does SQLite use the index of running rows."""
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_OUTCOME_AT = list(usage_record.columns.keys()).index("outcome")
_METERS = [usage_record.c[name] for name in Meters.__struct_fields__]


_REPLACE = (
    "ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{c.name} = excluded.{c.name}" for c in usage_record.columns if c.name != "id")
    # A row that has ended stays as it is, whoever comes again and however late.
    + " WHERE usage_record.outcome = 'running'"
)


class Recordable(Protocol):
    def row(self) -> TableRow:
        """As it is now, in the table's order."""
        ...


class UsageLane:
    """Records, as they stand when they are written: see `db.lane.Lane`."""

    name = "usage"

    def write(self, transaction: Transaction, items: Sequence[Recordable]) -> Sequence[None]:
        self.restore(transaction, [record.row() for record in items])
        return [None] * len(items)

    def keep(self, item: Recordable) -> TableRow | None:
        row = item.row()
        return row if _has_ended(row) else None

    def restore(self, transaction: Transaction, rows: Sequence[TableRow]) -> None:
        transaction.insert(usage_record, _latest(rows), _REPLACE)


USAGE = UsageLane()


def _latest(rows: Sequence[TableRow]) -> list[TableRow]:
    """One row per record: the latest checkpoint, or the first that has ended.  PostgreSQL does
    not take a row twice in one statement."""
    latest: dict[str, TableRow] = {}
    for row in rows:
        before = latest.get(row[0])
        if before is None or not _has_ended(before):
            latest[row[0]] = row
    return list(latest.values())


def _has_ended(row: TableRow) -> bool:
    return bool(row[_OUTCOME_AT] != "running")


def close_abandoned(connection: Connection, started_before_ms: int | None = None) -> int:
    """Rows that a dead process left running, closed at their last checkpoint.  How many."""
    query = update(usage_record).where(_RUNNING)
    if started_before_ms is not None:
        query = query.where(usage_record.c.started_at_ms < started_before_ms)
    return connection.execute(query.values(outcome="killed", estimated=1)).rowcount


def totals(connection: Connection, question: Question) -> Totals:
    return _totals(connection.execute(_within(select(*_sums()), question)).one())


def groups(connection: Connection, question: Question, by: GroupBy) -> list[tuple[str, Totals]]:
    """(key, totals), in the order of the key: a name, or the start of the day or hour in
    milliseconds since the epoch."""
    key = {
        "model": usage_record.c.model,
        "key": usage_record.c.key_id,
        "day": usage_record.c.started_at_ms // _DAY_MS * _DAY_MS,
        "hour": usage_record.c.started_at_ms // _HOUR_MS * _HOUR_MS,
    }[by]
    found = connection.execute(
        _within(select(*_sums(), key.label("key")), question).group_by("key").order_by("key")
    )
    return [(str(row.key), _totals(row)) for row in found]


def recent(
    connection: Connection, question: Question, limit: int, before: tuple[int, str] | None
) -> list[UsageRecord]:
    """Newest first, those still running included; `before` is (started_at_ms, id) of the last
    one seen."""
    c = usage_record.c
    query = _scoped(select(usage_record), question)
    if before is not None:
        started_at_ms, last_id = before
        query = query.where(
            or_(
                c.started_at_ms < started_at_ms,
                (c.started_at_ms == started_at_ms) & (c.id < last_id),
            )
        )
    query = query.order_by(c.started_at_ms.desc(), c.id.desc()).limit(limit)
    return [_record(row) for row in connection.execute(query)]


def _within(query: Select[Any], question: Question) -> Select[Any]:
    """Ended requests only: what still runs has no figures to add up yet."""
    return _scoped(query, question).where(usage_record.c.outcome != "running")


def _scoped(query: Select[Any], question: Question) -> Select[Any]:
    c = usage_record.c
    if question.project_id is not None:
        query = query.where(c.project_id == question.project_id)
    if question.since_ms is not None:
        query = query.where(c.started_at_ms >= question.since_ms)
    if question.until_ms is not None:
        query = query.where(c.started_at_ms < question.until_ms)
    return query


def _sums() -> list[Any]:
    return [
        func.count().label("requests"),
        func.coalesce(func.sum(usage_record.c.estimated), 0).label("estimated"),
        *[func.coalesce(func.sum(meter), 0).label(meter.name) for meter in _METERS],
    ]


def _totals(row: Row[Any]) -> Totals:
    return Totals(row.requests, row.estimated, _meters(row))


def _meters(row: Row[Any]) -> Meters:
    return Meters(*[int(getattr(row, meter.name)) for meter in _METERS])


def _record(row: Row[Any]) -> UsageRecord:
    given = row._asdict()
    meters = {name: given.pop(name) for name in Meters.__struct_fields__}
    given["stream"] = bool(given["stream"])
    given["estimated"] = bool(given["estimated"])
    return UsageRecord(meters=msgspec.convert(meters, Meters), **given)
