"""One key, found by its digest, and those that were taken away.

Many keys are remembered, and most are alike: what they have in common is in memory once.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_network
from typing import Any, get_args

import msgspec
from sqlalchemy import Connection, bindparam, func, or_, select, update

from portico.callers.model import Caller, KnownKey, Mode, Network, Retention
from portico.callers.scopes import EVERY_SCOPE, KEY_SCOPES, OUTLIVING
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility
from portico.db.tables import api_key, organisation, project

_ALIKE_MAX = 512
_MODES: dict[str, Mode] = {each: each for each in get_args(Mode)}
_COMPATIBILITIES: dict[str, Compatibility] = {each: each for each in get_args(Compatibility)}
_DATA_USES: dict[str, DataUse] = {each: each for each in get_args(DataUse)}
_RETENTIONS: dict[str, Retention] = {each: each for each in get_args(Retention)}
_parent = api_key.alias("parent")
"""Of an ephemeral key: it ends with it."""

_KEYS = (
    select(
        api_key.c.id,
        api_key.c.parent_id,
        api_key.c.project_id,
        api_key.c.organisation_id,
        api_key.c.mode,
        api_key.c.concurrency_max,
        _parent.c.concurrency_max.label("parent_concurrency_max"),
        api_key.c.expires_at_ms,
        _parent.c.expires_at_ms.label("parent_expires_at_ms"),
        func.coalesce(api_key.c.revoked_at_ms, _parent.c.revoked_at_ms).label("revoked_at_ms"),
        api_key.c.scopes,
        _parent.c.scopes.label("parent_scopes"),
        api_key.c.models,
        _parent.c.models.label("parent_models"),
        func.coalesce(api_key.c.networks, _parent.c.networks).label("networks"),
        api_key.c.successor_id,
        project.c.data_use,
        project.c.models.label("project_models"),
        project.c.retention,
        project.c.retention_days,
        project.c.archived_at_ms,
        organisation.c.suspended_at_ms,
        organisation.c.suspended_reason,
        func.coalesce(api_key.c.compatibility, project.c.compatibility).label("compatibility"),
    )
    .join(project, project.c.id == api_key.c.project_id)
    .join(organisation, organisation.c.id == api_key.c.organisation_id)
    .outerjoin(_parent, _parent.c.id == api_key.c.parent_id)
)
_BY_DIGEST = _KEYS.where(api_key.c.digest.in_(bindparam("digests", expanding=True)))
_BY_ID = _KEYS.where(api_key.c.id == bindparam("key_id"))

_AMONG = (
    select(api_key.c.id)
    .join(project, project.c.id == api_key.c.project_id)
    .join(organisation, organisation.c.id == api_key.c.organisation_id)
    .outerjoin(_parent, _parent.c.id == api_key.c.parent_id)
    .where(api_key.c.id.in_(bindparam("ids", expanding=True)))
)
_REVOKED = or_(api_key.c.revoked_at_ms.is_not(None), _parent.c.revoked_at_ms.is_not(None))
_WITHDRAWN = or_(
    _REVOKED, project.c.archived_at_ms.is_not(None), organisation.c.suspended_at_ms.is_not(None)
)
_EXPIRED = or_(
    api_key.c.expires_at_ms <= bindparam("now_ms"), _parent.c.expires_at_ms <= bindparam("now_ms")
)


def find(connection: Connection, digests: tuple[bytes, ...]) -> KnownKey | None:
    """`digests`: the key's digest with each pepper."""
    return _known(connection.execute(_BY_DIGEST, {"digests": digests}).first())


def one(connection: Connection, key_id: str) -> KnownKey | None:
    return _known(connection.execute(_BY_ID, {"key_id": key_id}).first())


def _known(row: Any) -> KnownKey | None:
    if row is None:
        return None
    caller = Caller(
        key_id=row.parent_id or row.id,
        project_id=row.project_id,
        organisation_id=row.organisation_id,
        mode=_MODES[row.mode],
        concurrency_max=min(filter(None, (row.concurrency_max, row.parent_concurrency_max))),
        compatibility=_COMPATIBILITIES[row.compatibility],
        data_use=_DATA_USES[row.data_use],
        credential_id=row.id,
        scopes=_scopes(row.scopes)
        if row.parent_id is None
        else _lent(row.scopes, row.parent_scopes),
        models=_models(row.models, row.parent_models, row.project_models),
        networks=_networks(row.networks),
        retention=_RETENTIONS[row.retention],
        retention_days=row.retention_days,
        lines=_lines(row),
    )
    suspended = None if row.suspended_at_ms is None else row.suspended_reason or ""
    archived = row.archived_at_ms is not None
    return KnownKey(caller, _ends_ms(row), row.revoked_at_ms, suspended, archived)


def ended(connection: Connection, ids: Iterable[str], now_ms: int) -> set[str]:
    """Which of these keys open the door no more."""
    query = _AMONG.where(or_(_WITHDRAWN, _EXPIRED))
    return set(connection.execute(query, {"ids": tuple(ids), "now_ms": now_ms}).scalars())


def withdrawn(connection: Connection, ids: Iterable[str], now_ms: int) -> set[str]:
    """Which of them nothing is done for any more, also of what was left to be done: not those whose
    time is over."""
    return set(connection.execute(_AMONG.where(_WITHDRAWN), {"ids": tuple(ids)}).scalars())


def revoked(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Which of them somebody has revoked, or the key they were made with."""
    return set(connection.execute(_AMONG.where(_REVOKED), {"ids": tuple(ids)}).scalars())


def note_use(connection: Connection, used: Mapping[str, int]) -> None:
    """used: by key, when (wall clock, milliseconds).  A later time that stands there stays."""
    connection.execute(
        update(api_key)
        .where(
            api_key.c.id == bindparam("used_id"),
            or_(
                api_key.c.last_used_at_ms.is_(None),
                api_key.c.last_used_at_ms < bindparam("used_at_ms"),
            ),
        )
        .values(last_used_at_ms=bindparam("used_at_ms")),
        [{"used_id": key_id, "used_at_ms": at_ms} for key_id, at_ms in used.items()],
    )


def _ends_ms(row: Any) -> int | None:
    """Its own end, or that of the key it was made with: whichever comes first."""
    return min(filter(None, (row.expires_at_ms, row.parent_expires_at_ms)), default=None)


@lru_cache(_ALIKE_MAX)
def _scopes(words: str | None) -> frozenset[str]:
    """What a key may do."""
    return KEY_SCOPES if words is None else EVERY_SCOPE.intersection(words.split())


@lru_cache(_ALIKE_MAX)
def _lent(words: str | None, of_parent: str | None) -> frozenset[str]:
    """What the key AND the key it was made with may do.  It starts nothing that outlives
    it."""
    return _scopes(words) & _scopes(of_parent) - OUTLIVING


@lru_cache(_ALIKE_MAX)
def _networks(words: str | None) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in (words or "").split())


@lru_cache(_ALIKE_MAX)
def _models(*texts: str | None) -> frozenset[str] | None:
    """Those that the key, the key it was made with AND their project allow."""
    lists = [frozenset(msgspec.json.decode(text)) for text in texts if text]
    return frozenset.intersection(*lists) if lists else None


def _lines(row: Any) -> bytes:
    """What a key that is being replaced says with every answer (RFC 9745, RFC 8594)."""
    if row.successor_id is None or row.expires_at_ms is None:
        return b""
    ends = datetime.fromtimestamp(row.expires_at_ms / 1000, UTC)
    return (
        f"deprecation: @{row.expires_at_ms // 1000}\r\n"
        f"sunset: {ends:%a, %d %b %Y %H:%M:%S} GMT\r\n"
        f"portico-key-successor: {row.successor_id}\r\n"
    ).encode("ascii")
