"""The rows of responses, as they are read.  They are written by `keeping`."""

from typing import Any

from sqlalchemy import Connection, Row, select

from portico.db.tables import response
from portico.db.transaction import Transaction
from portico.resources.responses.model import Link, Response

_SHOWN = [response.c[name] for name in Response.__dataclass_fields__]

_CHAIN = """
WITH RECURSIVE chain (id, previous_id, depth) AS (
  SELECT id, previous_id, 1 FROM response WHERE id = ? AND project_id = ?
  UNION ALL
  SELECT response.id, response.previous_id, chain.depth + 1
  FROM response JOIN chain ON response.id = chain.previous_id
  WHERE response.project_id = ? AND chain.depth <= ?
)
"""
_SIZES = (
    _CHAIN
    + "SELECT chain.id, chain.previous_id, response.state,"
    + " length(response.input) + length(response.body)"
    + " FROM chain JOIN response ON response.id = chain.id"
    + " WHERE response.project_id = ? ORDER BY chain.depth"
)


def one(connection: Connection, project_id: str, response_id: str) -> Response | None:
    query = select(*_SHOWN).where(response.c.id == response_id, response.c.project_id == project_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _response(row)


def sizes(
    connection: Connection, project_id: str, response_id: str, links_max: int
) -> list[tuple[str, str | None, str, int]]:
    """(id, what it follows, state, bytes) of it and of all that it follows, the newest first; of one
    more than `links_max` where there are more."""
    found = Transaction(connection).rows(
        _SIZES, (response_id, project_id, project_id, links_max, project_id)
    )
    return [(row[0], row[1], row[2], int(row[3])) for row in found]


def links(connection: Connection, project_id: str, ids: list[str]) -> list[Link]:
    """In the order of `ids`."""
    query = select(*(response.c[name] for name in Link.__dataclass_fields__)).where(
        response.c.id.in_(ids), response.c.project_id == project_id
    )
    found = {row.id: Link(*row) for row in connection.execute(query)}
    return [found[each] for each in ids if each in found]


def _response(row: Row[Any]) -> Response:
    facts = dict(row._mapping)
    facts["background"], facts["stream"] = bool(facts["background"]), bool(facts["stream"])
    return Response(**facts)
