"""What was charged, summed up for reports."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, func, select

from portico.db.tables import charge

CostGroup = Literal["model", "project", "key", "day"]
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Cost:
    """list_nano: before discounts.  net_nano: what is paid, without absorbed_nano: what requests
    cost above what was set aside for them, which is the operator's loss."""

    charges: int
    list_nano: int
    net_nano: int
    absorbed_nano: int


def costs(
    connection: Connection,
    organisation_id: str | None,
    project_id: str | None,
    span: tuple[int, int],
    by: CostGroup,
) -> dict[str, Cost]:
    """In the order of the groups; days are UTC.

    organisation_id, project_id: None for every one.  span: when it was charged, wall clock, the end
    not included.
    """
    c = charge.c
    key = {
        "model": c.model,
        "project": c.project_id,
        "key": c.key_id,
        "day": c.charged_at_ms // _DAY_MS * _DAY_MS,
    }[by].label("key")
    query = (
        select(
            key,
            func.count(),
            func.sum(c.list_nano),
            func.sum(c.net_nano),
            func.sum(c.absorbed_nano),
        )
        .where(c.charged_at_ms >= span[0], c.charged_at_ms < span[1])
        .group_by("key")
        .order_by("key")
    )
    if organisation_id is not None:
        query = query.where(c.organisation_id == organisation_id)
    if project_id is not None:
        query = query.where(c.project_id == project_id)
    found = {}
    for name, charges, list_nano, net_nano, absorbed_nano in connection.execute(query):
        shown = str(name)
        if by == "day":
            shown = f"{datetime.fromtimestamp(int(name) / 1000, UTC):%Y-%m-%d}"
        # PostgreSQL sums integers into decimals.
        found[shown] = Cost(int(charges), int(list_nano), int(net_nano), int(absorbed_nano))
    return found
