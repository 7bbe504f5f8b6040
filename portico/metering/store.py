"""Usage records: how they are written (by the writer's thread) and read (by readers)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, Row, Select, func, literal_column, or_, select, update

from portico.canon.usage import NOTHING, Meters
from portico.db.tables import usage_record
from portico.db.transaction import Row as TableRow
from portico.db.transaction import Transaction, places
from portico.keeping import service as keeping
from portico.keeping.rules import spooled
from portico.kit.clock import Clock
from portico.ledger import ended
from portico.ledger import service as ledger
from portico.ledger.model import Settled, Settlement
from portico.metering.model import Closing, GroupBy, Question, Totals, UsageRecord
from portico.metering.rules import ids_of_rounds
from portico.replay import service as replay

_RUNNING = usage_record.c.outcome == literal_column("'running'")
"""In words, not as a parameter: only so does SQLite use the index of running rows."""
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_OUTCOME_AT = list(usage_record.columns.keys()).index("outcome")
_COLUMNS = len(usage_record.columns)
_closing = msgspec.json.Decoder(Closing)
_settlement = msgspec.json.Decoder(Settlement)
_METERS = [usage_record.c[name] for name in Meters.__struct_fields__]


_REPLACE = (
    "ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{c.name} = excluded.{c.name}" for c in usage_record.columns if c.name != "id")
    # A row that has ended stays as it is, whoever comes again and however late.
    + " WHERE usage_record.outcome = 'running'"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a record says of a request that nobody ended."""

    project_id: str
    key_id: str
    meters: Meters

    @property
    def started(self) -> bool:
        return self.meters != NOTHING


class Recordable(Protocol):
    @property
    def closing(self) -> Closing | None:
        """What goes with its end; None while it runs."""
        ...

    def row(self) -> TableRow:
        """As it is now, in the table's order."""
        ...


class UsageLane:
    """Records, as they stand when they are written, and the holds and idempotency keys of those
    that have ended: see `db.lane.Lane`.  One commit has all, so none is seen without the others."""

    name = "usage"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def write(
        self, transaction: Transaction, items: Sequence[Recordable]
    ) -> Sequence[Settled | None]:
        rows = [each.row() for each in items]
        # Only where the row says that it ended: a request may end between the two looks, and a kill
        # before the next commit would leave the one without the other.
        closings = [
            each.closing if _has_ended(row) else None for each, row in zip(items, rows, strict=True)
        ]
        settled = self._close(transaction, [each for each in closings if each is not None])
        transaction.insert(usage_record, _latest(rows), _REPLACE)
        return [
            settled.get(each.settlement.request_id)
            if each is not None and each.settlement is not None
            else None
            for each in closings
        ]

    def keep(self, item: Recordable) -> TableRow | None:
        """The row, and behind it what goes with it, as JSON, or "".  Not the answer under a key:
        the spool is for what was charged, and whoever asks again is told so."""
        row = item.row()
        if not _has_ended(row):
            return None
        closing = item.closing
        if closing is not None:
            claim = closing.claim and replace(closing.claim, answer=None)
            closing = Closing(closing.settlement, claim, spooled(closing.kept))
        return (*row, "" if closing is None else _said(closing))

    def bare(self, row: TableRow) -> TableRow:
        *figures, said = row
        if len(row) <= _COLUMNS or not said:
            return row
        closing = _closing_of(said)
        return (*figures, _said(Closing(closing.settlement, closing.claim)))

    def restore(self, transaction: Transaction, rows: Sequence[TableRow]) -> None:
        kept = [row[_COLUMNS:] for row in rows]
        self._close(transaction, [_closing_of(each[0]) for each in kept if each and each[0]])
        transaction.insert(usage_record, _latest([row[:_COLUMNS] for row in rows]), _REPLACE)

    def _close(self, transaction: Transaction, closings: Sequence[Closing]) -> dict[str, Settled]:
        kept = [each.kept for each in closings if each.kept is not None]
        disowned = keeping.disowned(transaction, kept) if kept else set()
        settlements = [
            each.settlement
            if each.settlement.request_id not in disowned
            else Settlement(each.settlement.request_id, "void", None)
            for each in closings
            if each.settlement is not None
        ]
        settled = self._settle(transaction, settlements)
        claims = [each.claim for each in closings if each.claim is not None]
        if claims:
            charged_nano = {each: settled[each].charged_nano for each in settled}
            replay.finish(transaction, claims, charged_nano, self._clock.wall_ms())
        if kept:
            keeping.write(transaction, kept, self._clock.wall_ms())
        return settled

    def _settle(
        self, transaction: Transaction, settlements: Sequence[Settlement]
    ) -> dict[str, Settled]:
        if not settlements:
            return {}
        answers = ledger.settle(transaction, settlements, self._clock.wall_ms())
        settled = {
            each.request_id: answer
            for each, answer in zip(settlements, answers, strict=True)
            if answer is not None
        }
        # A checkpoint that was still queued when its request ended has settled it, in a commit of
        # its own: whoever waits for the end must be told what it came to all the same.
        before = [each.request_id for each in settlements if each.request_id not in settled]
        return settled | ended.outcomes(transaction, before) if before else settled


def _said(closing: Closing) -> str:
    return msgspec.json.encode(closing).decode()


def _closing_of(kept: str) -> Closing:
    try:
        return _closing.decode(kept)
    except msgspec.ValidationError:  # of the version before keys: the settlement alone
        return Closing(_settlement.decode(kept), None)


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


def close_swept(transaction: Transaction, ids: Sequence[str]) -> None:
    """Close what still runs of these at its last checkpoint, which is what they were charged for."""
    transaction.run(
        "UPDATE usage_record SET outcome = 'killed', estimated = 1 "
        f"WHERE id IN {places(len(ids))} AND outcome = 'running'",
        ids,
    )


def checkpoints(transaction: Transaction, ids: Sequence[str]) -> dict[str, Checkpoint]:
    """By id, as the records stand."""
    names = ", ".join(Meters.__struct_fields__)
    found = transaction.rows(
        f"SELECT id, project_id, key_id, {names} FROM usage_record WHERE id IN {places(len(ids))}",
        ids,
    )
    return {row[0]: Checkpoint(row[1], row[2], Meters(*row[3:])) for row in found}


def totals(connection: Connection, question: Question) -> Totals:
    return _totals(connection.execute(_within(select(*_sums()), question)).one())


def groups(connection: Connection, question: Question, by: GroupBy) -> list[tuple[str, Totals]]:
    """(key, totals), in the order of the key: a name, or the start of the day or hour in
    milliseconds since the epoch."""
    key = {
        "model": usage_record.c.model,
        "key": usage_record.c.key_id,
        "day": usage_record.c.started_at_ms // _DAY_MS * _DAY_MS,
        "request": usage_record.c.id,
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
    if question.organisation_id is not None:
        query = query.where(c.organisation_id == question.organisation_id)
    if question.request_id is not None:
        query = query.where(c.id.in_(ids_of_rounds(question.request_id)))
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
