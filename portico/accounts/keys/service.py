"""Issue, list, change, replace and revoke keys.

Every function takes an errand, which runs inside a transaction of its caller's: the server runs it
with `writer.run`, the command line with `database.write`, beside a running server if there is one.
A running server obeys within 5 s.
"""

from dataclasses import asdict, fields, replace
from typing import Any

from portico import errors
from portico.accounts.actors.model import Errand, Rights, unknown
from portico.accounts.actors.names import check_text
from portico.accounts.actors.paging import ALL, Window
from portico.accounts.keys import rules, store
from portico.accounts.keys.model import IssuedKey, Key, KeyChange, KeyWish
from portico.accounts.keys.owners import check_replacing, owner_for, owner_rights
from portico.accounts.projects.service import first_project, project_of
from portico.callers.pepper import Pepper
from portico.callers.rules import digest, new_key
from portico.callers.scopes import KEY_SCOPES
from portico.kit.ids import new_id

_PREFIX_CHARACTERS = 12
OVERLAP_MS = 86_400_000
"""How long a replaced key goes on working, unless somebody says otherwise."""
_OVERLAP_MS_MAX = 30 * 86_400_000


def create_key(
    errand: Errand,
    peppers: tuple[Pepper, ...],
    wish: KeyWish,
    project_id: str | None = None,
) -> IssuedKey:
    """project_id: None for the project of the first start.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded, out_of_range,
    invalid_value.
    """
    project = project_of(errand, project_id or first_project(errand.connection) or "")
    errand.require("keys:write", project.id)
    now_ms = errand.clock.wall_ms()
    rules.check(wish, now_ms)
    rules.check_subset(wish.scopes, errand.by.within(project.id))
    wish = rules.bounded(wish, errand.by.ends_at_ms, errand.by.networks)
    facts = _facts(errand, wish)
    facts["owner_id"] = owner_for(errand, project, wish.owner_id)
    _check_owner(errand, project.organisation_id, project.id, facts["owner_id"], wish.scopes)
    errand.check_room(
        "keys in this project",
        errand.caps.project_keys,
        lambda: store.alive(errand.connection, project.organisation_id, project.id, now_ms),
    )
    return _issue(errand, peppers, project.id, project.organisation_id, facts)


def list_keys(errand: Errand, project_id: str | None = None, window: Window = ALL) -> list[Key]:
    """Those that whoever asks may read, oldest first, revoked ones included."""
    errand.require_anywhere("keys:read")
    if project_id is not None:
        project_of(errand, project_id)
    among = errand.by.projects_with("keys:read")
    return store.keys(errand.connection, errand.by.organisation_id, project_id, window, among)


def key_of(errand: Errand, key_id: str) -> Key:
    """Raises: Refusal: resource_not_found, also of one that is not theirs."""
    errand.require_anywhere("keys:read")
    key = store.key(errand.connection, errand.by.organisation_id, key_id)
    if key is None or "keys:read" not in errand.by.within(key.project_id):
        raise unknown("key", key_id)
    return key


def change_key(errand: Errand, key_id: str, wish: KeyChange) -> Key:
    """The key as it is afterwards.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded, out_of_range,
    invalid_value; conflict, for an ephemeral key: it is what the key that made it wished.
    """
    before = key_of(errand, key_id)
    errand.require("keys:write", before.project_id)
    if before.kind == "ephemeral":
        raise errors.CONFLICT(
            f"The key {key_id!r} is ephemeral; it cannot be changed, only revoked.", field="id"
        )
    values: dict[str, Any] = {
        each.name: getattr(wish, each.name)
        for each in fields(wish)
        if getattr(wish, each.name) is not None
    }
    if values.get("compatibility") == "project":
        values["compatibility"] = None
    for name in ("scopes", "models", "networks"):
        if name in values:
            values[name] = values[name] or None
    after = replace(before, **values)
    if after.scopes is None and before.scopes is not None and errand.by.narrowed:
        after = replace(after, scopes=tuple(sorted(KEY_SCOPES)))
    _check_change(errand, before, after)
    return _changed(errand, before, after, "update")


def revoke_key(errand: Errand, key_id: str, reason: str = "") -> Key:
    """The key as it is afterwards; revoking it again changes nothing.

    Ephemeral keys that were made with it end with it.
    """
    before = key_of(errand, key_id)
    errand.require("keys:write", before.project_id)
    check_text(reason, "reason")
    if before.revoked_at_ms is not None:
        return before
    after = replace(before, revoked_at_ms=errand.clock.wall_ms())
    return _changed(errand, before, after, "revoke", reason)


def revoke_leaked(errand: Errand, digests: tuple[bytes, ...], reason: str) -> Key | None:
    """The key that somebody has found in public, revoked; None where there is none."""
    found = store.by_digest(errand.connection, digests)
    return None if found is None else revoke_key(errand, found.id, reason)


def replace_key(
    errand: Errand, peppers: tuple[Pepper, ...], key_id: str, overlap_ms: int = OVERLAP_MS
) -> IssuedKey:
    """A new key like the old one, which works for `overlap_ms` more and says so in its answers.
    Its limits and budgets are the new one's too; what was spent under the old one is not.  One that
    was made to end lives for as long again, but for no longer than the credential it is made with.

    Raises: Refusal: conflict, for a key that is revoked, ephemeral or replaced already;
    rights_exceeded.
    """
    before = key_of(errand, key_id)
    errand.require("keys:write", before.project_id)
    if not 0 <= overlap_ms <= _OVERLAP_MS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'overlap' is {overlap_ms} ms; it must be 0 to {_OVERLAP_MS_MAX}.",
            field="overlap",
            value=overlap_ms,
            limit=_OVERLAP_MS_MAX,
        )
    for wrong, why in (
        (before.revoked_at_ms is not None, "is revoked"),
        (before.kind == "ephemeral", "is ephemeral"),
        (before.successor_id is not None, f"is being replaced by {before.successor_id}"),
    ):
        if wrong:
            raise errors.CONFLICT(f"The key {key_id!r} {why}; it cannot be replaced.", field="id")
    rules.check_subset(before.scopes, errand.by.within(before.project_id))
    check_replacing(errand, before.project_id, before.owner_id)
    now_ms = errand.clock.wall_ms()
    facts = _like(errand, before, now_ms)
    organisation_id = store.organisation_of(errand.connection, key_id)
    errand.check_room(
        "replaced keys in this project",
        errand.caps.replaced_keys,
        lambda: store.alive(
            errand.connection, organisation_id, before.project_id, now_ms, replaced=True
        ),
    )
    issued = _issue(errand, peppers, before.project_id, organisation_id, facts)
    store.copy_limits(errand.connection, key_id, issued.key.id, now_ms)
    ends_ms = now_ms + overlap_ms
    if before.expires_at_ms is not None:
        ends_ms = min(ends_ms, before.expires_at_ms)
    after = replace(before, successor_id=issued.key.id, expires_at_ms=ends_ms)
    _changed(errand, before, after, "replace")
    return issued


def narrow_owned(errand: Errand, organisation_id: str, owner_id: str, rights: Rights) -> list[Key]:
    """Take from somebody's keys what he cannot do himself any more; one that could do nothing is
    revoked.  Gives those that changed.

    No scope is asked for: it follows from a change that was allowed, in the same transaction.
    """
    narrowed = []
    for before in store.owned(errand.connection, organisation_id, owner_id):
        had = KEY_SCOPES if before.scopes is None else frozenset(before.scopes)
        left = had & rights.within(before.project_id)
        why = "its owner may do less here now"
        if not left:
            gone = replace(before, revoked_at_ms=errand.clock.wall_ms())
            narrowed.append(_changed(errand, before, gone, "revoke", why))
        elif left != had:
            less = replace(before, scopes=tuple(sorted(left)))
            narrowed.append(_changed(errand, before, less, "update", why))
    return narrowed


def _like(errand: Errand, key: Key, now_ms: int) -> dict[str, Any]:
    """What makes another like this one."""
    ends = (rules.as_long_again(key, now_ms), errand.by.ends_at_ms)
    wish = KeyWish(**{each.name: getattr(key, each.name) for each in fields(KeyWish)})
    wish = replace(wish, expires_at_ms=min(filter(None, ends), default=None))
    return _facts(errand, rules.bounded(wish, None, errand.by.networks))


def _facts(errand: Errand, wish: KeyWish) -> dict[str, Any]:
    """What of the wish is stored.  Whoever has a list of scopes himself makes keys that have one:
    those without one can do what a later version brings."""
    if wish.scopes is None and errand.by.narrowed:
        wish = replace(wish, scopes=tuple(sorted(KEY_SCOPES)))
    return {each.name: getattr(wish, each.name) for each in fields(wish)}


def _issue(
    errand: Errand,
    peppers: tuple[Pepper, ...],
    project_id: str,
    organisation_id: str,
    facts: dict[str, Any],
) -> IssuedKey:
    secret = new_key(facts["mode"])
    pepper = peppers[-1]
    key = Key(
        id=new_id("key"),
        project_id=project_id,
        prefix=secret[:_PREFIX_CHARACTERS],
        last4=secret[-4:],
        created_at_ms=errand.clock.wall_ms(),
        revoked_at_ms=None,
        **facts,
    )
    stored = digest(pepper.secret, secret)
    store.add(errand.connection, key, organisation_id, pepper.id, stored)
    errand.note(organisation_id, "key.create", key.id, after=asdict(key))
    return IssuedKey(key, secret)


def _check_change(errand: Errand, before: Key, after: Key) -> None:
    wish = KeyWish(**{each.name: getattr(after, each.name) for each in fields(KeyWish)})
    rules.check(replace(wish, expires_at_ms=None), errand.clock.wall_ms())
    if after.networks != before.networks:
        rules.check_inside(after.networks, errand.by.networks)
    if after.scopes != before.scopes:
        rules.check_subset(after.scopes, errand.by.within(before.project_id))
        organisation_id = store.organisation_of(errand.connection, before.id)
        _check_owner(errand, organisation_id, before.project_id, before.owner_id, after.scopes)


def _check_owner(
    errand: Errand,
    organisation_id: str,
    project_id: str,
    owner_id: str | None,
    scopes: tuple[str, ...] | None,
) -> None:
    """Nor can a key do what its owner cannot."""
    if owner_id is not None:
        rights = owner_rights(errand, organisation_id, owner_id)
        rules.check_subset(scopes, rights.within(project_id))


def _changed(errand: Errand, before: Key, after: Key, verb: str, reason: str = "") -> Key:
    was, now = asdict(before), asdict(after)
    values = {name: now[name] for name in now if now[name] != was[name]}
    if values:
        store.change(errand.connection, before.id, values)
    organisation_id = store.organisation_of(errand.connection, before.id)
    said = {**now, "reason": reason} if reason else now
    errand.note(organisation_id, f"key.{verb}", before.id, was, said)
    return after
