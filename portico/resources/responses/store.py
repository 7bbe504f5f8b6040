"""The rows of responses, as they are read.  They are written by `keeping`."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, or_, select

from portico.callers.model import Caller
from portico.db.tables import response
from portico.db.transaction import Transaction
from portico.resources.responses.model import Link, Response, Step

_SHOWN = [response.c[name] for name in Response.__dataclass_fields__]

_LASTING = "(response.expires_at_ms IS NULL OR response.expires_at_ms > ?)"
_CHAIN = f"""
WITH RECURSIVE chain (id, previous_id, depth) AS (
  SELECT id, previous_id, 1 FROM response WHERE id = ? AND project_id = ? AND {_LASTING}
  UNION ALL
  SELECT response.id, response.previous_id, chain.depth + 1
  FROM response JOIN chain ON response.id = chain.previous_id
  WHERE response.project_id = ? AND {_LASTING} AND chain.depth <= ?
)
"""
_STEPS = (
    _CHAIN
    + "SELECT chain.id, chain.previous_id, response.state, response.conversation_id,"
    + " length(response.input) + length(response.body)"
    + " FROM chain JOIN response ON response.id = chain.id"
    + " WHERE response.project_id = ? ORDER BY chain.depth"
)


def one(connection: Connection, project_id: str, response_id: str, now_ms: int) -> Response | None:
    query = select(*_SHOWN).where(
        response.c.id == response_id, response.c.project_id == project_id, _lasts(now_ms)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _response(row)


def steps(
    connection: Connection, project_id: str, response_id: str, links_max: int, now_ms: int
) -> list[Step]:
    """Of it and of all that it follows, the newest first; of one more than `links_max` where there
    are more."""
    found = Transaction(connection).rows(
        _STEPS, (response_id, project_id, now_ms, project_id, now_ms, links_max, project_id)
    )
    return [Step(row[0], row[1], row[2], row[3], int(row[4])) for row in found]


def size_bytes(connection: Connection, project_id: str, ids: list[str], now_ms: int) -> int:
    """Of what they say together."""
    size = func.length(response.c.input) + func.length(response.c.body)
    query = select(func.coalesce(func.sum(size), 0)).where(
        response.c.id.in_(ids), response.c.project_id == project_id, _lasts(now_ms)
    )
    return int(connection.execute(query).scalar_one())


def links(connection: Connection, project_id: str, ids: list[str], now_ms: int) -> list[Link]:
    """In the order of `ids`."""
    query = select(*(response.c[name] for name in Link.__dataclass_fields__)).where(
        response.c.id.in_(ids), response.c.project_id == project_id, _lasts(now_ms)
    )
    found = {row.id: Link(*row) for row in connection.execute(query)}
    return [found[each] for each in ids if each in found]


def remove(connection: Connection, whose: Caller, response_id: str, now_ms: int) -> bool:
    """False where there was none.  What it has said meanwhile goes with it."""
    gone = delete(response).where(
        response.c.id == response_id,
        response.c.organisation_id == whose.organisation_id,
        response.c.project_id == whose.project_id,
        _lasts(now_ms),
    )
    return connection.execute(gone).rowcount == 1


def _lasts(now_ms: int) -> ColumnElement[bool]:
    """What has expired is not there, though it may not be gone yet."""
    return or_(response.c.expires_at_ms.is_(None), response.c.expires_at_ms > now_ms)


def _response(row: Row[Any]) -> Response:
    facts = dict(row._mapping)
    facts["background"], facts["stream"] = bool(facts["background"]), bool(facts["stream"])
    return Response(**facts)
