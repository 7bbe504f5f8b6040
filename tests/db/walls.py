"""One row of an organisation in every table that has walls, made from what the table asks for."""

import re
from typing import Any

from sqlalchemy import CheckConstraint, Column, Connection, LargeBinary, Table, insert
from sqlalchemy.types import Text

from portico.db.tables import metadata
from tests.house.statements import TENANT_TABLES

CHILDREN = {"entry", "delivery", "attempt", "invoice_payment", "top_up_refund", "dispute"}
"""They name a row of an organisation, and not the organisation."""
WALLED = [each.name for each in metadata.sorted_tables if each.name in TENANT_TABLES | CHILDREN]
_WORD = re.compile(r"IN \('(\w+)'")
_CENTS_NANO = 10 * 10_000_000
_SAID: dict[str, dict[str, Any]] = {
    "invoice": {
        "kind": "invoice",
        "first_sequence": 1,
        "last_sequence": 2,
        "period_start_ms": 1,
        "period_end_ms": 2,
    },
    "recharge": {"target_nano": 20, "enabled": 1},
    "top_up": {"amount_nano": _CENTS_NANO, "intent_id": "", "state": "open"},
    "top_up_refund": {"amount_nano": _CENTS_NANO},
    "dispute": {"amount_nano": _CENTS_NANO},
    "account": {"held_nano": 0},
}
"""What the checks of a table want of several columns together."""


def plant(connection: Connection, organisation: str) -> None:
    """A row in each, on a connection of the system's."""
    for name in WALLED:
        table = metadata.tables[name]
        said = _SAID.get(name, {})
        row = {
            column.name: said.get(column.name, _value(table, column, organisation))
            for column in table.c
        }
        connection.execute(insert(table).values(**row))


def _value(table: Table, column: Column[Any], organisation: str) -> Any:
    owner = column.name.removesuffix("_id")
    if column.name == "organisation_id" or (table.name, column.name) == ("organisation", "id"):
        return organisation
    if column.name == "id":
        return f"{table.name}_{organisation}"
    if (table.name, column.name) == ("admin_key", "owner_id"):
        return f"subject_{organisation}"
    if owner in WALLED and (not column.nullable or table.name == "subject"):
        return f"{owner}_{organisation}"
    if column.nullable:
        return None
    return _any(column, organisation)


def _any(column: Column[Any], organisation: str) -> Any:
    if isinstance(column.type, LargeBinary):
        return organisation.encode()
    if not isinstance(column.type, Text):
        return 10
    checks = [each for each in column.constraints if isinstance(each, CheckConstraint)]
    words = _WORD.search(str(checks[0].sqltext)) if checks else None
    return words.group(1) if words else f"{column.name} of {organisation}"
