"""Rows of admin keys, and what their owners are."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, func, insert, or_, select, update

from portico.accounts.actors.paging import ALL, Window, paged
from portico.accounts.admin_keys.model import AdminKey, KnownAdminKey
from portico.db.tables import admin_key, organisation, subject

_SHOWN = [admin_key.c[name] for name in AdminKey.__dataclass_fields__]
_WORDS = ("scopes", "networks")


def add(connection: Connection, key: AdminKey, pepper_id: str, digest: bytes) -> None:
    facts = {name: getattr(key, name) for name in AdminKey.__dataclass_fields__}
    for name in _WORDS:
        if facts[name] is not None:
            facts[name] = " ".join(facts[name])
    connection.execute(insert(admin_key).values(**facts, pepper_id=pepper_id, digest=digest))


def keys(
    connection: Connection, organisation_id: str | None, window: Window = ALL
) -> list[AdminKey]:
    """Oldest first.  organisation_id: None for all there are, the operator's among them."""
    query = paged(_of(select(*_SHOWN), organisation_id), admin_key.c.id, window)
    return [_key(row) for row in connection.execute(query)]


def key(connection: Connection, organisation_id: str | None, key_id: str) -> AdminKey | None:
    """organisation_id: whose it must be; None: anybody's."""
    query = _of(select(*_SHOWN).where(admin_key.c.id == key_id), organisation_id)
    row = connection.execute(query).first()
    return None if row is None else _key(row)


def alive(connection: Connection, organisation_id: str, now_ms: int) -> int:
    """How many may be used."""
    query = select(func.count()).where(
        admin_key.c.organisation_id == organisation_id,
        admin_key.c.revoked_at_ms.is_(None),
        or_(admin_key.c.expires_at_ms.is_(None), admin_key.c.expires_at_ms > now_ms),
    )
    return connection.execute(query).scalar_one()


def revoke(connection: Connection, key_id: str, at_ms: int) -> None:
    connection.execute(
        update(admin_key).where(admin_key.c.id == key_id).values(revoked_at_ms=at_ms)
    )


def find(connection: Connection, digests: Iterable[bytes]) -> KnownAdminKey | None:
    """digests: the key's with each pepper."""
    query = (
        select(
            *_SHOWN, subject.c.kind, organisation.c.suspended_at_ms, organisation.c.suspended_reason
        )
        .outerjoin(organisation, organisation.c.id == admin_key.c.organisation_id)
        .outerjoin(subject, subject.c.id == admin_key.c.owner_id)
        .where(admin_key.c.digest.in_(tuple(digests)))
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    suspended = None if row.suspended_at_ms is None else row.suspended_reason or ""
    return KnownAdminKey(_key(row), row.kind, suspended)


def organisation_exists(connection: Connection, organisation_id: str) -> bool:
    found = connection.execute(
        select(organisation.c.id).where(organisation.c.id == organisation_id)
    )
    return found.first() is not None


def note_use(connection: Connection, used: Mapping[str, int]) -> None:
    """used: by key, when (wall clock, milliseconds)."""
    for key_id, at_ms in used.items():
        connection.execute(
            update(admin_key).where(admin_key.c.id == key_id).values(last_used_at_ms=at_ms)
        )


def _of(query: Select[Any], organisation_id: str | None) -> Select[Any]:
    if organisation_id is None:
        return query
    return query.where(admin_key.c.organisation_id == organisation_id)


def _key(row: Any) -> AdminKey:
    facts = {name: getattr(row, name) for name in AdminKey.__dataclass_fields__}
    for name in _WORDS:
        if facts[name] is not None:
            facts[name] = tuple(facts[name].split())
    return AdminKey(**facts)
