"""What the operator sees of batches, whoever's they are, and may do to them."""

from typing import NamedTuple

from sqlalchemy import Connection, select

from portico.db.tables import batch
from portico.resources.batches import store
from portico.resources.batches.model import CANCELLABLE, Batch, Counts

Found = tuple[Batch, Counts]


def recent(connection: Connection, project_id: str | None, most: int) -> list[Found]:
    """Of this project, or of all; the newest first."""
    query = (
        select(*store.SHOWN).order_by(batch.c.created_at_ms.desc(), batch.c.id.desc()).limit(most)
    )
    if project_id is not None:
        query = query.where(batch.c.project_id == project_id)
    found = [store.batch_of(row) for row in connection.execute(query)]
    return [_counted(connection, each) for each in found]


def one(connection: Connection, batch_id: str) -> Found | None:
    query = select(*store.SHOWN).where(batch.c.id == batch_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _counted(connection, store.batch_of(row))


class Cancelled(NamedTuple):
    """found: as it is afterwards.  now: it was not before."""

    found: Found
    now: bool


def cancel(connection: Connection, batch_id: str, now_ms: int) -> Cancelled | None:
    """One that is over, or nearly, stays as it was.  None: there is none."""
    found = one(connection, batch_id)
    if found is None:
        return None
    values = {"state": "cancelling", "cancelling_at_ms": now_ms}
    changed = store.change(connection, found[0], CANCELLABLE, values)
    return Cancelled(one(connection, batch_id) or found, changed)


def _counted(connection: Connection, found: Batch) -> Found:
    return found, store.counts(connection, found.organisation_id, (found.id,))[found.id]
