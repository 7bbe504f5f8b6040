"""How much a project keeps in rows: a piece at a time, so that nobody waits for the whole."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, case, func, select

from portico.db.tables import (
    batch,
    batch_line,
    conversation,
    conversation_item,
    response,
    response_event,
)
from portico.keeping.rules import ROW_BYTES

WEIGHED = {response: 1_000, conversation: 20, batch: 5}
"""What a project keeps in rows, with all that stands below each, and how many are weighed in one
read.  Answers under keys have a limit of their own, and files have."""
_FULLEST = 3


def weigh(connection: Connection, table: Table, project_id: str, after: str) -> tuple[int, str]:
    """Bytes of some rows behind the key `after`, contents and all; and the last key, "" where there
    are no more.  Looks at how long contents are, not into them."""
    most = WEIGHED[table]
    some = (
        select(table.c.id, _size(table).label("size"))
        .where(table.c.project_id == project_id, table.c.id > after)
        .order_by(table.c.id)
        .limit(most)
        .subquery()
    )
    query = select(func.count(), func.coalesce(func.sum(some.c.size), 0), func.max(some.c.id))
    count, size_bytes, last = connection.execute(query.select_from(some)).one()
    return int(size_bytes), last if count == most else ""


def fullest(connection: Connection) -> Sequence[tuple[str, int]]:
    """The projects that keep most, and how much.  Looks at every row: for a command."""
    sizes: dict[str, int] = {}
    for table in WEIGHED:
        query = select(table.c.project_id, func.sum(_size(table))).group_by(table.c.project_id)
        for project_id, size_bytes in connection.execute(query):
            sizes[project_id] = sizes.get(project_id, 0) + int(size_bytes)
    return sorted(sizes.items(), key=lambda each: -each[1])[:_FULLEST]


def _size(table: Table) -> ColumnElement[int]:
    """Of one row of it, with what stands below."""
    c = table.c
    below: ColumnElement[int]
    if table is response:
        own = _length(c.input) + _length(c.body) + _length(c.request)
        e = response_event.c
        said = _below(_length(e.events), e.response_id == c.id)
        below = case(((c.background == 1) & (c.stream == 1), said), else_=0)  # of no other
    elif table is conversation:
        own = _length(c.metadata)
        i = conversation_item.c
        below = _below(_length(i.item), i.conversation_id == c.id)
    else:
        own = _length(c.metadata) + _length(c.errors)
        n = batch_line.c
        below = _below(_length(n.request) + _length(n.answer), n.batch_id == c.id)
    return own + ROW_BYTES + below


def _below(size: ColumnElement[int], of_it: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.coalesce(func.sum(size + ROW_BYTES), 0)).where(of_it).scalar_subquery()


def _length(column: ColumnElement[object]) -> ColumnElement[int]:
    return func.coalesce(func.length(column), 0)
