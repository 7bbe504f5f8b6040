"""Rows of batches and of their lines.  What a line was answered is written by `keeping`."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from portico.canon.usage import Meters
from portico.db.tables import batch, batch_line, hold, instance, project, usage_record
from portico.resources.batches.model import (
    WHOLE,
    Batch,
    Counts,
    Line,
    LineState,
    NewLine,
    State,
    Used,
    Work,
)
from portico.resources.pages import Window, paged

SHOWN = [batch.c[name] for name in Batch.__dataclass_fields__]
_b, _l = batch.c, batch_line.c
_TEXTS = ("metadata", "errors", "usage")
_METERS = [usage_record.c[each.name] for each in msgspec.structs.fields(Meters)]
_OPEN = ("waiting", "running")
_DAY_MS = 86_400_000


def add(connection: Connection, new: Batch, owner: str | None = None) -> None:
    """owner: who works on it already; None: whoever comes."""
    values = {name: getattr(new, name) for name in Batch.__dataclass_fields__}
    for name in _TEXTS:
        if values[name] is not None:
            values[name] = msgspec.json.encode(values[name]).decode()
    connection.execute(insert(batch).values(**values, owner=owner))


def add_lines(connection: Connection, new: Batch, lines: Sequence[NewLine]) -> None:
    if lines:
        connection.execute(
            insert(batch_line),
            [
                {
                    "batch_id": new.id,
                    "number": line.number,
                    "organisation_id": new.organisation_id,
                    "custom_id": line.custom_id,
                    "state": "waiting",
                    "request": line.request,
                    "attempts": 0,
                }
                for line in lines
            ],
        )


def open_count(connection: Connection, project_id: str) -> int:
    query = select(func.count()).where(_b.project_id == project_id, _b.ended_at_ms.is_(None))
    return int(connection.execute(query).scalar_one())


def one(connection: Connection, project_id: str, batch_id: str) -> Batch | None:
    query = select(*SHOWN).where(_b.id == batch_id, _b.project_id == project_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else batch_of(row)


def page(
    connection: Connection, project_id: str, kind: str, window: Window, now_ms: int
) -> list[Batch]:
    query = select(*SHOWN).where(_b.project_id == project_id, _b.kind == kind)
    query = query.where(_b.expires_at_ms.is_(None) | (_b.expires_at_ms > now_ms))
    if kind == "anthropic":
        query = query.where(_b.state != "validating")  # see `Batch.is_coming`
    return [batch_of(row) for row in connection.execute(paged(query, _b.id, window))]


def counts(connection: Connection, organisation_id: str, ids: Collection[str]) -> dict[str, Counts]:
    """By batch."""
    query = (
        select(_l.batch_id, _l.state, func.count())
        .where(_l.batch_id.in_(ids), _l.organisation_id == organisation_id)
        .group_by(_l.batch_id, _l.state)
    )
    found: dict[str, dict[str, int]] = {each: {} for each in ids}
    for batch_id, state, count in connection.execute(query):
        found[batch_id][state] = count
    return {each: Counts(**of) for each, of in found.items()}


def lines(
    connection: Connection, organisation_id: str, batch_id: str, after: int, most: int
) -> list[Line]:
    """Behind the one numbered `after`, in their order."""
    query = (
        select(*(_l[name] for name in Line.__dataclass_fields__))
        .where(_l.batch_id == batch_id, _l.organisation_id == organisation_id, _l.number > after)
        .order_by(_l.number)
        .limit(most)
    )
    return [Line(*row) for row in connection.execute(query)]


def change(
    connection: Connection, of: Batch, states: Sequence[State], values: dict[str, Any]
) -> bool:
    """states: those it may be in for that.  False where it is in another."""
    changed = connection.execute(
        update(batch)
        .where(_b.id == of.id, _b.project_id == of.project_id, _b.state.in_(states))
        .values(**values)
    )
    return changed.rowcount == 1


def resolve_waiting(connection: Connection, of: Batch, state: LineState, most: int) -> int:
    """Lines that have not begun never do: so many of them.  How many that were."""
    theirs = (_l.batch_id == of.id, _l.organisation_id == of.organisation_id)
    some = select(_l.number).where(*theirs, _l.state == "waiting").limit(most)
    changed = connection.execute(
        update(batch_line)
        .where(*theirs, _l.state == "waiting", _l.number.in_(some))
        .values(state=state, request=None)
    )
    return changed.rowcount


def drop_answers(connection: Connection, of: Batch, after: int, most: int) -> None:
    """Of the lines behind the one numbered `after`, so many of them; they stand in files now."""
    connection.execute(
        update(batch_line)
        .where(
            _l.batch_id == of.id,
            _l.organisation_id == of.organisation_id,
            _l.number > after,
            _l.number <= after + most,
        )
        .values(answer=None, request=None)
    )


def last_number(connection: Connection, of: Batch) -> int:
    query = select(func.max(_l.number)).where(
        _l.batch_id == of.id, _l.organisation_id == of.organisation_id
    )
    return connection.execute(query).scalar_one() or 0


def content_ms_max(connection: Connection, of: Batch) -> int | None:
    """As `Caller.content_ms_max`, as its project says now."""
    p = project.c
    row = connection.execute(
        select(p.retention, p.retention_days).where(
            p.id == of.project_id, p.organisation_id == of.organisation_id
        )
    ).one_or_none()
    if row is None:
        return None
    if row.retention == "zero":
        return 0
    return row.retention_days * _DAY_MS if row.retention == "days" else None


def drop_lines(connection: Connection, of: Batch, most: int) -> int:
    """So many of them.  How many that were."""
    theirs = (_l.batch_id == of.id, _l.organisation_id == of.organisation_id)
    some = select(_l.number).where(*theirs).limit(most)
    return connection.execute(delete(batch_line).where(*theirs, _l.number.in_(some))).rowcount


def begin_end(connection: Connection, of: Batch, now_ms: int) -> bool:
    """Where every line of it has ended, whoever made it: nothing is lost that is under way elsewhere."""
    open_lines = (
        _l.batch_id == of.id,
        _l.organisation_id == of.organisation_id,
        _l.state.in_(_OPEN),
    )
    all_lines = select(func.count()).where(
        _l.batch_id == of.id, _l.organisation_id == of.organisation_id
    )
    changed = connection.execute(
        update(batch)
        .where(
            _b.id == of.id,
            _b.project_id == of.project_id,
            _b.state.in_(("in_progress", "cancelling")),
            ~exists().where(*open_lines),
        )
        .values(state="finalizing", finalizing_at_ms=now_ms, lines=all_lines.scalar_subquery())
    )
    return changed.rowcount == 1


def name_file(connection: Connection, of: Batch, column: str, file_id: str) -> bool:
    """Of its answers.  False where it has one already: somebody else was faster."""
    changed = connection.execute(
        update(batch)
        .where(
            _b.id == of.id,
            _b.project_id == of.project_id,
            _b.state == "finalizing",
            _b[column].is_(None),
        )
        .values({column: file_id})
    )
    return changed.rowcount == 1


def used(connection: Connection, of: Batch, after: int, most: int) -> Used:
    """By the lines behind the one numbered `after`, so many of them."""
    query = (
        select(usage_record.c.model, *(func.sum(meter) for meter in _METERS))
        .select_from(batch_line.join(usage_record, usage_record.c.id == _l.request_id))
        .where(
            _l.batch_id == of.id,
            _l.organisation_id == of.organisation_id,
            usage_record.c.organisation_id == of.organisation_id,
            _l.number > after,
            _l.number <= after + most,
        )
        .group_by(usage_record.c.model)
    )
    found = Used()
    for model, *sums in connection.execute(query):
        found = found.plus(Used(Meters(*map(int, sums)), frozenset((model,))))
    return found


def words(told: list[dict[str, Any]] | dict[str, Any]) -> str:
    """As the column holds them."""
    return msgspec.json.encode(told).decode()


# -- for those who work on them ----------------------------------------------------------------


def unclaimed(connection: Connection, owner: str, most: int) -> list[str]:
    """Those that have not ended and that nobody works on; `owner` is who asks.  A read, which costs
    the writer nothing."""
    query = select(_b.id).where(*_unclaimed(owner)).order_by(_b.id).limit(most)
    return list(connection.execute(query).scalars())


def claim(connection: Connection, owner: str, ids: Sequence[str]) -> None:
    """Those of them that still nobody works on; they are `owner`'s now."""
    connection.execute(update(batch).where(_b.id.in_(ids), *_unclaimed(owner)).values(owner=owner))


def _unclaimed(owner: str) -> tuple[ColumnElement[bool], ...]:
    alive = exists().where(instance.c.id == _b.owner)
    return (_b.ended_at_ms.is_(None), _b.owner.is_(None) | (_b.owner != owner) & ~alive)


def owned(connection: Connection, owner: str) -> list[Batch]:
    """What it works on."""
    query = select(*SHOWN).where(_b.ended_at_ms.is_(None), _b.owner == owner).order_by(_b.id)
    return [batch_of(row) for row in connection.execute(query)]


def let_go(connection: Connection, owner: str) -> None:
    """In good order."""
    connection.execute(
        update(batch).where(_b.owner == owner, _b.ended_at_ms.is_(None)).values(owner=None)
    )


def recover(connection: Connection, of: Batch, working: Collection[str]) -> tuple[int, int]:
    """Lines that run and that nobody works on wait again; how many, and how many had been answered
    without the answer being kept.  What money is set aside for is left to the sweeper, which gives
    it back first.

    working: requests of this process that are under way."""
    money = exists().where(and_(hold.c.id == _l.request_id, hold.c.state == "open"))
    answered = exists().where(
        and_(usage_record.c.id == _l.request_id, usage_record.c.outcome.in_(WHOLE))
    )
    running = (
        _l.batch_id == of.id,
        _l.organisation_id == of.organisation_id,
        _l.state == "running",
        _l.request_id.not_in(working),
    )
    lost = connection.execute(
        update(batch_line).where(*running, answered).values(state="errored", request=None)
    )
    again = connection.execute(
        update(batch_line).where(*running, ~money).values(state="waiting", request_id=None)
    )
    return again.rowcount, lost.rowcount


def has_ended(connection: Connection, work: Work) -> bool:
    """Of a line whose request has, with an answer: is that in the database?  One that was too large
    for the spool never will be."""
    answered = exists().where(
        and_(usage_record.c.id == _l.request_id, usage_record.c.outcome.in_(WHOLE))
    )
    connection.execute(
        update(batch_line).where(*_is(work), answered).values(state="errored", request=None)
    )
    still = select(_l.number).where(*_is(work))
    return connection.execute(still).one_or_none() is None


def waiting(connection: Connection, of: Batch, after: int, most: int) -> list[tuple[int, bytes]]:
    """(number, request) of lines that wait, behind `after`."""
    query = (
        select(_l.number, _l.request)
        .where(
            _l.batch_id == of.id,
            _l.organisation_id == of.organisation_id,
            _l.state == "waiting",
            _l.number > after,
        )
        .order_by(_l.number)
        .limit(most)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def take(
    connection: Connection,
    of: Batch,
    owner: str,
    numbers: Sequence[int],
    draw: Callable[[], str],
) -> list[Work]:
    """Those of them that still wait are running now; none where the batch is no longer `owner`'s, or
    was cancelled.  draw: gives an id for the request."""
    held = select(_b.id).where(
        _b.id == of.id,
        _b.project_id == of.project_id,
        _b.owner == owner,
        _b.state == "in_progress",
    )
    # Nobody takes it over, or cancels it, between this look and the commit.
    if connection.execute(held.with_for_update(read=True)).one_or_none() is None:
        return []
    taken = []
    for number in numbers:
        request_id = draw()
        row = connection.execute(
            update(batch_line)
            .where(
                _l.batch_id == of.id,
                _l.organisation_id == of.organisation_id,
                _l.number == number,
                _l.state == "waiting",
            )
            .values(state="running", request_id=request_id, attempts=_l.attempts + 1)
            .returning(_l.request, _l.attempts)
        ).one_or_none()
        if row is not None:
            taken.append(
                Work(
                    of.id,
                    number,
                    of.organisation_id,
                    of.project_id,
                    of.key_id,
                    of.kind,
                    of.endpoint,
                    row[0],
                    request_id,
                    row[1],
                )
            )
    return taken


def put_back(connection: Connection, work: Work, *, begun: bool) -> None:
    """It waits again.  begun: an attempt was made of it."""
    values: dict[str, Any] = {"state": "waiting", "request_id": None}
    if not begun:
        values["attempts"] = _l.attempts - 1
    connection.execute(update(batch_line).where(*_is(work)).values(**values))


def answer(connection: Connection, work: Work, status: int, told: bytes) -> bool:
    """Where no record is written that it could go with: it was refused, or ran no model.  False
    where it was answered."""
    state = "succeeded" if status < 400 else "errored"
    changed = connection.execute(
        update(batch_line)
        .where(*_is(work))
        .values(state=state, status=status, answer=told, request=None)
    )
    return changed.rowcount == 1


def _is(work: Work) -> tuple[Any, ...]:
    return (
        _l.batch_id == work.batch_id,
        _l.organisation_id == work.organisation_id,
        _l.number == work.number,
        _l.state == "running",
        _l.request_id == work.request_id,
    )


def batch_of(row: Row[Any]) -> Batch:
    facts = dict(row._mapping)
    for name in _TEXTS:
        if facts[name] is not None:
            facts[name] = msgspec.json.decode(facts[name])
    return Batch(**facts)
