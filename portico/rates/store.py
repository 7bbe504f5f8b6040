"""The limits that were set."""

from sqlalchemy import Connection, select

from portico.db.tables import rate_limit
from portico.rates.model import Rule

_COLUMNS = [rate_limit.c[name] for name in Rule.__dataclass_fields__]


def rules(connection: Connection) -> dict[tuple[str, str], tuple[Rule, ...]]:
    """All of them, by scope and its id."""
    found: dict[tuple[str, str], list[Rule]] = {}
    query = select(*_COLUMNS).order_by(*rate_limit.primary_key.columns)
    for row in connection.execute(query):
        rule = Rule(**row._mapping)
        found.setdefault((rule.scope, rule.scope_id), []).append(rule)
    return {owner: tuple(rules) for owner, rules in found.items()}
