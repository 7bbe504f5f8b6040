"""Rows of organisations and projects."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, func, insert, select, update

from portico.accounts.actors.paging import ALL, Window, paged
from portico.accounts.projects.model import Organisation, Project
from portico.db.tables import organisation, project


def add_organisation(connection: Connection, made: Organisation) -> None:
    connection.execute(
        insert(organisation).values(id=made.id, name=made.name, created_at_ms=made.created_at_ms)
    )


def organisations(
    connection: Connection, organisation_id: str | None = None, window: Window = ALL
) -> list[Organisation]:
    """Oldest first.  organisation_id: that one only."""
    query = paged(select(organisation), organisation.c.id, window)
    if organisation_id is not None:
        query = query.where(organisation.c.id == organisation_id)
    return [Organisation(**row._mapping) for row in connection.execute(query)]


def change_organisation(
    connection: Connection, organisation_id: str, values: dict[str, Any]
) -> None:
    connection.execute(
        update(organisation).where(organisation.c.id == organisation_id).values(**values)
    )


def add_project(connection: Connection, made: Project) -> None:
    connection.execute(
        insert(project).values(
            id=made.id,
            organisation_id=made.organisation_id,
            name=made.name,
            created_at_ms=made.created_at_ms,
        )
    )


def projects(
    connection: Connection,
    organisation_id: str | None,
    window: Window = ALL,
    among: tuple[str, ...] | None = None,
) -> list[Project]:
    """Oldest first, archived ones included.  organisation_id: None for every organisation.
    among: of these only; None: of all."""
    query = paged(select(project), project.c.id, window)
    if among is not None:
        query = query.where(project.c.id.in_(among))
    return [_project(row) for row in connection.execute(_of(query, organisation_id))]


def open_projects(connection: Connection, organisation_id: str) -> int:
    """How many that were not archived."""
    query = select(func.count()).where(
        project.c.organisation_id == organisation_id, project.c.archived_at_ms.is_(None)
    )
    return connection.execute(query).scalar_one()


def project_of(
    connection: Connection, organisation_id: str | None, project_id: str
) -> Project | None:
    """organisation_id: whose it must be; None: anybody's."""
    query = _of(select(project).where(project.c.id == project_id), organisation_id)
    row = connection.execute(query).first()
    return None if row is None else _project(row)


def change_project(connection: Connection, project_id: str, values: dict[str, Any]) -> None:
    if "models" in values and values["models"] is not None:
        values = {**values, "models": msgspec.json.encode(values["models"]).decode()}
    connection.execute(update(project).where(project.c.id == project_id).values(**values))


def first_project(connection: Connection) -> str | None:
    """The one made at the first start."""
    found = connection.execute(select(project.c.id).order_by(project.c.created_at_ms).limit(1))
    return found.scalar()


def _of(query: Select[Any], organisation_id: str | None) -> Select[Any]:
    if organisation_id is None:
        return query
    return query.where(project.c.organisation_id == organisation_id)


def _project(row: Row[Any]) -> Project:
    facts = dict(row._mapping)
    if facts["models"] is not None:
        facts["models"] = tuple(msgspec.json.decode(facts["models"]))
    return Project(**facts)
