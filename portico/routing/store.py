"""The rows of `deployment`: what an operator registered with `portico model add`."""

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update

from portico.db.tables import deployment
from portico.routing.model import Registration


def registrations(connection: Connection) -> list[Registration]:
    """All of them; those of one model in the order in which they are tried."""
    rows = connection.execute(
        select(deployment).order_by(
            deployment.c.position, deployment.c.created_at_ms, deployment.c.id
        )
    )
    return [Registration(**row._mapping) for row in rows]


def insert_registration(connection: Connection, registration: Registration) -> None:
    connection.execute(insert(deployment).values(**asdict(registration)))


def put_at(connection: Connection, id: str, position: int) -> None:
    connection.execute(update(deployment).where(deployment.c.id == id).values(position=position))


def delete_registrations(connection: Connection, model: str) -> int:
    """How many there were."""
    return connection.execute(delete(deployment).where(deployment.c.model == model)).rowcount
