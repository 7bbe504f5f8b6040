"""Rows of responses in the line, and of what their streams have said."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Row,
    and_,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from portico.db.tables import hold, instance, response, response_event, usage_record
from portico.db.transaction import Transaction, places
from portico.keeping import service as keeping
from portico.pricing.owed import PAID
from portico.resources.background.model import Task, Wanted
from portico.resources.background.rules import events_in, nothing_kept

_OPEN = ("queued", "in_progress")
_is_open = literal_column("response.state IN ('queued', 'in_progress')", Boolean)
"""As the index says it."""
_c = response.c
_TASK_NAMES = tuple(Task.__dataclass_fields__)
_TASK = [_c[name] for name in _TASK_NAMES]
_TAKE = (
    "UPDATE response SET state = 'in_progress', request_id = ?, owner = ?, attempts = attempts + 1"
    f" WHERE id = ? AND state = 'queued' RETURNING {', '.join(_TASK_NAMES)}"
)
_paid = exists().where(
    and_(
        usage_record.c.id == _c.request_id,
        usage_record.c.outcome.in_(PAID - {"killed"}),  # what was in line again is not paid
    )
)
_QUEUED = "r.state IN ('queued', 'in_progress') AND r.state = 'queued'"
_TURN = f"""
WITH RECURSIVE
  waiting(project_id) AS (
    SELECT MIN(r.project_id) FROM response r WHERE {_QUEUED}
    UNION ALL
    SELECT (SELECT MIN(r.project_id) FROM response r
            WHERE {_QUEUED} AND r.project_id > w.project_id)
    FROM waiting w WHERE w.project_id IS NOT NULL),
  next(project_id, id, place, count) AS (
    SELECT w.project_id,
           (SELECT MIN(r.id) FROM response r
            WHERE {_QUEUED} AND r.project_id = w.project_id AND {{awake}}),
           (SELECT COUNT(*) FROM response r WHERE r.state IN ('queued', 'in_progress')
            AND r.state = 'in_progress' AND r.project_id = w.project_id),
           1
    FROM waiting w WHERE w.project_id IS NOT NULL
    UNION ALL
    SELECT n.project_id,
           (SELECT MIN(r.id) FROM response r
            WHERE {_QUEUED} AND r.project_id = n.project_id AND r.id > n.id AND {{awake}}),
           n.place + 1,
           n.count + 1
    FROM next n WHERE n.id IS NOT NULL AND n.count < ?)
SELECT id FROM next WHERE id IS NOT NULL ORDER BY place, id LIMIT ?
"""
"""What makes the index partial is said in its words each time: SQLite takes it for nothing less."""


def open_count(connection: Connection, project_id: str) -> int:
    query = select(func.count()).where(_is_open, _c.project_id == project_id)
    return int(connection.execute(query).scalar_one())


def put(connection: Connection, wanted: Wanted) -> None:
    """Raises: Refusal: zero_retention, where its project has turned to it since."""
    kept = wanted.response
    if not keeping.keeps(Transaction(connection), kept.project_id):
        raise nothing_kept()
    names = ("id", "organisation_id", "project_id", "key_id", "credential_id", "model", "input")
    values = {name: getattr(kept, name) for name in (*names, "previous_id", "conversation_id")}
    values |= {"body": kept.body, "created_at_ms": kept.created_at_ms, "state": "queued"}
    values |= {"stream": int(kept.stream), "background": 1, "attempts": 0}
    connection.execute(insert(response).values(**values, request=wanted.request))
    if wanted.events:
        first = {"response_id": kept.id, "organisation_id": kept.organisation_id, "sequence": 0}
        connection.execute(insert(response_event).values(**first, events=wanted.events))


def append(connection: Connection, task: Task, sequence: int, events: bytes) -> None:
    """sequence: of the first of `events`.  Nothing, where the response was deleted meanwhile, or was
    given to another, who tells it himself."""
    Transaction(connection).run(
        "INSERT INTO response_event (response_id, organisation_id, sequence, events)"
        " SELECT id, organisation_id, ?, ? FROM response WHERE id = ? AND organisation_id = ?"
        " AND (request_id = ? OR state NOT IN ('queued', 'in_progress'))"
        " ON CONFLICT (response_id, sequence) DO NOTHING",
        (sequence, events, task.id, task.organisation_id, task.request_id),
    )


def turn(connection: Connection, most: int, asleep: Collection[str]) -> list[str]:
    """Whose turn it is: every project has as many under way as any other, before one has more; then
    who came first.  asleep: not yet.

    From one project to the next, and from each one's first to its next, by an index: it takes as long
    however many wait.  A read, which keeps no writer."""
    asleep = tuple(asleep) or ("",)
    sql = _TURN.format(awake=f"r.id NOT IN {places(len(asleep))}")
    found = Transaction(connection).rows(sql, (*asleep, *asleep, most, most))
    return [row[0] for row in found]


def take(
    connection: Connection, owner: str, ids: Sequence[str], draw: Callable[[], str]
) -> list[tuple[Task, list[bytes]]]:
    """Those of them that still wait, and what their streams have said.

    draw: gives an id for the request that is to work on one.
    """
    transaction, tasks = Transaction(connection), []
    for response_id in ids:
        for row in transaction.rows(_TAKE, (draw(), owner, response_id)):
            facts = dict(zip(_TASK_NAMES, row, strict=True))
            task = Task(**{**facts, "stream": bool(facts["stream"])})
            said = events(connection, task.organisation_id, task.id, 0) if task.stream else []
            tasks.append((task, said))
    return tasks


def _task_of(row: Row[Any]) -> Task:
    facts: dict[str, Any] = dict(row._mapping)
    facts["stream"] = bool(facts["stream"])
    return Task(**facts)


def events(
    connection: Connection, organisation_id: str, response_id: str, start: int
) -> list[bytes]:
    """What its stream has said, from the event with the number `start` on."""
    c = response_event.c
    mine = (c.response_id == response_id, c.organisation_id == organisation_id)
    first = select(func.max(c.sequence)).where(*mine, c.sequence <= start).scalar_subquery()
    query = select(c.sequence, c.events).where(*mine, c.sequence >= func.coalesce(first, 0))
    found: list[bytes] = []
    for sequence, data in connection.execute(query.order_by(c.sequence)):
        for number, event in enumerate(events_in(data), sequence):
            if number >= start:
                found.append(event)
    return found


def requeue(connection: Connection, task: Task, *, begun: bool) -> bool:
    """It was not answered, and nothing of it was charged: it is in line again.  begun: this try
    counts as one."""
    attempts = task.attempts if begun else task.attempts - 1
    changed = connection.execute(
        update(response)
        .where(*_is(task), ~_paid)
        .values(state="queued", request_id=None, owner=None, attempts=attempts)
    )
    return changed.rowcount == 1


def recover(connection: Connection, owner: str, working: Collection[str]) -> int:
    """What dead processes were working on is in line again, and what `owner` let go of without a
    word; how many.  Not before the sweeper has seen to what was set aside for them: it looks at who
    works on what.

    working: requests of `owner` that are under way."""
    money = exists().where(and_(hold.c.id == _c.request_id, hold.c.state == "open"))
    changed = connection.execute(
        update(response)
        .where(*_let_go_of(owner, working), ~money, ~_paid)
        .values(state="queued", request_id=None, owner=None)
    )
    return changed.rowcount


def lost(connection: Connection, owner: str, working: Collection[str]) -> list[Task]:
    """The same, of what was answered and paid, and the answer was not kept: nobody makes it again."""
    query = select(*_TASK).where(*_let_go_of(owner, working), _paid)
    return [_task_of(row) for row in connection.execute(query)]


def _let_go_of(owner: str, working: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    alive = exists().where(instance.c.id == _c.owner)
    ours = and_(_c.owner == owner, _c.request_id.not_in(working))
    return (_is_open, _c.state == "in_progress", or_(~alive, ours))


def still(connection: Connection, request_ids: Collection[str]) -> set[str]:
    """Which of these requests still have something to answer."""
    query = select(_c.request_id).where(_c.request_id.in_(request_ids), _c.state == "in_progress")
    return set(connection.execute(query).scalars())


def end(
    connection: Connection,
    task: Task,
    state: str,
    body: bytes,
    times: tuple[int, int | None],
) -> bool:
    """Without an answer.  times: now, and when it expires.  False where it has ended, or works on
    as another request."""
    changed = connection.execute(
        update(response).where(*_is(task)).values(_ending(state, body, times))
    )
    return changed.rowcount == 1


def _is(task: Task) -> tuple[ColumnElement[bool], ...]:
    return (
        _c.id == task.id,
        _c.organisation_id == task.organisation_id,
        _c.request_id == task.request_id,
        _c.state == "in_progress",
    )


def explain(connection: Connection, task: Task, body: bytes) -> None:
    """Why it failed: known a moment after it was written that it did."""
    connection.execute(
        update(response)
        .where(
            _c.id == task.id,
            _c.organisation_id == task.organisation_id,
            _c.state == "failed",
        )
        .values(body=body)
    )


def cancel(
    connection: Connection,
    project_id: str,
    response_id: str,
    body: bytes,
    times: tuple[int, int | None],
) -> bool:
    """Whether it waits or is worked on.  False where it has ended."""
    changed = connection.execute(
        update(response)
        .where(_c.id == response_id, _c.project_id == project_id, _c.state.in_(_OPEN))
        .values(_ending("cancelled", body, times))
    )
    return changed.rowcount == 1


def _ending(state: str, body: bytes, times: tuple[int, int | None]) -> dict[str, Any]:
    now_ms, expires_at_ms = times
    return {
        "state": state,
        "body": body,
        "request": None,
        "ended_at_ms": now_ms,
        "expires_at_ms": expires_at_ms,
        "request_id": None,
        "owner": None,
    }
