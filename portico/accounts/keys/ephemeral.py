"""Keys that live for minutes, for where others can read them: in a browser, on a phone.

A key makes them itself, which is use and no change: it is not written to the audit log, whose rows
stay for ever.  Limits, budgets and usage go by the key that made it; what it may do is a
part of what that one may, and it ends with it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from portico import errors
from portico.accounts.actors.model import unknown
from portico.accounts.actors.names import check_name
from portico.accounts.keys import rules, store
from portico.accounts.keys.model import IssuedKey, Key
from portico.callers.model import Caller
from portico.callers.pepper import Pepper
from portico.callers.rules import digest, new_key
from portico.callers.scopes import OUTLIVING
from portico.kit.clock import Clock
from portico.kit.ids import new_id

EXPIRES_IN_S = 600
EXPIRES_IN_S_MAX = 3_600
ALIVE_MAX = 1_000
"""Made with one key."""
_PREFIX_CHARACTERS = 17


@dataclass(frozen=True, slots=True)
class EphemeralWish:
    """scopes, models: None for all that the key which makes it has."""

    name: str = "ephemeral"
    expires_in_s: int = EXPIRES_IN_S
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None


def mint(
    connection: Connection,
    clock: Clock,
    peppers: tuple[Pepper, ...],
    maker: Caller,
    wish: EphemeralWish,
) -> IssuedKey:
    """In the transaction of its caller.

    Raises: Refusal: out_of_range, invalid_value, rights_exceeded, conflict (too many are alive).
    """
    parent = store.key(connection, maker.organisation_id, maker.credential_id)
    if parent is None:
        raise unknown("key", maker.credential_id)
    _check(maker, wish)
    now_ms = clock.wall_ms()
    store.forget_ephemeral(connection, parent.id, now_ms)
    alive = store.ephemeral_of(connection, parent.id, now_ms)
    if alive >= ALIVE_MAX:
        raise errors.CONFLICT(
            f"This key has made {alive} keys that are still alive; it may have {ALIVE_MAX}.",
            value=alive,
            limit=ALIVE_MAX,
            remedy="Let them live shorter (`expires_in`), or give one to several pages.",
        )
    secret = new_key("ephemeral")
    key = Key(
        id=new_id("key"),
        project_id=parent.project_id,
        name=wish.name,
        mode=parent.mode,
        prefix=secret[:_PREFIX_CHARACTERS],
        last4=secret[-4:],
        concurrency_max=parent.concurrency_max,
        created_at_ms=now_ms,
        expires_at_ms=now_ms + wish.expires_in_s * 1000,
        revoked_at_ms=None,
        compatibility=parent.compatibility,
        kind="ephemeral",
        scopes=tuple(sorted(maker.scopes - OUTLIVING)) if wish.scopes is None else wish.scopes,
        models=wish.models,
        parent_id=parent.id,
    )
    pepper = peppers[-1]
    organisation_id = maker.organisation_id
    store.add(connection, key, organisation_id, pepper.id, digest(pepper.secret, secret))
    return IssuedKey(key, secret)


def _check(maker: Caller, wish: EphemeralWish) -> None:
    check_name(wish.name)
    rules.check_models(wish.models)
    if not 1 <= wish.expires_in_s <= EXPIRES_IN_S_MAX:
        raise errors.OUT_OF_RANGE(
            f"'expires_in' is {wish.expires_in_s}; it must be 1 to {EXPIRES_IN_S_MAX} seconds.",
            field="expires_in",
            value=wish.expires_in_s,
            limit=EXPIRES_IN_S_MAX,
        )
    rules.check_scopes(wish.scopes)
    if wish.scopes is not None:
        rules.check_subset(wish.scopes, maker.scopes - OUTLIVING)
    if maker.models is not None and not maker.models.issuperset(wish.models or ()):
        missing = sorted(frozenset(wish.models or ()) - maker.models)
        raise errors.RIGHTS_EXCEEDED(
            f"The new key would name {', '.join(missing)}, which its maker may not.",
            field="models",
            value=missing,
            limit=sorted(maker.models),
        )
