"""Rows of endpoints, and of what was sent to them."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)

from portico.db.tables import alert, attempt, delivery, webhook_endpoint
from portico.webhooks.model import Attempt, Endpoint, Sent

_SHOWN = [webhook_endpoint.c[name] for name in Endpoint.__dataclass_fields__]


def add(connection: Connection, endpoint: Endpoint, secret: bytes) -> None:
    """secret: sealed."""
    values = {name: getattr(endpoint, name) for name in Endpoint.__dataclass_fields__}
    values["kinds"] = words(endpoint.kinds)
    connection.execute(insert(webhook_endpoint).values(**values, secret=secret))


def endpoints(connection: Connection, organisation_id: str | None) -> list[Endpoint]:
    """Oldest first.  organisation_id: whose; None: everybody's."""
    query = select(*_SHOWN).order_by(webhook_endpoint.c.id)
    return [_endpoint(row) for row in connection.execute(_of(query, organisation_id))]


def endpoint(
    connection: Connection, organisation_id: str | None, endpoint_id: str
) -> Endpoint | None:
    query = _of(select(*_SHOWN), organisation_id).where(webhook_endpoint.c.id == endpoint_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else _endpoint(row)


def secrets(connection: Connection, endpoint: Endpoint) -> tuple[bytes, bytes | None]:
    """Sealed: the one that counts, and the one before."""
    columns = webhook_endpoint.c
    query = select(columns.secret, columns.former_secret).where(*_is(endpoint))
    row = connection.execute(query).one()
    return bytes(row[0]), None if row[1] is None else bytes(row[1])


def change(connection: Connection, endpoint: Endpoint, values: dict[str, Any]) -> None:
    connection.execute(update(webhook_endpoint).where(*_is(endpoint)).values(**values))


def remove(connection: Connection, endpoint: Endpoint) -> None:
    connection.execute(delete(webhook_endpoint).where(*_is(endpoint)))


def words(kinds: tuple[str, ...] | None) -> str | None:
    """As the column holds them."""
    return None if kinds is None else " ".join(kinds)


def sent(connection: Connection, endpoint: Endpoint, most: int) -> list[Sent]:
    """Deliveries to an endpoint, the newest first."""
    query = _sent(endpoint.organisation_id).where(*_to(endpoint))
    query = query.order_by(alert.c.created_at_ms.desc(), delivery.c.id.desc()).limit(most)
    return [Sent(*row) for row in connection.execute(query)]


def where_sent(
    connection: Connection, organisation_id: str | None, delivery_id: str
) -> Endpoint | None:
    """Where it goes.  None where there is no such delivery, or no such endpoint any more."""
    query = _of(select(*_SHOWN), organisation_id).join(
        delivery, and_(delivery.c.target == webhook_endpoint.c.id, delivery.c.id == delivery_id)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _endpoint(row)


def one_sent(connection: Connection, endpoint: Endpoint, delivery_id: str) -> Sent:
    """To this endpoint."""
    query = _sent(endpoint.organisation_id).where(delivery.c.id == delivery_id)
    return Sent(*connection.execute(query).one())


def attempts(connection: Connection, delivery_id: str) -> list[Attempt]:
    query = select(attempt.c.number, attempt.c.at_ms, attempt.c.outcome)
    query = query.where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.number)
    return [Attempt(*row) for row in connection.execute(query)]


def tried(connection: Connection, delivery_id: str) -> int:
    """The number of the newest attempt that was begun."""
    query = select(delivery.c.attempts).where(delivery.c.id == delivery_id)
    return int(connection.execute(query).scalar_one())


def send_again(connection: Connection, delivery_id: str, after: int, now_ms: int) -> None:
    """after: the number of the attempt that the next one follows."""
    again = {"state": "waiting", "attempts": after, "due_at_ms": now_ms, "resolved_at_ms": None}
    connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(**again))


def took_anything(connection: Connection, endpoint: Endpoint, since_ms: int) -> bool:
    query = select(delivery.c.id).where(
        *_to(endpoint),
        delivery.c.state == "delivered",
        delivery.c.resolved_at_ms >= since_ms,
    )
    return connection.execute(query.limit(1)).first() is not None


def _is(endpoint: Endpoint) -> tuple[ColumnElement[bool], ...]:
    return (
        webhook_endpoint.c.organisation_id == endpoint.organisation_id,
        webhook_endpoint.c.id == endpoint.id,
    )


def _to(endpoint: Endpoint) -> tuple[ColumnElement[bool], ...]:
    return (delivery.c.channel == "webhook", delivery.c.target == endpoint.id)


def _sent(organisation_id: str) -> Select[Any]:
    ended = select(func.count()).where(attempt.c.delivery_id == delivery.c.id).scalar_subquery()
    last = (
        select(attempt.c.outcome)
        .where(attempt.c.delivery_id == delivery.c.id)
        .order_by(attempt.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(
        delivery.c.id,
        alert.c.kind,
        alert.c.created_at_ms,
        delivery.c.state,
        ended,
        func.coalesce(last, ""),
        delivery.c.due_at_ms,
        delivery.c.resolved_at_ms,
    )
    query = query.join(alert, alert.c.id == delivery.c.alert_id)
    return query.where(alert.c.organisation_id == organisation_id)


def _of(query: Select[Any], organisation_id: str | None) -> Select[Any]:
    if organisation_id is None:
        return query
    return query.where(webhook_endpoint.c.organisation_id == organisation_id)


def _endpoint(row: Row[Any]) -> Endpoint:
    facts = dict(row._mapping)
    if facts["kinds"] is not None:
        facts["kinds"] = tuple(facts["kinds"].split())
    return Endpoint(**facts)
