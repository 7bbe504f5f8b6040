"""Rows of invitations."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from portico.accounts.actors.paging import Window, paged
from portico.accounts.people.model import Invitation
from portico.db.tables import invitation

_SHOWN = [invitation.c[name] for name in Invitation.__dataclass_fields__]


def add(connection: Connection, made: Invitation, pepper_id: str, digest: bytes) -> None:
    facts = {name: getattr(made, name) for name in Invitation.__dataclass_fields__}
    connection.execute(insert(invitation).values(**facts, pepper_id=pepper_id, digest=digest))


def invitations(connection: Connection, organisation_id: str, window: Window) -> list[Invitation]:
    """Oldest first, those of the past included."""
    query = _of(select(*_SHOWN), organisation_id)
    return _all(connection, paged(query, invitation.c.id, window))


def invitation_of(
    connection: Connection, organisation_id: str | None, invitation_id: str
) -> Invitation | None:
    """organisation_id: whose it must be; None: anybody's."""
    query = _of(select(*_SHOWN).where(invitation.c.id == invitation_id), organisation_id)
    return next(iter(_all(connection, query)), None)


def by_digest(connection: Connection, digests: Iterable[bytes]) -> Invitation | None:
    """digests: the token's with each pepper."""
    query = select(*_SHOWN).where(invitation.c.digest.in_(tuple(digests)))
    return next(iter(_all(connection, query)), None)


def unused(
    connection: Connection,
    organisation_id: str,
    *,
    email: str | None = None,
    invited_by: str | None = None,
) -> list[Invitation]:
    """Neither accepted nor taken back; they may have expired."""
    query = _of(select(*_SHOWN), organisation_id).where(
        invitation.c.accepted_at_ms.is_(None), invitation.c.revoked_at_ms.is_(None)
    )
    if email is not None:
        query = query.where(invitation.c.email == email)
    if invited_by is not None:
        query = query.where(invitation.c.invited_by == invited_by)
    return _all(connection, query)


def open_ones(connection: Connection, organisation_id: str, now_ms: int) -> int:
    """How many can be accepted."""
    query = select(func.count()).where(
        invitation.c.organisation_id == organisation_id,
        invitation.c.accepted_at_ms.is_(None),
        invitation.c.revoked_at_ms.is_(None),
        invitation.c.expires_at_ms > now_ms,
    )
    return connection.execute(query).scalar_one()


def change(connection: Connection, invitation_id: str, **values: int) -> None:
    connection.execute(update(invitation).where(invitation.c.id == invitation_id).values(**values))


def _all(connection: Connection, query: Select[Any]) -> list[Invitation]:
    return [Invitation(**row._mapping) for row in connection.execute(query)]


def _of(query: Select[Any], organisation_id: str | None) -> Select[Any]:
    if organisation_id is None:
        return query
    return query.where(invitation.c.organisation_id == organisation_id)
