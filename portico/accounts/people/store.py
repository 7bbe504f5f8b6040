"""Rows of people, service accounts and what they are."""

from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from portico.accounts.actors.paging import Window, paged
from portico.accounts.people.model import Member, ProjectMember, ServiceAccount
from portico.db.tables import admin_key, member, project, project_member, subject

_MEMBER = select(
    member.c.organisation_id,
    member.c.subject_id,
    subject.c.email,
    subject.c.name,
    member.c.role,
    member.c.created_at_ms,
).join(subject, subject.c.id == member.c.subject_id)

_PROJECT_MEMBER = (
    select(
        project_member.c.organisation_id,
        project_member.c.project_id,
        project_member.c.subject_id,
        subject.c.email,
        subject.c.name,
        project_member.c.role,
        project_member.c.created_at_ms,
    )
    .join(subject, subject.c.id == project_member.c.subject_id)
    .where(subject.c.kind == "user")
)

_ACCOUNT = (
    select(
        subject.c.id,
        project.c.organisation_id,
        subject.c.project_id,
        subject.c.name,
        project_member.c.role,
        subject.c.created_at_ms,
        subject.c.disabled_at_ms,
    )
    .join(project, project.c.id == subject.c.project_id)
    .join(
        project_member,
        (project_member.c.subject_id == subject.c.id)
        & (project_member.c.project_id == subject.c.project_id),
    )
    .where(subject.c.kind == "service_account")
)


def user_by_email(connection: Connection, email: str) -> str | None:
    """His id.  email: in lower case."""
    return connection.execute(select(subject.c.id).where(subject.c.email == email)).scalar()


def add_user(connection: Connection, user_id: str, email: str, name: str, now_ms: int) -> None:
    connection.execute(
        insert(subject).values(
            id=user_id, kind="user", name=name, email=email, created_at_ms=now_ms
        )
    )


def members(connection: Connection, organisation_id: str, window: Window) -> list[Member]:
    """By id."""
    of = _MEMBER.where(member.c.organisation_id == organisation_id)
    query = paged(of, member.c.subject_id, window)
    return [Member(**row._mapping) for row in connection.execute(query)]


def member_of(connection: Connection, organisation_id: str, subject_id: str) -> Member | None:
    query = _MEMBER.where(
        member.c.organisation_id == organisation_id, member.c.subject_id == subject_id
    )
    row = connection.execute(query).first()
    return None if row is None else Member(**row._mapping)


def member_by_email(connection: Connection, organisation_id: str, email: str) -> Member | None:
    query = _MEMBER.where(member.c.organisation_id == organisation_id, subject.c.email == email)
    row = connection.execute(query).first()
    return None if row is None else Member(**row._mapping)


def others_with_role(connection: Connection, organisation_id: str, role_name: str, but: str) -> int:
    """How many have the role, `but` left out."""
    query = select(func.count()).where(
        member.c.organisation_id == organisation_id,
        member.c.role == role_name,
        member.c.subject_id != but,
    )
    return connection.execute(query).scalar_one()


def add_member(connection: Connection, made: Member) -> None:
    connection.execute(
        insert(member).values(
            organisation_id=made.organisation_id,
            subject_id=made.subject_id,
            role=made.role,
            created_at_ms=made.created_at_ms,
        )
    )


def set_member_role(
    connection: Connection, organisation_id: str, subject_id: str, role_name: str
) -> None:
    connection.execute(
        update(member)
        .where(member.c.organisation_id == organisation_id, member.c.subject_id == subject_id)
        .values(role=role_name)
    )


def remove_member(connection: Connection, organisation_id: str, subject_id: str) -> None:
    """From the organisation and from every project of it."""
    for table in (project_member, member):
        connection.execute(
            delete(table).where(
                table.c.organisation_id == organisation_id, table.c.subject_id == subject_id
            )
        )


def project_members(
    connection: Connection, organisation_id: str, project_id: str, window: Window
) -> list[ProjectMember]:
    """By id, people only."""
    query = paged(_of_project(organisation_id, project_id), project_member.c.subject_id, window)
    return [ProjectMember(**row._mapping) for row in connection.execute(query)]


def project_member_of(
    connection: Connection, organisation_id: str, project_id: str, subject_id: str
) -> ProjectMember | None:
    query = _of_project(organisation_id, project_id).where(
        project_member.c.subject_id == subject_id
    )
    row = connection.execute(query).first()
    return None if row is None else ProjectMember(**row._mapping)


def set_project_role(
    connection: Connection,
    organisation_id: str,
    project_id: str,
    subject_id: str,
    role_name: str,
    now_ms: int,
) -> None:
    """Also of somebody who had none there; `now_ms` is since when."""
    here = (project_member.c.project_id == project_id) & (project_member.c.subject_id == subject_id)
    changed = connection.execute(update(project_member).where(here).values(role=role_name))
    if changed.rowcount:
        return
    connection.execute(
        insert(project_member).values(
            project_id=project_id,
            subject_id=subject_id,
            organisation_id=organisation_id,
            role=role_name,
            created_at_ms=now_ms,
        )
    )


def remove_project_member(
    connection: Connection, organisation_id: str, project_id: str, subject_id: str
) -> None:
    connection.execute(
        delete(project_member).where(
            project_member.c.organisation_id == organisation_id,
            project_member.c.project_id == project_id,
            project_member.c.subject_id == subject_id,
        )
    )


def add_account(connection: Connection, made: ServiceAccount) -> None:
    connection.execute(
        insert(subject).values(
            id=made.id,
            kind="service_account",
            name=made.name,
            project_id=made.project_id,
            created_at_ms=made.created_at_ms,
        )
    )
    set_project_role(
        connection, made.organisation_id, made.project_id, made.id, made.role, made.created_at_ms
    )


def accounts(
    connection: Connection,
    organisation_id: str | None,
    project_id: str | None,
    window: Window,
    among: tuple[str, ...] | None,
) -> list[ServiceAccount]:
    """Oldest first, disabled ones included.  organisation_id, project_id: None for every one.
    among: of these projects only; None: of all."""
    query = paged(_of(_ACCOUNT, organisation_id), subject.c.id, window)
    if among is not None:
        query = query.where(subject.c.project_id.in_(among))
    if project_id is not None:
        query = query.where(subject.c.project_id == project_id)
    return [ServiceAccount(**row._mapping) for row in connection.execute(query)]


def accounts_at_work(connection: Connection, organisation_id: str) -> int:
    """How many were not disabled."""
    query = (
        select(func.count())
        .select_from(project)
        .join(subject, subject.c.project_id == project.c.id)
        .where(project.c.organisation_id == organisation_id, subject.c.disabled_at_ms.is_(None))
    )
    return connection.execute(query).scalar_one()


def account_of(
    connection: Connection, organisation_id: str | None, account_id: str
) -> ServiceAccount | None:
    """organisation_id: whose it must be; None: anybody's."""
    query = _of(_ACCOUNT, organisation_id).where(subject.c.id == account_id)
    row = connection.execute(query).first()
    return None if row is None else ServiceAccount(**row._mapping)


def disable_account(connection: Connection, account_id: str, now_ms: int) -> None:
    connection.execute(
        update(subject).where(subject.c.id == account_id).values(disabled_at_ms=now_ms)
    )


def end_admin_keys(
    connection: Connection, organisation_id: str, owner_id: str, now_ms: int
) -> list[str]:
    """Revoke those that are not; their ids."""
    query = (
        update(admin_key)
        .where(
            admin_key.c.organisation_id == organisation_id,
            admin_key.c.owner_id == owner_id,
            admin_key.c.revoked_at_ms.is_(None),
        )
        .values(revoked_at_ms=now_ms)
        .returning(admin_key.c.id)
    )
    return sorted(connection.execute(query).scalars())


def _of_project(organisation_id: str, project_id: str) -> Select[Any]:
    return _PROJECT_MEMBER.where(
        project_member.c.organisation_id == organisation_id,
        project_member.c.project_id == project_id,
    )


def _of(query: Select[Any], organisation_id: str | None) -> Select[Any]:
    if organisation_id is None:
        return query
    return query.where(project.c.organisation_id == organisation_id)
