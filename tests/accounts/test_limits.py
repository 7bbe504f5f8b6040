"""Limits are set by whoever may, and what every server keeps of them in memory is bounded."""

from dataclasses import replace

import pytest

from portico.accounts.limits.model import Limit
from portico.accounts.limits.service import list_limits, set_limit
from portico.accounts.people.members import set_project_role
from tests.accounts.tenancy import Tenancy


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
