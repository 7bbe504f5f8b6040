"""What was used, summed up by several things at once: for whoever administers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Label, func, select

from portico.canon.usage import Meters
from portico.db.tables import project, usage_record
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
    keys: list[Label[Any]] = [_COLUMNS[each].label(f"by_{each}") for each in by]
    if width_ms is not None:
        keys.insert(0, (c.started_at_ms // width_ms * width_ms).label("start_ms"))
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
    if wanted.organisation_id is not None:
        theirs = select(project.c.id).where(project.c.organisation_id == wanted.organisation_id)
        # By its projects, of which there is an index with the time; else all customers' are read.
        query = query.where(c.organisation_id == wanted.organisation_id, c.project_id.in_(theirs))
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
        # PostgreSQL sums integers into decimals.
        requests, estimated, *units = map(int, sums_of)
        start_ms = 0 if width_ms is None else int(row[0])
        found.append(Used(start_ms, tuple(names), Totals(requests, estimated, Meters(*units))))
    return found
