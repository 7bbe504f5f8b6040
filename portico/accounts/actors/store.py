"""What somebody is, as rows."""

from sqlalchemy import ColumnElement, Connection, and_, select

from portico.db.tables import member, project, project_member, role, subject


def organisation_role(
    connection: Connection, organisation_id: str, subject_id: str
) -> tuple[str, str | None] | None:
    """Its name, and the scopes of one of the organisation's own; None for who is not in it."""
    of = _own_role(member.c.organisation_id, member.c.role, "organisation")
    query = (
        select(member.c.role, role.c.scopes)
        .outerjoin(role, of)
        .where(member.c.organisation_id == organisation_id, member.c.subject_id == subject_id)
    )
    row = connection.execute(query).first()
    return None if row is None else (row.role, row.scopes)


def project_roles(
    connection: Connection, organisation_id: str, subject_id: str
) -> list[tuple[str, str, str | None]]:
    """Project, name of the role, and the scopes of one of the organisation's own."""
    of = _own_role(project_member.c.organisation_id, project_member.c.role, "project")
    query = (
        select(project_member.c.project_id, project_member.c.role, role.c.scopes)
        .join(project, project.c.id == project_member.c.project_id)
        .outerjoin(role, of)
        .where(
            project.c.organisation_id == organisation_id,
            project_member.c.organisation_id == organisation_id,
            project_member.c.subject_id == subject_id,
        )
    )
    return [(row.project_id, row.role, row.scopes) for row in connection.execute(query)]


def works(connection: Connection, organisation_id: str, account_id: str) -> bool:
    """Is this a service account of the organisation that was not disabled?"""
    query = (
        select(subject.c.id)
        .join(project, project.c.id == subject.c.project_id)
        .where(
            subject.c.id == account_id,
            subject.c.kind == "service_account",
            subject.c.disabled_at_ms.is_(None),
            project.c.organisation_id == organisation_id,
        )
    )
    return connection.execute(query).first() is not None


def own_role(connection: Connection, organisation_id: str, name: str, level: str) -> str | None:
    """The scopes of one of the organisation's own roles; None where it has none of that name."""
    query = select(role.c.scopes).where(
        role.c.organisation_id == organisation_id, role.c.name == name, role.c.level == level
    )
    return connection.execute(query).scalar()


def _own_role(
    organisation_id: ColumnElement[str], name: ColumnElement[str], level: str
) -> ColumnElement[bool]:
    return and_(
        role.c.organisation_id == organisation_id, role.c.name == name, role.c.level == level
    )
