"""Budgets as they are stored."""

from sqlalchemy import Connection, select

from portico.admission.rules import Budget
from portico.db.tables import budget

ByScope = dict[tuple[str, str], tuple[Budget, ...]]
"""By (scope, scope id)."""


def budgets(connection: Connection) -> ByScope:
    c = budget.c
    query = select(c.id, c.scope, c.scope_id, c.period, c.cap_nano).order_by(c.period, c.id)
    found: ByScope = {}
    for row in connection.execute(query):
        key = (row.scope, row.scope_id)
        found[key] = (*found.get(key, ()), Budget(*row))
    return found
