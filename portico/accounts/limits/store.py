"""Rows of limits."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from portico.accounts.limits.model import Limit, Scope
from portico.db.tables import rate_limit

_SHOWN = [rate_limit.c[name] for name in Limit.__dataclass_fields__]


def limits(
    connection: Connection, organisation_id: str | None, scope: Scope | None, scope_id: str
) -> list[Limit]:
    """organisation_id: whose; None: everybody's, and the installation's.  scope: of that one."""
    query = select(*_SHOWN).order_by(*rate_limit.primary_key.columns)
    if organisation_id is not None:
        query = query.where(rate_limit.c.organisation_id == organisation_id)
    if scope is not None:
        query = query.where(rate_limit.c.scope == scope, rate_limit.c.scope_id == scope_id)
    return [Limit(**row._mapping) for row in connection.execute(query)]


def put(connection: Connection, limit: Limit, organisation_id: str, now_ms: int) -> None:
    """In the place of what stands there."""
    remove(connection, limit)
    values: dict[str, Any] = asdict(limit)
    connection.execute(
        insert(rate_limit).values(**values, organisation_id=organisation_id, set_at_ms=now_ms)
    )


def remove(connection: Connection, limit: Limit) -> None:
    connection.execute(delete(rate_limit).where(*_is(limit)))


def _is(limit: Limit) -> tuple[ColumnElement[bool], ...]:
    return (
        rate_limit.c.scope == limit.scope,
        rate_limit.c.scope_id == limit.scope_id,
        rate_limit.c.model == limit.model,
    )
