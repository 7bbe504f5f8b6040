"""Limits are set by whoever may, and what every server keeps of them in memory is bounded."""

from dataclasses import replace

import pytest

from portico.accounts.keys.ephemeral import EphemeralWish, mint
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.limits.model import Limit
from portico.accounts.limits.service import limit_of, list_limits, set_limit
from portico.accounts.people.members import set_project_role
from portico.billing.budgets import UnknownScope, set_budget
from portico.callers.model import Caller
from portico.callers.scopes import GENERATE, MINT
from portico.db.transaction import Transaction
from portico.errors import Refusal
from tests.accounts.tenancy import Act, Tenancy


def test_a_scope_has_limits_for_so_many_models_and_no_more(tenancy: Tenancy) -> None:
    def put(model: str, most: int | None = 1) -> None:
        limit = Limit("project", tenancy.project_id, model, requests_per_minute=most)
        tenancy.do(lambda e: set_limit(e, limit), tenancy.ada)

    for number in range(100):
        put(f"m{number}")
    put("")
    one_more = Limit("project", tenancy.project_id, "m100", requests_per_minute=1)
    assert tenancy.refused(lambda e: set_limit(e, one_more), tenancy.ada) == "out_of_range"
    put("m7", 9)
    put("m8", None)
    put("m100")
    found = tenancy.do(list_limits, tenancy.ada)
    assert len(found) == 101
    assert {each.model: each.requests_per_minute for each in found}["m7"] == 9


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        (Limit("project", "", "m" * 201, requests_per_minute=1), "out_of_range"),
        (Limit("project", "", "a\0b", requests_per_minute=1), "invalid_value"),
        (Limit("project", "", requests_per_minute=-1), "out_of_range"),
        (Limit("project", "", output_tokens_per_minute=2**53), "out_of_range"),
        (Limit("project", "", requests_at_once=2**70), "out_of_range"),
    ],
    ids=repr,
)
def test_what_cannot_be_counted_is_no_limit(tenancy: Tenancy, limit: Limit, code: str) -> None:
    told = replace(limit, scope_id=tenancy.project_id)
    assert tenancy.refused(lambda e: set_limit(e, told), tenancy.ada) == code


def test_customers_are_held_to_limits_that_they_do_not_set(tenancy: Tenancy) -> None:
    for limit in (
        Limit("organisation", tenancy.organisation_id, requests_per_minute=1),
        Limit("installation", "", requests_per_minute=1),
    ):
        assert tenancy.refused(lambda e, limit=limit: set_limit(e, limit), tenancy.ada) == (
            "permission_denied"
        )
        tenancy.do(lambda e, limit=limit: set_limit(e, limit))
    assert len(tenancy.do(list_limits, tenancy.ada)) == 1  # not the installation's


def test_whoever_reads_limits_does_not_set_them(tenancy: Tenancy) -> None:
    eve = tenancy.joined("eve", "member")
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, eve, "developer"), tenancy.ada)
    limit = Limit("project", tenancy.project_id, requests_per_minute=10**9)
    assert tenancy.refused(lambda e: set_limit(e, limit), eve) == "permission_denied"
    assert tenancy.do(lambda e: list_limits(e, "project", tenancy.project_id), eve) == []
    other = replace(limit, scope_id=tenancy.other_id)
    for act in (
        lambda e: set_limit(e, other),
        lambda e: list_limits(e, "project", tenancy.other_id),
        lambda e: set_limit(e, replace(limit, scope_id="proj_none")),
    ):
        assert tenancy.refused(act, eve) == "resource_not_found"


def test_limits_of_an_ephemeral_key_are_those_of_its_maker(tenancy: Tenancy) -> None:
    """It is counted under its maker's id, so a limit under its own would count for nobody."""
    wish = KeyWish("maker")
    maker = tenancy.do(lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id)).key
    caller = Caller(
        *(maker.id, tenancy.project_id, tenancy.organisation_id, "live"),
        concurrency_max=1,
        credential_id=maker.id,
        scopes=frozenset({GENERATE, MINT}),
    )
    child = tenancy.database.write(
        lambda c: mint(c, tenancy.clock, tenancy.peppers, caller, EphemeralWish())
    ).key
    events = tenancy.actions()
    for act in (
        lambda e: set_limit(e, Limit("key", child.id, requests_per_minute=1)),
        lambda e: set_limit(e, Limit("key", child.id)),
        lambda e: list_limits(e, "key", child.id),
        lambda e: limit_of(e, "key", child.id),
    ):
        with pytest.raises(Refusal) as refused:
            tenancy.do(act, tenancy.ada)
        told = refused.value
        assert (told.code, told.field, told.value) == ("conflict", "scope_id", maker.id)
    assert tenancy.actions() == events
    with pytest.raises(UnknownScope, match=f"counts for {maker.id}"):
        tenancy.database.write(
            lambda c: set_budget(Transaction(c), "key", child.id, "day", 1, tenancy.clock.now_ms)
        )


def test_what_is_not_limited_cannot_be_taken_away(tenancy: Tenancy) -> None:
    limit = Limit("project", tenancy.project_id, "m", requests_per_minute=1)
    tenancy.do(lambda e: set_limit(e, limit), tenancy.ada)
    events = tenancy.actions()
    nothing = Limit("project", tenancy.project_id)  # of all models together
    assert tenancy.refused(lambda e: set_limit(e, nothing), tenancy.ada) == "resource_not_found"
    assert tenancy.actions() == events
    away = replace(nothing, model="m")
    tenancy.do(lambda e: set_limit(e, away), tenancy.ada)
    assert tenancy.refused(lambda e: set_limit(e, away), tenancy.ada) == "resource_not_found"
    assert tenancy.actions() == [*events, "limit.remove"]


def test_one_limit_is_read_by_what_it_is_of(tenancy: Tenancy) -> None:
    for model, most in (("", 5), ("m", 6)):
        limit = Limit("project", tenancy.project_id, model, requests_per_minute=most)
        tenancy.do(lambda e, limit=limit: set_limit(e, limit), tenancy.ada)

    def look(model: str) -> Act[Limit]:
        return lambda e: limit_of(e, "project", tenancy.project_id, model)

    assert tenancy.do(look("m"), tenancy.ada).requests_per_minute == 6
    assert tenancy.do(look(""), tenancy.ada).requests_per_minute == 5
    assert tenancy.refused(look("n"), tenancy.ada) == "resource_not_found"
    eve = tenancy.joined("eve", "member")
    assert tenancy.refused(look("m"), eve) == "permission_denied"
