"""A role is a name for scopes: nobody names what he has not got, and whoever has it has it at once."""

from functools import partial

import pytest

from portico.accounts.actors.roles import (
    INSTALLATION_SCOPES,
    ORGANISATION_ROLES,
    ORGANISATION_SCOPES,
    PROJECT_ROLES,
    PROJECT_SCOPES,
)
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key, list_keys
from portico.accounts.people.invitations import list_invitations, revoke_invitation
from portico.accounts.people.members import set_member_role, set_project_role
from portico.accounts.people.model import Level, Role
from portico.accounts.people.roles import change_role, create_role, delete_role, list_roles
from portico.accounts.service import establish
from tests.accounts.tenancy import Tenancy


def made(
    tenancy: Tenancy, name: str, scopes: str, level: Level = "organisation", by: str | None = None
) -> Role:
    words = tuple(scopes.split())
    return tenancy.do(
        lambda e: create_role(e, tenancy.organisation_id, name, level, words), by or tenancy.ada
    )


def refused(
    tenancy: Tenancy, by: str, scopes: str, level: Level = "organisation", name: str = "x"
) -> str:
    words = tuple(scopes.split())
    return tenancy.refused(
        lambda e: create_role(e, tenancy.organisation_id, name, level, words), by
    )


def manager(tenancy: Tenancy) -> str:
    """Somebody below an owner who makes roles and members."""
    made(tenancy, "manager", "organisation:read roles:* members:* keys:* projects:read")
    bob = tenancy.joined("bob", "member")
    tenancy.do(lambda e: set_member_role(e, tenancy.organisation_id, bob, "manager"), tenancy.ada)
    return bob


def test_a_role_gives_its_scopes_to_those_who_have_it(tenancy: Tenancy) -> None:
    role = made(tenancy, "keeper", "projects:read keys:write keys:read")
    assert role.scopes == ("keys:read", "keys:write", "projects:read")
    bob = tenancy.joined("bob", "keeper")
    assert tenancy.rights(bob).scopes == set(role.scopes)
    here = made(tenancy, "biller", "costs:read projects:read", "project")
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "biller"), tenancy.ada)
    assert tenancy.rights(bob).in_projects == {tenancy.project_id: frozenset(here.scopes)}


def test_a_role_counts_at_its_own_level_and_in_its_own_organisation(tenancy: Tenancy) -> None:
    made(tenancy, "keeper", "projects:read", "project")
    made(tenancy, "boss", "projects:read", "organisation")
    bob = tenancy.joined("bob", "member")
    organisation_id, project_id = tenancy.organisation_id, tenancy.project_id
    for act in (
        lambda e: set_member_role(e, organisation_id, bob, "keeper"),
        lambda e: set_project_role(e, project_id, bob, "boss"),
    ):
        assert tenancy.refused(act, tenancy.ada) == "invalid_value"
    other = Tenancy(tenancy.database, tenancy.database.data_dir)
    carl = other.joined("carl", "member")
    assert (
        other.refused(lambda e: set_project_role(e, other.project_id, carl, "keeper"), other.ada)
        == "invalid_value"
    )


def test_nobody_names_what_he_has_not_got(tenancy: Tenancy) -> None:
    bob = manager(tenancy)
    assert refused(tenancy, bob, "audit:read") == "rights_exceeded"
    assert refused(tenancy, bob, "keys:read generate", "project") == "rights_exceeded"
    assert made(tenancy, "x", "keys:read", by=bob).scopes == ("keys:read",)
    assert (
        tenancy.refused(
            lambda e: change_role(e, tenancy.organisation_id, "x", ("audit:read",)), bob
        )
        == "rights_exceeded"
    )


def test_what_somebody_has_in_one_project_is_not_enough_for_a_role(tenancy: Tenancy) -> None:
    bob = manager(tenancy)
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "admin"), tenancy.ada)
    assert refused(tenancy, bob, "generate", "project") == "rights_exceeded"


def test_nobody_touches_a_role_that_goes_beyond_himself(tenancy: Tenancy) -> None:
    bob = manager(tenancy)
    made(tenancy, "auditor-too", "audit:read organisation:read")
    for act in (
        lambda e: change_role(e, tenancy.organisation_id, "auditor-too", ("organisation:read",)),
        lambda e: delete_role(e, tenancy.organisation_id, "auditor-too"),
    ):
        assert tenancy.refused(act, bob) == "rights_exceeded"


@pytest.mark.parametrize("words", ["*", "keys:*", "keys:read keys:*", "members:*"])
def test_only_an_owner_says_all(tenancy: Tenancy, words: str) -> None:
    bob, carl = manager(tenancy), tenancy.joined("carl", "admin")
    for by in (bob, carl):
        assert refused(tenancy, by, words) == "rights_exceeded"


def test_an_owners_all_is_written_out_and_makes_no_owners(tenancy: Tenancy) -> None:
    everything = made(tenancy, "everything", "*")
    assert set(everything.scopes) == ORGANISATION_SCOPES - {"owners:write"}
    assert set(made(tenancy, "worker", "*", "project").scopes) == PROJECT_SCOPES
    assert made(tenancy, "keyer", "keys:*").scopes == ("keys:read", "keys:write")


@pytest.mark.parametrize(
    ("scopes", "level"),
    [
        ("owners:write", "organisation"),
        ("organisations:write", "organisation"),
        ("installation:audit", "organisation"),
        ("audit:read", "project"),
        ("roles:write", "project"),
        ("keys", "project"),
        ("keys:", "project"),
        ("k*", "organisation"),
        ("**", "organisation"),
        ("*:*", "organisation"),
        (":*", "organisation"),
        ("%", "organisation"),
        ("organisations:*", "organisation"),
        ("owners:*", "organisation"),
    ],
)
def test_no_role_has_what_its_level_cannot(tenancy: Tenancy, scopes: str, level: Level) -> None:
    assert refused(tenancy, tenancy.ada, scopes, level) == "invalid_value"


def test_not_even_a_row_that_was_tampered_with_gives_more(tenancy: Tenancy) -> None:
    made(tenancy, "boss", "projects:read")
    made(tenancy, "chief", "projects:read", "project")
    bob = tenancy.joined("bob", "boss")
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "chief"), tenancy.ada)
    everything = " ".join(INSTALLATION_SCOPES)
    tenancy.database.write(lambda c: c.exec_driver_sql(f"UPDATE role SET scopes = '{everything}'"))
    rights = tenancy.rights(bob)
    assert rights.scopes == ORGANISATION_SCOPES - {"owners:write"}
    assert rights.in_projects[tenancy.project_id] == PROJECT_SCOPES


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a" * 65, "é", "a\n", "_a", "a%"])
def test_a_name_is_one(tenancy: Tenancy, name: str) -> None:
    assert refused(tenancy, tenancy.ada, "keys:read", name=name) == "invalid_value"


@pytest.mark.parametrize("name", sorted({*ORGANISATION_ROLES, *PROJECT_ROLES}))
def test_no_role_hides_one_that_all_have(tenancy: Tenancy, name: str) -> None:
    assert refused(tenancy, tenancy.ada, "keys:read", "project", name) == "conflict"


def test_a_name_is_given_once(tenancy: Tenancy) -> None:
    made(tenancy, "keeper", "keys:read", "project")
    assert refused(tenancy, tenancy.ada, "keys:read", "organisation", "keeper") == "conflict"


def test_a_changed_role_changes_what_its_holders_keys_can_do(tenancy: Tenancy) -> None:
    made(tenancy, "asker", "projects:read keys:* generate embed")
    bob = tenancy.joined("bob", "asker")
    wish = KeyWish("k", scopes=("embed", "generate"))
    tenancy.do(lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id), bob)

    def left_after(*scopes: str) -> tuple[tuple[str, ...] | None, int | None]:
        tenancy.do(lambda e: change_role(e, tenancy.organisation_id, "asker", scopes), tenancy.ada)
        (key,) = tenancy.do(list_keys)
        return key.scopes, key.revoked_at_ms

    assert left_after("embed", "projects:read") == (("embed",), None)
    assert left_after("projects:read") == (("embed",), tenancy.clock.now_ms)


def test_a_role_is_deleted_when_nobody_has_it_or_is_offered_it(tenancy: Tenancy) -> None:
    for name in ("held", "offered", "here"):
        made(tenancy, name, "projects:read", "project" if name == "here" else "organisation")
    bob = tenancy.joined("bob", "held")
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "here"), tenancy.ada)
    tenancy.invited("x@example.org", "offered")

    def deleting(name: str) -> str:
        return tenancy.refused(lambda e: delete_role(e, tenancy.organisation_id, name), tenancy.ada)

    assert [deleting(name) for name in ("held", "offered", "here")] == ["conflict"] * 3
    assert deleting("none") == "resource_not_found"
    assert deleting("admin") == "resource_not_found", "one that all have is not their own"
    (open_,) = tenancy.do(lambda e: list_invitations(e, tenancy.organisation_id))
    tenancy.do(lambda e: revoke_invitation(e, open_.id), tenancy.ada)
    tenancy.do(lambda e: delete_role(e, tenancy.organisation_id, "offered"), tenancy.ada)
    names = [each.name for each in tenancy.do(lambda e: list_roles(e, tenancy.organisation_id))]
    assert names[-2:] == ["held", "here"]


def test_roles_of_others_are_not_there(tenancy: Tenancy) -> None:
    made(tenancy, "keeper", "keys:read")
    other = tenancy.do(lambda errand: establish(errand, "Other")).id
    theirs = Tenancy(tenancy.database, tenancy.database.data_dir)
    listed = theirs.do(lambda e: list_roles(e, theirs.organisation_id), theirs.ada)
    assert "keeper" not in {each.name for each in listed}
    for organisation_id in (tenancy.organisation_id, other, "org_none"):
        act = partial(delete_role, organisation_id=organisation_id, name="keeper")
        assert theirs.refused(act, theirs.ada) == "resource_not_found"
