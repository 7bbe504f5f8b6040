"""Rows of keys."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, insert, or_, select, update

from portico.accounts.actors.paging import ALL, Window, paged
from portico.accounts.keys.model import Key
from portico.db.tables import api_key, budget, rate_limit
from portico.kit.ids import new_id

_SHOWN = [api_key.c[name] for name in Key.__dataclass_fields__]
_WORDS = ("scopes", "networks")


def add(
    connection: Connection, key: Key, organisation_id: str, pepper_id: str, digest: bytes
) -> None:
    facts = {name: getattr(key, name) for name in Key.__dataclass_fields__}
    connection.execute(
        insert(api_key).values(
            **stored(facts), organisation_id=organisation_id, pepper_id=pepper_id, digest=digest
        )
    )


def keys(
    connection: Connection,
    organisation_id: str | None,
    project_id: str | None = None,
    window: Window = ALL,
    among: tuple[str, ...] | None = None,
) -> list[Key]:
    """Oldest first.  organisation_id: None for every organisation.  project_id: that one only.
    among: of these projects only; None: of all."""
    query = paged(select(*_SHOWN), api_key.c.id, window)
    if among is not None:
        query = query.where(api_key.c.project_id.in_(among))
    if project_id is not None:
        query = query.where(api_key.c.project_id == project_id)
    return [_key(row) for row in connection.execute(_of(query, organisation_id))]


def key(connection: Connection, organisation_id: str | None, key_id: str) -> Key | None:
    """organisation_id: whose it must be; None: anybody's."""
    query = _of(select(*_SHOWN).where(api_key.c.id == key_id), organisation_id)
    row = connection.execute(query).first()
    return None if row is None else _key(row)


def organisation_of(connection: Connection, key_id: str) -> str:
    found = connection.execute(select(api_key.c.organisation_id).where(api_key.c.id == key_id))
    return str(found.scalar_one())


def by_digest(connection: Connection, digests: Iterable[bytes]) -> Key | None:
    query = select(*_SHOWN).where(api_key.c.digest.in_(tuple(digests)))
    row = connection.execute(query).first()
    return None if row is None else _key(row)


def owned(connection: Connection, organisation_id: str, owner_id: str) -> list[Key]:
    """Of a user or service account, those that are not revoked."""
    query = _of(select(*_SHOWN), organisation_id).where(
        api_key.c.owner_id == owner_id, api_key.c.revoked_at_ms.is_(None)
    )
    return [_key(row) for row in connection.execute(query)]


def change(connection: Connection, key_id: str, values: dict[str, Any]) -> None:
    connection.execute(update(api_key).where(api_key.c.id == key_id).values(**stored(values)))


def copy_limits(connection: Connection, key_id: str, to: str, now_ms: int) -> None:
    """What one key is held to, another is too: limits per minute, and budgets."""
    for row in connection.execute(select(rate_limit).where(rate_limit.c.scope_id == key_id)):
        connection.execute(
            insert(rate_limit).values({**row._mapping, "scope_id": to, "set_at_ms": now_ms})
        )
    for row in connection.execute(
        select(budget).where(budget.c.scope == "key", budget.c.scope_id == key_id)
    ):
        connection.execute(
            insert(budget).values({**row._mapping, "id": new_id("bud"), "scope_id": to})
        )


def alive(
    connection: Connection,
    organisation_id: str,
    project_id: str,
    now_ms: int,
    *,
    replaced: bool = False,
) -> int:
    """How many of a project may be used, without those that were made with another.

    replaced: those that have a successor; else those that have none.
    """
    query = (
        select(func.count())
        .select_from(api_key)
        .where(
            api_key.c.organisation_id == organisation_id,
            api_key.c.project_id == project_id,
            api_key.c.parent_id.is_(None),
            api_key.c.revoked_at_ms.is_(None),
            or_(api_key.c.expires_at_ms.is_(None), api_key.c.expires_at_ms > now_ms),
            api_key.c.successor_id.is_not(None) if replaced else api_key.c.successor_id.is_(None),
        )
    )
    return connection.execute(query).scalar_one()


def forget_ephemeral(connection: Connection, parent_id: str, now_ms: int) -> None:
    """Those made with this key that have ended: usage stands under it, so nothing names them.  Not
    those that were revoked: what they left to be done must find that they were."""
    connection.execute(
        delete(api_key).where(
            api_key.c.parent_id == parent_id,
            api_key.c.expires_at_ms <= now_ms,
            api_key.c.revoked_at_ms.is_(None),
        )
    )


def ephemeral_of(connection: Connection, parent_id: str, now_ms: int) -> int:
    """How many are alive that were made with this key."""
    query = select(func.count()).where(
        api_key.c.parent_id == parent_id, api_key.c.expires_at_ms > now_ms
    )
    return int(connection.execute(query).scalar_one())


def stored(facts: dict[str, Any]) -> dict[str, Any]:
    """As the columns hold them."""
    kept = dict(facts)
    for name in _WORDS:
        if kept.get(name) is not None:
            kept[name] = " ".join(kept[name])
    if kept.get("models") is not None:
        kept["models"] = msgspec.json.encode(kept["models"]).decode()
    return kept


def _of(query: Select[Any], organisation_id: str | None) -> Select[Any]:
    if organisation_id is None:
        return query
    return query.where(api_key.c.organisation_id == organisation_id)


def _key(row: Row[Any]) -> Key:
    facts = dict(row._mapping)
    for name in _WORDS:
        if facts[name] is not None:
            facts[name] = tuple(facts[name].split())
    if facts["models"] is not None:
        facts["models"] = tuple(msgspec.json.decode(facts["models"]))
    return Key(**facts)
