"""No key outlives, leaves behind or outgrows what it was made with; and what it holds is bounded."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from portico.accounts.actors.model import Errand, operator
from portico.accounts.keys import ephemeral, rules, store
from portico.accounts.keys.ephemeral import EphemeralWish, mint
from portico.accounts.keys.model import IssuedKey, Key, KeyChange, KeyWish
from portico.accounts.keys.service import (
    change_key,
    create_key,
    key_of,
    list_keys,
    replace_key,
    revoke_key,
)
from portico.accounts.projects.model import ProjectWish
from portico.accounts.projects.service import change_project
from portico.audit import service as audit
from portico.callers import store as callers
from portico.callers.model import Caller
from portico.callers.rules import digest
from portico.callers.scopes import GENERATE, KEY_SCOPES, OUTLIVING
from portico.errors import Refusal
from tests.accounts.tenancy import Tenancy
from tests.db.storage import HandClock

HERE = ("10.0.0.0/8", "2001:db8::/32")
DAY_MS = 86_400_000


def bound(tenancy: Tenancy, act: Callable[[Errand], Any], networks: tuple[str, ...] = HERE) -> Any:
    """By ada, with a credential that ends in a day and comes from `networks` only."""

    def does(errand: Errand) -> Any:
        rights = replace(errand.by, ends_at_ms=tenancy.clock.now_ms + DAY_MS, networks=networks)
        return act(replace(errand, by=rights))

    return tenancy.do(does, tenancy.ada)


def refused(tenancy: Tenancy, act: Callable[[Errand], Any]) -> tuple[str, str | None]:
    with pytest.raises(Refusal) as refusal:
        bound(tenancy, act)
    return refusal.value.code, refusal.value.field


def made(tenancy: Tenancy, wish: KeyWish) -> Key:
    return tenancy.do(
        lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id), tenancy.ada
    ).key


def test_a_key_ends_with_the_credential_it_was_made_with(tenancy: Tenancy) -> None:
    ends_ms = tenancy.clock.now_ms + DAY_MS

    def create(**wish: Any) -> Callable[[Errand], IssuedKey]:
        return lambda e: create_key(e, tenancy.peppers, KeyWish("k", **wish), tenancy.project_id)

    assert bound(tenancy, create()).key.expires_at_ms == ends_ms
    assert bound(tenancy, create(expires_at_ms=ends_ms - 1)).key.expires_at_ms == ends_ms - 1
    late = create(expires_at_ms=ends_ms + 1)
    assert refused(tenancy, late) == ("rights_exceeded", "expires_at")


def test_a_key_comes_from_where_its_maker_s_credential_may(tenancy: Tenancy) -> None:
    def create(*networks: str) -> Callable[[Errand], IssuedKey]:
        wish = KeyWish("k", networks=networks)
        return lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id)

    assert bound(tenancy, create()).key.networks == HERE
    inner = ("10.1.2.3", "2001:db8:1::/48")
    assert bound(tenancy, create(*inner)).key.networks == inner
    for wide in (("0.0.0.0/0",), ("10.0.0.0/7",), ("10.1.2.3", "192.0.2.1"), ("::/0",)):
        assert refused(tenancy, create(*wide)) == ("rights_exceeded", "networks")


def test_nor_is_it_widened_with_such_a_credential(tenancy: Tenancy) -> None:
    key = made(tenancy, KeyWish("k", networks=("192.0.2.0/24",)))
    for networks in ((), ("0.0.0.0/0",), ("192.0.2.0/24", "192.0.3.0/24")):
        change = KeyChange(networks=networks)
        told = refused(tenancy, lambda e, change=change: change_key(e, key.id, change))
        assert told == ("rights_exceeded", "networks")
    assert bound(tenancy, lambda e: change_key(e, key.id, KeyChange(name="other"))).networks
    narrowed = bound(tenancy, lambda e: change_key(e, key.id, KeyChange(networks=("10.9.0.0/16",))))
    assert narrowed.networks == ("10.9.0.0/16",)


def test_nor_is_one_got_by_replacing(tenancy: Tenancy) -> None:
    forever = made(tenancy, KeyWish("k"))
    heir = bound(tenancy, lambda e: replace_key(e, tenancy.peppers, forever.id)).key
    assert (heir.expires_at_ms, heir.networks) == (tenancy.clock.now_ms + DAY_MS, HERE)
    elsewhere = made(tenancy, KeyWish("k", networks=("192.0.2.0/24",)))
    told = refused(tenancy, lambda e: replace_key(e, tenancy.peppers, elsewhere.id))
    assert told == ("rights_exceeded", "networks")
    assert tenancy.do(lambda e: key_of(e, elsewhere.id)).successor_id is None


def test_a_key_that_was_made_to_end_is_replaced_by_one_that_ends(tenancy: Tenancy) -> None:
    old = made(tenancy, KeyWish("k", expires_at_ms=tenancy.clock.now_ms + 30 * DAY_MS))
    tenancy.clock.pass_s(29 * 86_400)
    heir = tenancy.do(lambda e: replace_key(e, tenancy.peppers, old.id), tenancy.ada).key
    assert heir.expires_at_ms == tenancy.clock.now_ms + 30 * DAY_MS
    tenancy.clock.pass_s(5 * 86_400)
    again = tenancy.do(lambda e: replace_key(e, tenancy.peppers, heir.id), tenancy.ada).key
    assert again.expires_at_ms == tenancy.clock.now_ms + 30 * DAY_MS
    late = made(tenancy, KeyWish("k", expires_at_ms=253_402_300_799_999))
    tenancy.clock.pass_s(1)
    last = tenancy.do(lambda e: replace_key(e, tenancy.peppers, late.id), tenancy.ada).key
    assert last.expires_at_ms == late.expires_at_ms
    endless = made(tenancy, KeyWish("k"))
    other = tenancy.do(lambda e: replace_key(e, tenancy.peppers, endless.id), tenancy.ada).key
    assert other.expires_at_ms is None


# Ephemeral keys


def caller_of(tenancy: Tenancy, secret: str) -> Caller:
    digests = tuple(digest(pepper.secret, secret) for pepper in tenancy.peppers)
    known = tenancy.database.read(lambda c: callers.find(c, digests))
    assert known is not None
    return known.caller


def minted(tenancy: Tenancy, maker: str, wish: EphemeralWish) -> IssuedKey:
    caller = caller_of(tenancy, maker)
    return tenancy.database.write(lambda c: mint(c, tenancy.clock, tenancy.peppers, caller, wish))


@pytest.fixture
def maker(tenancy: Tenancy) -> IssuedKey:
    wish = KeyWish("maker", concurrency_max=9, models=("m", "n"), networks=("10.0.0.0/8",))
    return tenancy.do(lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id))


def test_an_ephemeral_key_is_not_changed_into_more(tenancy: Tenancy, maker: IssuedKey) -> None:
    key = minted(tenancy, maker.secret, EphemeralWish(scopes=(GENERATE,), models=("m",))).key
    for change in (
        KeyChange(scopes=()),
        KeyChange(networks=("0.0.0.0/0",)),
        KeyChange(concurrency_max=10_000),
        KeyChange(name="other"),
    ):
        code = tenancy.refused(lambda e, change=change: change_key(e, key.id, change))
        assert code == "conflict"
    assert tenancy.do(lambda e: revoke_key(e, key.id)).revoked_at_ms is not None


def test_a_key_has_a_thousand_living_ones_and_no_trace_of_the_dead(
    tenancy: Tenancy, maker: IssuedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ephemeral, "ALIVE_MAX", 3)
    other = made(tenancy, KeyWish("other"))
    events = len(tenancy.database.read(lambda c: list(audit.entries(c))))
    for expires_in_s in (10, 20, 20):
        minted(tenancy, maker.secret, EphemeralWish(expires_in_s=expires_in_s))
    with pytest.raises(Refusal) as refusal:
        minted(tenancy, maker.secret, EphemeralWish())
    assert (refusal.value.code, refusal.value.limit) == ("conflict", 3)
    tenancy.clock.pass_s(11)
    last = minted(tenancy, maker.secret, EphemeralWish()).key
    listed = tenancy.do(lambda e: list_keys(e, tenancy.project_id))
    assert sum(key.parent_id == maker.key.id for key in listed) == 3
    assert {last.id, maker.key.id, other.id} <= {key.id for key in listed}
    assert len(tenancy.database.read(lambda c: list(audit.entries(c)))) == events


def test_an_ephemeral_key_starts_nothing_that_outlives_it_whatever_its_row_says(
    tenancy: Tenancy, maker: IssuedKey
) -> None:
    made = minted(tenancy, maker.secret, EphemeralWish())
    tenancy.database.write(
        lambda c: store.change(c, made.key.id, {"scopes": tuple(sorted(KEY_SCOPES))})
    )
    assert caller_of(tenancy, made.secret).scopes == KEY_SCOPES - OUTLIVING
    assert caller_of(tenancy, maker.secret).scopes == KEY_SCOPES


def test_what_is_taken_from_a_key_is_taken_from_those_made_with_it(
    tenancy: Tenancy, maker: IssuedKey
) -> None:
    made = minted(tenancy, maker.secret, EphemeralWish())
    change = KeyChange(
        concurrency_max=2, scopes=("models:read",), models=("n",), networks=("10.1.0.0/16",)
    )
    tenancy.do(lambda e: change_key(e, maker.key.id, change))
    caller = caller_of(tenancy, made.secret)
    assert (caller.concurrency_max, caller.scopes) == (2, {"models:read"})
    assert caller.models == {"n"}
    assert [str(each) for each in caller.networks] == ["10.1.0.0/16"]
    assert (caller.key_id, caller.credential_id) == (maker.key.id, made.key.id)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (EphemeralWish(name=""), "name"),
        (EphemeralWish(name="n" * 201), "name"),
        (EphemeralWish(name="a\0b"), "name"),
        (EphemeralWish(models=("m",) * 101), "models"),
        (EphemeralWish(models=("m" * 201,)), "models"),
        (EphemeralWish(scopes=(GENERATE,) * 101), "scopes"),
        (EphemeralWish(scopes=("generate embed",)), "scopes"),
        (EphemeralWish(expires_in_s=3_601), "expires_in"),
        (EphemeralWish(expires_in_s=0), "expires_in"),
    ],
)
def test_what_a_caller_may_have_stored_is_bounded(
    tenancy: Tenancy, maker: IssuedKey, wish: EphemeralWish, field: str
) -> None:
    before = tenancy.actions()
    with pytest.raises(Refusal) as refusal:
        minted(tenancy, maker.secret, wish)
    assert (refusal.value.status, refusal.value.field) == (400, field)
    assert tenancy.actions() == before


# What a key holds


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (KeyWish("a\nb"), "name"),
        (KeyWish("k", concurrency_max=0), "concurrency_max"),
        (KeyWish("k", concurrency_max=2**63), "concurrency_max"),
        (KeyWish("k", scopes=("generate\nembed",)), "scopes"),
        (KeyWish("k", scopes=("*",)), "scopes"),
        (KeyWish("k", scopes=("keys:write",)), "scopes"),
        (KeyWish("k", scopes=("",)), "scopes"),
        (KeyWish("k", scopes=(GENERATE,) * 101), "scopes"),
        (KeyWish("k", networks=("10.0.0.0/8 0.0.0.0/0",)), "networks"),
        (KeyWish("k", networks=("::%x 0.0.0.0/0",)), "networks"),
        (KeyWish("k", networks=("fe80::1%eth0",)), "networks"),
        (KeyWish("k", networks=("10.0.0.1/8",)), "networks"),
        (KeyWish("k", networks=("10.0.0.1\n",)), "networks"),
        (KeyWish("k", networks=("",)), "networks"),
        (KeyWish("k", networks=("10.0.0.1",) * 101), "networks"),
        (KeyWish("k", expires_at_ms=HandClock().now_ms), "expires_at"),
        (KeyWish("k", expires_at_ms=253_402_300_800_000), "expires_at"),
        (KeyWish("k", models=("",)), "models"),
        (KeyWish("k", models=("m\0",)), "models"),
        (KeyWish("k", models=("m" * 201,)), "models"),
        (KeyWish("k", models=("m",) * 101), "models"),
    ],
    ids=repr,
)
def test_lists_hold_words_and_nothing_else(tenancy: Tenancy, wish: KeyWish, field: str) -> None:
    with pytest.raises(Refusal) as refusal:
        made(tenancy, wish)
    assert (refusal.value.status, refusal.value.field) == (400, field)


def test_what_is_listed_is_read_as_it_was_written(tenancy: Tenancy) -> None:
    wish = KeyWish(
        "Zoë 株式会社",
        scopes=(GENERATE, "embed"),
        models=("a b", 'x", "y', "ünï"),
        networks=("192.0.2.7", "2001:db8::/32"),
    )
    key = made(tenancy, wish)
    found = tenancy.do(lambda e: key_of(e, key.id))
    assert (found.scopes, found.models, found.networks) == (wish.scopes, wish.models, wish.networks)


def test_a_project_s_models_are_bounded_too(tenancy: Tenancy) -> None:
    for wish in (
        ProjectWish(models=("m" * 201,)),
        ProjectWish(models=("",)),
        ProjectWish(models=("m",) * 1_001),
        ProjectWish(retention="days", retention_days=2**63),
        ProjectWish(retention="days", retention_days=0),
    ):
        code = tenancy.refused(
            lambda e, wish=wish: change_project(e, tenancy.project_id, wish), tenancy.ada
        )
        assert code == "out_of_range"


def test_the_operator_is_who_the_system_says(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody\udcff else")
    actor = tenancy.database.read(lambda c: operator(c, tenancy.clock)).by.actor
    assert (actor.kind, "somebody" in actor.id) == ("operator", False)


def test_inside_is_inside() -> None:
    rules.check_inside(None, ())
    rules.check_inside(("10.0.0.0/8",), ())
    rules.check_inside(("10.0.0.0/8",), ("192.0.2.0/24", "10.0.0.0/8"))
    for wanted in (None, (), ("10.0.0.0/7",), ("10.0.0.0/8", "::1"), ("11.0.0.0/8",)):
        with pytest.raises(Refusal):
            rules.check_inside(wanted, ("10.0.0.0/8",))
