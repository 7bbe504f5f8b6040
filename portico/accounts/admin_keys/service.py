"""Issue, list and revoke keys of the admin API, and say what one opens.

A key never opens more than its owner may at that moment: his roles are read with every request.
"""

from dataclasses import asdict, replace

from sqlalchemy import Connection

from portico import errors
from portico.accounts.actors.model import Errand, Rights, unknown
from portico.accounts.actors.names import check_text
from portico.accounts.actors.paging import ALL, Window
from portico.accounts.actors.rights import rights_of_subject
from portico.accounts.actors.roles import INSTALLATION_SCOPES
from portico.accounts.admin_keys import rules, store
from portico.accounts.admin_keys.model import (
    AdminKey,
    AdminKeyWish,
    IssuedAdminKey,
)
from portico.audit.model import Actor
from portico.callers.pepper import Pepper
from portico.callers.rules import digest, new_key
from portico.kit.ids import new_id

_PREFIX_CHARACTERS = 13


def rights_of(
    connection: Connection, digests: tuple[bytes, ...], now_ms: int, address: str
) -> Rights:
    """What a key opens now; its id is `actor.credential_id`.  digests: the key's with each pepper.

    Raises: Refusal: invalid_api_key, api_key_revoked, api_key_expired (401); address_not_allowed,
    organization_suspended (403).
    """
    known = rules.check_opens(store.find(connection, digests), now_ms, address)
    key = known.key
    actor = Actor(known.owner_kind or "operator", key.owner_id or key.id, key.id, address)
    return _opened(connection, key, actor)


def create_admin_key(
    errand: Errand, peppers: tuple[Pepper, ...], wish: AdminKeyWish
) -> IssuedAdminKey:
    """Raises: Refusal: permission_denied, rights_exceeded, resource_not_found, missing_field,
    out_of_range, invalid_value.
    """
    errand.require("admin_keys:write")
    rules.check(wish, errand.clock.wall_ms())
    by = errand.by
    wish = _for_somebody(errand, rules.check_lifetime(wish, by.ends_at_ms, by.networks))
    errand.check_room(
        "admin keys in this organisation",
        errand.caps.admin_keys,
        lambda: store.alive(errand.connection, wish.organisation_id or "", errand.clock.wall_ms()),
    )
    key, secret = _drawn(errand, wish)
    return _issue(errand, peppers, _within_rights(errand, key), secret)


def first_key(
    errand: Errand, peppers: tuple[Pepper, ...], organisation_id: str, owner_id: str
) -> IssuedAdminKey:
    """For somebody who has just joined: what he is, is all he may.  No scope is asked for: it
    follows from an invitation that was accepted, in the same transaction."""
    wish = AdminKeyWish("joined", organisation_id=organisation_id, owner_id=owner_id)
    return _issue(errand, peppers, *_drawn(errand, wish))


def list_admin_keys(errand: Errand, window: Window = ALL) -> list[AdminKey]:
    """Revoked ones included, oldest first."""
    errand.require("admin_keys:read")
    return store.keys(errand.connection, errand.by.organisation_id, window)


def admin_key_of(errand: Errand, key_id: str) -> AdminKey:
    """Raises: Refusal: resource_not_found, also of one that is not theirs."""
    errand.require("admin_keys:read")
    key = store.key(errand.connection, errand.by.organisation_id, key_id)
    if key is None:
        raise unknown("admin key", key_id)
    return key


def revoke_admin_key(errand: Errand, key_id: str, reason: str = "") -> AdminKey:
    """The key as it is afterwards; revoking it again changes nothing.  It is refused from the next
    request on.

    Nobody takes away what he has not got, unless it is his own: an admin locks no owner out.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded.
    """
    before = admin_key_of(errand, key_id)
    errand.require("admin_keys:write")
    check_text(reason, "reason")
    if before.revoked_at_ms is not None:
        return before
    if before.owner_id != errand.by.actor.id:
        rules.check_revocable(_beyond(errand, before))
    after = replace(before, revoked_at_ms=errand.clock.wall_ms())
    store.revoke(errand.connection, key_id, errand.clock.wall_ms())
    said = {**asdict(after), "reason": reason} if reason else asdict(after)
    errand.note(before.organisation_id or "", "admin_key.revoke", key_id, asdict(before), said)
    return after


def revoke_leaked(errand: Errand, digests: tuple[bytes, ...], reason: str) -> AdminKey | None:
    """The key that somebody has found in public, revoked; None where there is none."""
    found = store.find(errand.connection, digests)
    return None if found is None else revoke_admin_key(errand, found.key.id, reason)


def _drawn(errand: Errand, wish: AdminKeyWish) -> tuple[AdminKey, str]:
    """A key as `wish` says, and the whole of it, which is nobody's yet."""
    secret = new_key("admin")
    key = AdminKey(
        id=new_id("adminkey"),
        organisation_id=wish.organisation_id,
        owner_id=wish.owner_id,
        name=wish.name,
        prefix=secret[:_PREFIX_CHARACTERS],
        last4=secret[-4:],
        scopes=wish.scopes,
        networks=wish.networks,
        created_at_ms=errand.clock.wall_ms(),
        expires_at_ms=wish.expires_at_ms,
    )
    return key, secret


def _issue(
    errand: Errand, peppers: tuple[Pepper, ...], key: AdminKey, secret: str
) -> IssuedAdminKey:
    pepper = peppers[-1]
    store.add(errand.connection, key, pepper.id, digest(pepper.secret, secret))
    errand.note(key.organisation_id or "", "admin_key.create", key.id, after=asdict(key))
    return IssuedAdminKey(key, secret)


def _for_somebody(errand: Errand, wish: AdminKeyWish) -> AdminKeyWish:
    """With whose rights it goes said."""
    by = errand.by
    if wish.organisation_id is None:
        wish = replace(wish, organisation_id=by.organisation_id)
    if by.organisation_id not in (None, wish.organisation_id) or (
        wish.organisation_id is not None
        and not store.organisation_exists(errand.connection, wish.organisation_id)
    ):
        raise unknown("organisation", wish.organisation_id or "")
    if by.organisation_id is not None:
        wish = replace(wish, owner_id=rules.checked_owner(wish.owner_id, by.actor.id))
    if (wish.owner_id is None) != (wish.organisation_id is None):
        field = "owner_id" if wish.owner_id is None else "organisation_id"
        raise errors.MISSING_FIELD(
            f"{field!r} is missing: a key is somebody's in an organisation, or the operator's.",
            field=field,
        )
    return wish


def _within_rights(errand: Errand, key: AdminKey) -> AdminKey:
    """`key`, where it opens no more than its maker may."""
    by = errand.by
    owner = _opened(errand.connection, replace(key, scopes=None), by.actor)
    has = owner.scopes.union(*owner.in_projects.values())
    if not has:
        raise unknown("owner", key.owner_id or "")
    for_another = by.organisation_id is not None and key.owner_id != by.actor.id
    if for_another:
        for project_id in owner.in_projects:
            errand.require("service_accounts:write", project_id)
    rules.check_covered(frozenset(key.scopes or ()) - has, "owner")
    rules.check_covered(_beyond(errand, key), "maker")
    if key.scopes is None and (by.narrowed or for_another):
        # Its owner may be given more one day; whoever made the key must not get that, too.
        key = replace(key, scopes=tuple(sorted(has)))
    return key


def _beyond(errand: Errand, key: AdminKey) -> set[str]:
    """What `key` opens now that whoever asks may not."""
    opens = _opened(errand.connection, key, errand.by.actor)
    missing = set(opens.scopes - errand.by.scopes)
    for project_id, scopes in opens.in_projects.items():
        missing |= scopes - errand.by.within(project_id)
    return missing


def _opened(connection: Connection, key: AdminKey, actor: Actor) -> Rights:
    """Its owner's rights now AND its own scopes."""
    ends_at_ms, networks = key.expires_at_ms, key.networks or ()
    narrowed = key.scopes is not None
    if key.organisation_id is None or key.owner_id is None:
        scopes = rules.narrowed(INSTALLATION_SCOPES, key.scopes)
        return Rights(actor, None, scopes, {}, ends_at_ms, networks, narrowed)
    owner = rights_of_subject(connection, key.organisation_id, key.owner_id, actor)
    return replace(
        owner,
        scopes=rules.narrowed(owner.scopes, key.scopes),
        in_projects={
            project_id: rules.narrowed(scopes, key.scopes)
            for project_id, scopes in owner.in_projects.items()
        },
        ends_at_ms=ends_at_ms,
        networks=networks,
        narrowed=narrowed,
    )
