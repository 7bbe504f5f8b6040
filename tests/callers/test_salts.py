"""What keeps tenants apart in an engine's prefix cache."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.callers import salts
from portico.callers.model import Caller
from portico.callers.salts import Salts

ANNE = Caller("key_1", "proj_1", "org_1", "live", 8)
SECRET = b"s" * 32


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_it_is_64_digits_whatever_the_names(organisation, project, model):
    caller = replace(ANNE, organisation_id=organisation, project_id=project)
    for scope in ("organisation", "project"):
        assert re.fullmatch(r"[0-9a-f]{64}", Salts(SECRET, scope).of(caller, model))


def test_it_stays_the_same_for_a_tenant_and_a_model():
    other_key = replace(ANNE, key_id="key_2")
    assert Salts(SECRET, "organisation").of(ANNE, "m") == Salts(SECRET, "organisation").of(
        other_key, "m"
    )


@pytest.mark.parametrize(
    ("scope", "other", "shared"),
    [
        ("organisation", {"project_id": "proj_2"}, True),
        ("organisation", {"organisation_id": "org_2"}, False),
        ("project", {"project_id": "proj_2"}, False),
    ],
)
def test_the_scope_says_who_shares(scope, other, shared):
    of = Salts(SECRET, scope).of
    assert (of(ANNE, "m") == of(replace(ANNE, **other), "m")) is shared
    assert of(ANNE, "m") != of(ANNE, "n")


def test_a_name_cannot_be_moved_from_one_field_to_the_other():
    of = Salts(SECRET, "organisation").of
    assert of(replace(ANNE, organisation_id="a"), "bc") != of(
        replace(ANNE, organisation_id="ab"), "c"
    )


def test_another_installation_makes_others():
    assert Salts(SECRET, "project").of(ANNE, "m") != Salts(b"t" * 32, "project").of(ANNE, "m")


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(salts, "_KEPT_MAX", 3)
    made = Salts(SECRET, "project")
    first = made.of(ANNE, "0")
    for model in range(10):
        made.of(ANNE, str(model))
    assert len(made._kept) <= 3
    assert made.of(ANNE, "0") == first
