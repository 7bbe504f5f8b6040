"""Rows of organisations, projects and keys."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from portico.accounts.model import Key, Project
from portico.db.tables import api_key, organisation, project

_SHOWN = [api_key.c[name] for name in Key.__dataclass_fields__]


def add_organisation(connection: Connection, organisation_id: str, name: str, now_ms: int) -> None:
    connection.execute(
        insert(organisation).values(id=organisation_id, name=name, created_at_ms=now_ms)
    )


def add_project(
    connection: Connection, project_id: str, organisation_id: str, name: str, now_ms: int
) -> None:
    connection.execute(
        insert(project).values(
            id=project_id, organisation_id=organisation_id, name=name, created_at_ms=now_ms
        )
    )


def organisation_of(connection: Connection, project_id: str) -> str | None:
    found = connection.execute(select(project.c.organisation_id).where(project.c.id == project_id))
    return found.scalar()


def projects(connection: Connection) -> list[Project]:
    rows = connection.execute(select(project).order_by(project.c.created_at_ms, project.c.id))
    return [Project(**row._mapping) for row in rows]


def set_data_use(connection: Connection, project_id: str, data_use: str) -> None:
    connection.execute(update(project).where(project.c.id == project_id).values(data_use=data_use))


def set_project_compatibility(connection: Connection, project_id: str, word: str) -> None:
    connection.execute(update(project).where(project.c.id == project_id).values(compatibility=word))


def set_key_compatibility(connection: Connection, key_id: str, word: str | None) -> None:
    connection.execute(update(api_key).where(api_key.c.id == key_id).values(compatibility=word))


def first_project(connection: Connection) -> str | None:
    """The one made at the first start."""
    found = connection.execute(select(project.c.id).order_by(project.c.created_at_ms).limit(1))
    return found.scalar()


def add_key(
    connection: Connection, key: Key, organisation_id: str, pepper_id: str, digest: bytes
) -> None:
    connection.execute(
        insert(api_key).values(
            **asdict(key), organisation_id=organisation_id, pepper_id=pepper_id, digest=digest
        )
    )


def keys(connection: Connection, project_id: str | None) -> list[Key]:
    """Oldest first.  project_id: None for every project, for the operator."""
    query = select(*_SHOWN).order_by(api_key.c.created_at_ms, api_key.c.id)
    if project_id is not None:
        query = query.where(api_key.c.project_id == project_id)
    return [_key(row) for row in connection.execute(query)]


def key(connection: Connection, key_id: str) -> Key | None:
    row = connection.execute(select(*_SHOWN).where(api_key.c.id == key_id)).first()
    return _key(row) if row is not None else None


def revoke(connection: Connection, key_id: str, now_ms: int) -> None:
    """The first revocation stays."""
    connection.execute(
        update(api_key)
        .where(api_key.c.id == key_id, api_key.c.revoked_at_ms.is_(None))
        .values(revoked_at_ms=now_ms)
    )


def _key(row: Row[Any]) -> Key:
    return Key(**row._mapping)
