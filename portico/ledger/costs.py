"""What was charged, summed up by several things at once: for whoever administers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Label, func, select

from portico.db.tables import charge

ChargedBy = Literal["project", "key", "model"]
_COLUMNS: dict[ChargedBy, ColumnElement[str]] = {
    "project": charge.c.project_id,
    "key": charge.c.key_id,
    "model": charge.c.model,
}


@dataclass(frozen=True, slots=True)
class Charged:
    """organisation_id: None for every one.  project_id, key_id, model: of that one only.
    since_ms, until_ms: when it was charged, wall clock, the end not included."""

    organisation_id: str | None
    since_ms: int
    until_ms: int
    project_id: str | None = None
    key_id: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """start_ms: of the stretch of time that it is the sum of, a multiple of its width; 0 without one.
    names: in the order in which they were asked for.

    list_nano: before discounts.  net_nano: what is paid, without absorbed_nano: what requests
    cost above what was set aside for them, which is the operator's loss."""

    start_ms: int
    names: tuple[str, ...]
    charges: int
    list_nano: int
    net_nano: int
    absorbed_nano: int


def costs(
    connection: Connection,
    wanted: Charged,
    by: Sequence[ChargedBy],
    width_ms: int | None,
    most: int,
) -> list[Cost]:
    """By time, then by names.  width_ms: of a stretch of time; None for all of it as one."""
    c = charge.c
    keys: list[Label[Any]] = [_COLUMNS[each].label(f"by_{each}") for each in by]
    if width_ms is not None:
        keys.insert(0, (c.charged_at_ms // width_ms * width_ms).label("start_ms"))
    amounts = (c.list_nano, c.net_nano, c.absorbed_nano)
    sums: list[ColumnElement[Any]] = [func.count(), *map(func.sum, amounts)]
    query = (
        select(*keys, *sums)
        .where(c.charged_at_ms >= wanted.since_ms, c.charged_at_ms < wanted.until_ms)
        .group_by(*(key.name for key in keys))
        .order_by(*(key.name for key in keys))
        .limit(most)
    )
    if wanted.organisation_id is not None:
        query = query.where(c.organisation_id == wanted.organisation_id)
    for column, value in (
        (c.project_id, wanted.project_id),
        (c.key_id, wanted.key_id),
        (c.model, wanted.model),
    ):
        if value is not None:
            query = query.where(column == value)
    found = []
    for row in connection.execute(query):
        if not row[len(keys)]:  # without keys, nothing is a row, too
            continue
        names, sums_of = row[len(keys) - len(by) : len(keys)], row[len(keys) :]
        start_ms = 0 if width_ms is None else int(row[0])
        # PostgreSQL sums integers into decimals.
        found.append(Cost(start_ms, tuple(names), *map(int, sums_of)))
    return found
