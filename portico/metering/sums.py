"""What was used, summed up by several things at once: for whoever administers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Integer, func, literal, select

from portico.canon.usage import Meters
from portico.db.tables import usage_record
from portico.metering.model import Totals

UsedBy = Literal["project", "key", "model"]
_COLUMNS: dict[UsedBy, ColumnElement[str]] = {
    "project": usage_record.c.project_id,
    "key": usage_record.c.key_id,
    "model": usage_record.c.model,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """organisation_id: None for every one.  project_id, key_id, model: of that one only.
    since_ms, until_ms: when requests began, wall clock, the end not included."""

    organisation_id: str | None
    since_ms: int
    until_ms: int
    project_id: str | None = None
    key_id: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """start_ms: of the stretch of time that it is the sum of, a multiple of its width; 0 without one.
    names: in the order in which they were asked for."""

    start_ms: int
    names: tuple[str, ...]
    totals: Totals


def used(
    connection: Connection, wanted: Wanted, by: Sequence[UsedBy], width_ms: int | None, most: int
) -> list[Used]:
    """By time, then by names.  Of requests that have ended; what still runs has no figures yet.

    width_ms: of a stretch of time; None for all of it as one.
    """
    c = usage_record.c
    start: ColumnElement[int] = literal(0, Integer)
    if width_ms is not None:
        start = c.started_at_ms // width_ms * width_ms
    keys = [start.label("start_ms"), *(_COLUMNS[each].label(f"by_{each}") for each in by)]
    meters = [c[name] for name in Meters.__struct_fields__]
    sums: list[ColumnElement[Any]] = [func.count(), func.sum(c.estimated), *map(func.sum, meters)]
    query = (
        select(*keys, *sums)
        .where(
            c.started_at_ms >= wanted.since_ms,
            c.started_at_ms < wanted.until_ms,
            c.outcome != "running",
        )
        .group_by(*(key.name for key in keys))
        .order_by(*(key.name for key in keys))
        .limit(most)
    )
    for column, value in (
        (c.organisation_id, wanted.organisation_id),
        (c.project_id, wanted.project_id),
        (c.key_id, wanted.key_id),
        (c.model, wanted.model),
    ):
        if value is not None:
            query = query.where(column == value)
    found = []
    for start_ms, *rest in connection.execute(query):
        names, (requests, estimated, *units) = rest[: len(by)], rest[len(by) :]
        # PostgreSQL sums integers into decimals.
        totals = Totals(int(requests), int(estimated), Meters(*map(int, units)))
        found.append(Used(int(start_ms), tuple(names), totals))
    return found
