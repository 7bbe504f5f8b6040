"""The rows of `deployment`: what an operator registered with `portico model add`."""

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from portico.db.tables import deployment
from portico.routing.model import Registration


def registrations(connection: Connection) -> list[Registration]:
    """All of them, oldest first: the order in which a model's deployments are tried."""
    rows = connection.execute(
        select(deployment).order_by(deployment.c.created_at_ms, deployment.c.id)
    )
    return [Registration(**row._mapping) for row in rows]


def insert_registration(connection: Connection, registration: Registration) -> None:
    connection.execute(insert(deployment).values(**asdict(registration)))


def delete_registrations(connection: Connection, model: str) -> int:
    """How many there were."""
    return connection.execute(delete(deployment).where(deployment.c.model == model)).rowcount
