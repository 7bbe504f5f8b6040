"""A key is replaced by one that is no more than itself or whoever replaces it; ephemeral keys are part
of the key that makes them."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert

from portico.accounts.keys.ephemeral import EphemeralWish, mint
from portico.accounts.keys.model import Key, KeyChange, KeyWish
from portico.accounts.keys.service import change_key, create_key, key_of, replace_key, revoke_key
from portico.accounts.limits.model import Limit
from portico.accounts.limits.service import list_limits, set_limit
from portico.accounts.people.roles import create_role
from portico.accounts.people.service_accounts import create_service_account
from portico.callers.model import Caller
from portico.callers.scopes import GENERATE, KEY_SCOPES, MINT
from portico.db.tables import budget
from portico.errors import Refusal
from tests.accounts.tenancy import Tenancy

HOUR_MS = 3_600_000
KEEPER = "projects:read keys:read keys:write service_accounts:write generate"


def made(tenancy: Tenancy, **wish: Any) -> Key:
    asked = KeyWish("k", **wish)
    return tenancy.do(lambda e: create_key(e, tenancy.peppers, asked, tenancy.project_id)).key


def replaced(tenancy: Tenancy, key: Key, by: str | None = None, **said: int) -> Key:
    return tenancy.do(lambda e: replace_key(e, tenancy.peppers, key.id, **said), by).key


def minted(tenancy: Tenancy, maker: Key, wish: EphemeralWish, **has: Any) -> Key:
    caller = Caller(
        maker.id,
        maker.project_id,
        tenancy.organisation_id,
        "live",
        1,
        credential_id=maker.id,
        **has,
    )
    return tenancy.database.write(
        lambda c: mint(c, tenancy.clock, tenancy.peppers, caller, wish)
    ).key


def keeper(tenancy: Tenancy) -> str:
    """May make and replace keys, also those of service accounts, but not do all that keys can."""
    scopes = tuple(KEEPER.split())
    tenancy.do(lambda e: create_role(e, tenancy.organisation_id, "keeper", "organisation", scopes))
    return tenancy.joined("kim", "keeper")


def test_whoever_replaces_a_key_gets_no_more_than_he_has(tenancy: Tenancy) -> None:
    kim = keeper(tenancy)
    account = tenancy.do(
        lambda e: create_service_account(e, tenancy.project_id, "ci", "developer")
    ).id
    more = made(tenancy, owner_id=account)
    act = _replace(tenancy, more)
    assert tenancy.refused(act, kim) == "rights_exceeded"
    less = made(tenancy, owner_id=account, scopes=(GENERATE,))
    assert replaced(tenancy, less, kim).scopes == (GENERATE,)


def test_whoever_changes_a_key_gives_it_no_more_than_he_has(tenancy: Tenancy) -> None:
    kim, key = keeper(tenancy), made(tenancy, scopes=("embed",))
    for scopes in ((), ("embed", GENERATE), ("embed", "usage:read")):
        change = KeyChange(scopes=scopes)
        code = tenancy.refused(lambda e, change=change: change_key(e, key.id, change), kim)
        assert code == "rights_exceeded"
    # What he has not got may stay, and go.
    assert tenancy.do(lambda e: change_key(e, key.id, KeyChange(name="n")), kim).scopes == (
        "embed",
    )
    change = KeyChange(scopes=(GENERATE,))
    assert tenancy.do(lambda e: change_key(e, key.id, change), kim).scopes == (GENERATE,)


def test_what_has_ended_or_is_ephemeral_is_not_replaced(tenancy: Tenancy) -> None:
    revoked, twice, maker = made(tenancy), made(tenancy), made(tenancy)
    tenancy.do(lambda e: revoke_key(e, revoked.id))
    replaced(tenancy, twice)
    child = minted(tenancy, maker, EphemeralWish())
    for key in (revoked, twice, child):
        before = tenancy.rows("SELECT count(*) FROM api_key")
        assert tenancy.refused(_replace(tenancy, key)) == "conflict"
        assert tenancy.rows("SELECT count(*) FROM api_key") == before
    for overlap_ms in (-1, 30 * 24 * HOUR_MS + 1):
        assert tenancy.refused(_replace(tenancy, maker, overlap_ms)) == "out_of_range"


def test_the_overlap_never_makes_a_key_live_longer(tenancy: Tenancy) -> None:
    now_ms = tenancy.clock.now_ms
    for ends_ms, overlap_ms, then_ms in (
        (now_ms + HOUR_MS, 24 * HOUR_MS, now_ms + HOUR_MS),
        (now_ms + 24 * HOUR_MS, HOUR_MS, now_ms + HOUR_MS),
        (None, HOUR_MS, now_ms + HOUR_MS),
    ):
        key = made(tenancy, expires_at_ms=ends_ms)
        replaced(tenancy, key, overlap_ms=overlap_ms)
        assert tenancy.do(lambda e, key=key: key_of(e, key.id)).expires_at_ms == then_ms


def test_limits_and_budgets_go_with_it(tenancy: Tenancy) -> None:
    key, other = made(tenancy), made(tenancy)
    for whose in (key, other):
        for model, most in (("", 7), ("m", 3)):
            limit = Limit("key", whose.id, model, requests_per_minute=most)
            tenancy.do(lambda e, limit=limit: set_limit(e, limit))
    tenancy.database.write(
        lambda c: c.execute(
            insert(budget).values(
                id="bud_1",
                organisation_id=tenancy.organisation_id,
                scope="key",
                scope_id=key.id,
                period="day",
                cap_nano=5,
                alert_percents="[]",
                webhook_url="",
                mail="",
                created_at_ms=0,
            )
        )
    )
    heir = replaced(tenancy, key)
    found = tenancy.do(lambda e: list_limits(e, "key", heir.id))
    assert [(each.model, each.requests_per_minute) for each in found] == [("", 7), ("m", 3)]
    assert len(tenancy.do(list_limits)) == 6
    assert tenancy.rows(f"SELECT cap_nano FROM budget WHERE scope_id = '{heir.id}'") == [5]
    assert len(tenancy.rows("SELECT id FROM budget")) == 2


def _replace(tenancy: Tenancy, key: Key, overlap_ms: int = 0) -> Callable[[Any], Any]:
    return lambda e: replace_key(e, tenancy.peppers, key.id, overlap_ms)


# Ephemeral


def test_an_ephemeral_key_can_do_no_more_than_its_maker(tenancy: Tenancy) -> None:
    maker = made(tenancy)
    scopes, models = frozenset({GENERATE, MINT}), frozenset({"m", "n"})

    def tried(wish: EphemeralWish) -> str:
        with pytest.raises(Refusal) as refusal:
            minted(tenancy, maker, wish, scopes=scopes, models=models)
        return refusal.value.code

    for more in ((MINT,), ("embed",), (GENERATE, "usage:read"), tuple(KEY_SCOPES)):
        assert tried(EphemeralWish(scopes=more)) == "rights_exceeded"
    assert tried(EphemeralWish(models=("m", "x"))) == "rights_exceeded"
    child = minted(tenancy, maker, EphemeralWish(models=("n",)), scopes=scopes, models=models)
    assert (child.scopes, child.models, child.parent_id) == ((GENERATE,), ("n",), maker.id)
    nothing = minted(tenancy, maker, EphemeralWish(scopes=(), models=()), scopes=scopes)
    assert (nothing.scopes, nothing.models) == ((), ())


def test_ephemeral_keys_are_forgotten_once_they_have_ended(tenancy: Tenancy) -> None:
    maker = made(tenancy)
    child = minted(tenancy, maker, EphemeralWish(expires_in_s=60))
    tenancy.clock.pass_s(59)
    minted(tenancy, maker, EphemeralWish())
    assert child.id in tenancy.rows("SELECT id FROM api_key")
    tenancy.clock.pass_s(1)
    minted(tenancy, maker, EphemeralWish())
    kept = tenancy.rows("SELECT id FROM api_key")
    assert child.id not in kept
    assert maker.id in kept
