"""The rows of `deployment` and `drill`: what an operator registered, and what is tried out."""

from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update

from portico.db.tables import deployment, drill
from portico.routing.model import Drill, Registration


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


def put_key(connection: Connection, id: str, sealed_key: str) -> None:
    """In the place of whatever was said about its key before."""
    connection.execute(
        update(deployment)
        .where(deployment.c.id == id)
        .values(sealed_key=sealed_key, credential_env=None)
    )


def delete_registrations(connection: Connection, model: str, id: str | None) -> int:
    """id: of the only one to go; None for all of the model's.  Gives how many there were."""
    gone = delete(deployment).where(deployment.c.model == model)
    if id is not None:
        gone = gone.where(deployment.c.id == id)
    return connection.execute(gone).rowcount


def insert_drill(connection: Connection, wanted: Drill) -> None:
    connection.execute(insert(drill).values(**asdict(wanted)))


def drill_of(connection: Connection, id: str) -> Drill:
    return Drill(**connection.execute(select(drill).where(drill.c.id == id)).one()._mapping)


def waiting_drills(connection: Connection, server: str, since_ms: int) -> list[Drill]:
    """Those of `server` that nobody has answered, asked for at `since_ms` or later."""
    rows = connection.execute(
        select(drill).where(
            drill.c.server == server,
            drill.c.asked_at_ms >= since_ms,
            drill.c.began_at_ms.is_(None),
            drill.c.problem.is_(None),
        )
    )
    return [Drill(**row._mapping) for row in rows]


def answer_drill(connection: Connection, answered: Drill) -> None:
    connection.execute(
        update(drill)
        .where(drill.c.id == answered.id)
        .values(
            began_at_ms=answered.began_at_ms,
            deployment=answered.deployment,
            problem=answered.problem,
        )
    )
