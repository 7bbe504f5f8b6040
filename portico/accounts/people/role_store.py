"""Rows of roles: an organisation's own names for scopes."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select, update

from portico.accounts.people.model import Role
from portico.db.tables import invitation, member, project_member, role


def add(connection: Connection, made: Role) -> None:
    connection.execute(
        insert(role).values(
            organisation_id=made.organisation_id,
            name=made.name,
            level=made.level,
            scopes=" ".join(made.scopes),
            created_at_ms=made.created_at_ms,
        )
    )


def roles(connection: Connection, organisation_id: str) -> list[Role]:
    """By name."""
    query = select(role).where(role.c.organisation_id == organisation_id).order_by(role.c.name)
    return [
        Role(row.organisation_id, row.name, row.level, tuple(row.scopes.split()), row.created_at_ms)
        for row in connection.execute(query)
    ]


def change(connection: Connection, organisation_id: str, name: str, scopes: Iterable[str]) -> None:
    connection.execute(
        update(role)
        .where(role.c.organisation_id == organisation_id, role.c.name == name)
        .values(scopes=" ".join(scopes))
    )


def remove(connection: Connection, organisation_id: str, name: str) -> None:
    connection.execute(
        delete(role).where(role.c.organisation_id == organisation_id, role.c.name == name)
    )


def holders(connection: Connection, organisation_id: str, name: str) -> list[str]:
    """Who is that, in the organisation or in a project of it."""
    found: set[str] = set()
    for table in (member, project_member):
        query = select(table.c.subject_id).where(
            table.c.organisation_id == organisation_id, table.c.role == name
        )
        found.update(connection.execute(query).scalars())
    return sorted(found)


def is_offered(connection: Connection, organisation_id: str, name: str, now_ms: int) -> bool:
    """By an invitation that can still be accepted."""
    query = select(invitation.c.id).where(
        invitation.c.organisation_id == organisation_id,
        invitation.c.role == name,
        invitation.c.accepted_at_ms.is_(None),
        invitation.c.revoked_at_ms.is_(None),
        invitation.c.expires_at_ms > now_ms,
    )
    return connection.execute(query).first() is not None
