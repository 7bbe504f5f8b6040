"""Members come, change and go; what they leave behind goes with them, and one owner always stays."""

import threading
from collections.abc import Callable

import pytest

from portico.accounts.actors.model import Errand
from portico.accounts.actors.roles import ORGANISATION_ROLES, PROJECT_ROLES
from portico.accounts.keys.model import Key, KeyWish
from portico.accounts.keys.service import create_key, list_keys, replace_key
from portico.accounts.people.members import (
    add_member,
    list_members,
    list_project_members,
    member_of,
    remove_member,
    remove_project_member,
    set_member_role,
    set_project_role,
)
from portico.accounts.people.service_accounts import (
    create_service_account,
    disable_service_account,
    list_service_accounts,
    service_account_of,
    set_service_account_role,
)
from portico.accounts.service import establish
from portico.callers.scopes import KEY_SCOPES
from portico.errors import Refusal
from tests.accounts.tenancy import Tenancy


def key_of(tenancy: Tenancy, by: str, *, owner: str | None = None, project: str = "") -> Key:
    wish = KeyWish("k", owner_id=owner)
    return tenancy.do(
        lambda errand: create_key(errand, tenancy.peppers, wish, project or tenancy.project_id), by
    ).key


def key_now(tenancy: Tenancy, key: Key) -> Key:
    (found,) = (each for each in tenancy.do(list_keys) if each.id == key.id)
    return found


def test_rights_are_what_the_roles_give_and_frozen(tenancy: Tenancy) -> None:
    bob = tenancy.joined("bob", "auditor")
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "developer"), tenancy.ada)
    rights = tenancy.rights(bob)
    assert rights.scopes == ORGANISATION_ROLES["auditor"]
    assert rights.within(tenancy.other_id) == ORGANISATION_ROLES["auditor"]
    assert (
        rights.within(tenancy.project_id)
        == ORGANISATION_ROLES["auditor"] | PROJECT_ROLES["developer"]
    )
    with pytest.raises(TypeError):
        rights.in_projects[tenancy.other_id] = frozenset({"keys:write"})  # type: ignore[index]  # that is the test


def test_somebody_who_is_nothing_here_has_no_rights(tenancy: Tenancy) -> None:
    other = tenancy.do(lambda errand: establish(errand, "Other")).id
    eve = tenancy.do(lambda errand: add_member(errand, other, "eve@example.org", "owner"))
    for subject_id in (eve.subject_id, "user_none", "", "svc_none"):
        rights = tenancy.rights(subject_id)
        assert (rights.scopes, dict(rights.in_projects)) == (frozenset(), {})


def test_what_is_somebody_elses_is_not_there(tenancy: Tenancy) -> None:
    other = tenancy.do(lambda errand: establish(errand, "Other")).id
    eve = tenancy.do(lambda errand: add_member(errand, other, "eve@example.org", "owner"))
    theirs: list[tuple[str, str]] = []
    never: list[tuple[str, str]] = []
    for organisation, subject, told in (
        (other, eve.subject_id, theirs),
        ("org_none", "user_none", never),
    ):
        for act in (
            lambda e, o=organisation: list_members(e, o),
            lambda e, s=subject: member_of(e, tenancy.organisation_id, s),
            lambda e, s=subject: set_member_role(e, tenancy.organisation_id, s, "member"),
            lambda e, s=subject: remove_member(e, tenancy.organisation_id, s),
            lambda e, s=subject: set_project_role(e, tenancy.project_id, s, "viewer"),
            lambda e, s=subject: remove_project_member(e, tenancy.project_id, s),
            lambda e, o=organisation, s=subject: remove_member(e, o, s),
        ):
            with pytest.raises(Refusal) as refused:
                tenancy.do(act, tenancy.ada)
            said = refused.value.message.replace(organisation, "ID").replace(subject, "ID")
            told.append((refused.value.code, said))
    assert theirs == never
    assert {code for code, _ in theirs} == {"resource_not_found"}


def test_only_the_operator_makes_somebody_a_member_unasked(tenancy: Tenancy) -> None:
    assert (
        tenancy.refused(
            lambda e: add_member(e, tenancy.organisation_id, "x@example.org", "member"), tenancy.ada
        )
        == "permission_denied"
    )
    assert (
        tenancy.do(
            lambda e: add_member(e, tenancy.organisation_id, "x@example.org", "member")
        ).email
        == "x@example.org"
    )
    assert (
        tenancy.refused(lambda e: add_member(e, tenancy.organisation_id, "x@example.org", "member"))
        == "conflict"
    )


def test_one_person_is_one_subject_in_every_organisation(tenancy: Tenancy) -> None:
    other = tenancy.do(lambda errand: establish(errand, "Other")).id
    again = tenancy.do(lambda e: add_member(e, other, " Ada@Example.org", "member"))
    assert again.subject_id == tenancy.ada
    assert tenancy.rights(tenancy.ada).scopes == ORGANISATION_ROLES["owner"]


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "a@b@c",
        "ada@",
        "@x.org",
        "a b@x.org",
        "ada@x.org\n.y",
        "\u212a@x.org",
        "a,b@x.org",
        "<a>@x.org",
        'a"b@x.org',
        "a;b@x.org",
        "a@x.org.",
        "a@x..org",
        "a" * 250 + "@x.o",
    ],
)
def test_an_address_is_one(tenancy: Tenancy, email: str) -> None:
    assert (
        tenancy.refused(lambda e: add_member(e, tenancy.organisation_id, email, "member"))
        == "invalid_value"
    )


def test_a_member_who_goes_loses_his_keys_with_the_same_commit(tenancy: Tenancy) -> None:
    bob = tenancy.joined("bob", "admin")
    mine, other = key_of(tenancy, bob), key_of(tenancy, tenancy.ada)
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "admin"), tenancy.ada)
    tenancy.database.write(
        lambda c: c.exec_driver_sql(
            "INSERT INTO admin_key (id, organisation_id, owner_id, name, digest, pepper_id, prefix,"
            f" last4, created_at_ms) VALUES ('akey_1', '{tenancy.organisation_id}', '{bob}', 'k',"
            " x'00', 'p1', 'p', 'l', 1)"
        )
    )
    tenancy.do(lambda e: remove_member(e, tenancy.organisation_id, bob), tenancy.ada)
    assert key_now(tenancy, mine).revoked_at_ms == tenancy.clock.now_ms
    assert key_now(tenancy, other).revoked_at_ms is None
    assert tenancy.rows("SELECT revoked_at_ms FROM admin_key") == [tenancy.clock.now_ms]
    assert tenancy.rows("SELECT count(*) FROM project_member") == [0]
    assert tenancy.actions()[-3:] == ["member.remove", "key.revoke", "admin_key.revoke"]
    assert tenancy.rights(bob).in_projects == {}
    again = tenancy.do(lambda e: add_member(e, tenancy.organisation_id, "bob@example.org", "owner"))
    assert again.subject_id == bob
    assert key_now(tenancy, mine).revoked_at_ms is not None, "what is revoked never comes back"


def test_keys_of_other_organisations_stay(tenancy: Tenancy) -> None:
    other = Tenancy(tenancy.database, tenancy.database.data_dir)
    assert other.ada == tenancy.ada
    theirs = key_of(other, other.ada)
    bob = tenancy.joined("bob", "owner")
    tenancy.do(lambda e: remove_member(e, tenancy.organisation_id, tenancy.ada), bob)
    assert key_now(other, theirs).revoked_at_ms is None


def test_anybody_may_leave_and_is_noted_as_having_left(tenancy: Tenancy) -> None:
    bob = tenancy.joined("bob", "member")
    key = tenancy.do(
        lambda e: create_key(
            e, tenancy.peppers, KeyWish("k", scopes=("usage:read",)), tenancy.project_id
        ),
    ).key
    tenancy.do(lambda e: remove_member(e, tenancy.organisation_id, bob), bob)
    assert tenancy.actions()[-1] == "member.leave"
    assert key_now(tenancy, key).revoked_at_ms is None, "the project's own"
    carl = tenancy.joined("carl", "member")
    dora = tenancy.joined("dora", "member")
    assert (
        tenancy.refused(lambda e: remove_member(e, tenancy.organisation_id, dora), carl)
        == "permission_denied"
    )


@pytest.mark.parametrize("scopes", [{"usage:read"}, {"organisation:read"}])
def test_a_key_for_little_cannot_make_its_owner_leave(tenancy: Tenancy, scopes: set[str]) -> None:
    with pytest.raises(Refusal, match="members:write"):
        tenancy.do(
            lambda e: remove_member(e, tenancy.organisation_id, tenancy.ada),
            tenancy.ada,
            frozenset(scopes),
        )


def test_who_may_do_less_has_keys_that_may_do_less(tenancy: Tenancy) -> None:
    bob = tenancy.joined("bob", "admin")
    whole, little = key_of(tenancy, bob), key_of(tenancy, bob, project=tenancy.other_id)
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "developer"), tenancy.ada)
    tenancy.do(lambda e: set_member_role(e, tenancy.organisation_id, bob, "billing"), tenancy.ada)
    assert key_now(tenancy, whole).scopes is None, "a developer may still do all a key can"
    assert key_now(tenancy, little).scopes == ("balance:read", "usage:read")
    tenancy.do(lambda e: remove_project_member(e, tenancy.project_id, bob), tenancy.ada)
    assert key_now(tenancy, whole).scopes == ("balance:read", "usage:read")
    tenancy.do(lambda e: set_member_role(e, tenancy.organisation_id, bob, "member"), tenancy.ada)
    for key in (whole, little):
        assert key_now(tenancy, key).revoked_at_ms is not None, "nothing was left of it"


def test_the_last_owner_stays_what_he_is(tenancy: Tenancy) -> None:
    organisation_id, ada = tenancy.organisation_id, tenancy.ada
    for by in (ada, None):
        for act in (
            lambda e: remove_member(e, organisation_id, ada),
            lambda e: set_member_role(e, organisation_id, ada, "admin"),
        ):
            assert tenancy.refused(act, by) == "last_owner"
    same = tenancy.do(lambda e: set_member_role(e, organisation_id, ada, "owner"), ada)
    assert same.role == "owner"
    bob = tenancy.joined("bob", "owner")
    tenancy.do(lambda e: remove_member(e, organisation_id, ada), ada)
    assert tenancy.refused(lambda e: remove_member(e, organisation_id, bob), bob) == "last_owner"


@pytest.mark.parametrize("second", ["removes the other", "leaves", "is demoted"])
def test_of_two_owners_who_go_at_once_one_stays(tenancy_on_both: Tenancy, second: str) -> None:
    """While the first one's end is not committed, the second has all the time to go by what was
    before; the database lets him begin only afterwards."""
    tenancy, organisation_id = tenancy_on_both, tenancy_on_both.organisation_id
    ada, bob = tenancy.ada, tenancy.joined("bob", "owner")
    inside, over = threading.Event(), threading.Event()
    ends: dict[str, str] = {}

    def first(errand: Errand) -> None:
        remove_member(errand, organisation_id, bob)
        inside.set()
        over.wait(0.3)

    def then(errand: Errand) -> None:
        if second == "is demoted":
            set_member_role(errand, organisation_id, ada, "admin")
        else:
            remove_member(errand, organisation_id, ada)

    def go(name: str, act: Callable[[Errand], None], by: str) -> None:
        try:
            tenancy.do(act, by)
            ends[name] = "done"
        except Refusal as refusal:
            ends[name] = refusal.code

    def follow() -> None:
        inside.wait(5)
        go("then", then, bob if second == "removes the other" else ada)
        over.set()

    follower = threading.Thread(target=follow)
    follower.start()
    go("first", first, ada)
    follower.join()
    assert ends["first"] == "done"
    # Of bob there is nothing left by then, so that he may do nothing either.
    assert ends["then"] in ("last_owner", "permission_denied")
    members = tenancy.do(lambda e: list_members(e, organisation_id))
    assert [(each.subject_id, each.role) for each in members] == [(ada, "owner")]


def test_only_owners_make_and_unmake_owners(tenancy: Tenancy) -> None:
    organisation_id = tenancy.organisation_id
    bob, carl = tenancy.joined("bob", "admin"), tenancy.joined("carl", "owner")
    for act in (
        lambda e: set_member_role(e, organisation_id, bob, "owner"),
        lambda e: set_member_role(e, organisation_id, carl, "admin"),
        lambda e: remove_member(e, organisation_id, carl),
    ):
        assert tenancy.refused(act, bob) == "permission_denied"
    tenancy.do(lambda e: set_member_role(e, organisation_id, bob, "owner"), tenancy.ada)
    tenancy.do(lambda e: remove_member(e, organisation_id, carl), bob)


def test_a_member_of_a_project_is_one_of_the_organisation_first(tenancy: Tenancy) -> None:
    other = tenancy.do(lambda errand: establish(errand, "Other")).id
    eve = tenancy.do(lambda errand: add_member(errand, other, "eve@example.org", "owner"))
    assert (
        tenancy.refused(
            lambda e: set_project_role(e, tenancy.project_id, eve.subject_id, "viewer"), tenancy.ada
        )
        == "resource_not_found"
    )
    assert (
        tenancy.refused(lambda e: set_project_role(e, tenancy.project_id, eve.subject_id, "viewer"))
        == "resource_not_found"
    )


def test_a_projects_admin_gives_what_he_has_there_and_nowhere_else(tenancy: Tenancy) -> None:
    bob, carl = tenancy.joined("bob", "member"), tenancy.joined("carl", "member")
    here, there = tenancy.project_id, tenancy.other_id
    tenancy.do(lambda e: set_project_role(e, here, bob, "admin"), tenancy.ada)
    made = tenancy.do(lambda e: set_project_role(e, here, carl, "admin"), bob)
    assert tenancy.do(lambda e: list_project_members(e, here), carl) == [
        tenancy.do(lambda e: list_project_members(e, here))[0],
        made,
    ]
    assert tenancy.refused(lambda e: set_project_role(e, there, carl, "viewer"), bob) == (
        "resource_not_found"
    )
    assert (
        tenancy.refused(lambda e: set_member_role(e, tenancy.organisation_id, carl, "admin"), bob)
        == "permission_denied"
    )
    assert tenancy.refused(lambda e: set_project_role(e, here, carl, "owner"), bob) == (
        "invalid_value"
    )


def test_somebody_leaves_a_project_with_his_keys(tenancy: Tenancy) -> None:
    bob = tenancy.joined("bob", "member")
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "developer"), tenancy.ada)
    key = key_of(tenancy, bob)
    tenancy.do(lambda e: remove_project_member(e, tenancy.project_id, bob), bob)
    assert key_now(tenancy, key).revoked_at_ms is not None
    assert (
        tenancy.refused(lambda e: remove_project_member(e, tenancy.project_id, bob), tenancy.ada)
        == "resource_not_found"
    )


# Whose a key is


def test_a_persons_key_is_his_own(tenancy: Tenancy) -> None:
    bob, carl = tenancy.joined("bob", "admin"), tenancy.joined("carl", "admin")
    assert key_of(tenancy, bob).owner_id == bob
    wish = KeyWish("k", owner_id=carl)
    assert (
        tenancy.refused(lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id), bob)
        == "resource_not_found"
    )
    assert (
        tenancy.do(lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id)).key.owner_id
        == carl
    ), "the operator's wish"


def test_nobody_has_a_key_that_can_do_more_than_he(tenancy: Tenancy) -> None:
    carl = tenancy.joined("carl", "billing")
    wish = KeyWish("k", scopes=("generate",), owner_id=carl)
    assert (
        tenancy.refused(lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id))
        == "rights_exceeded"
    )
    gone = KeyWish("k", owner_id="user_none")
    assert (
        tenancy.refused(lambda e: create_key(e, tenancy.peppers, gone, tenancy.project_id))
        == "resource_not_found"
    )


def test_only_its_owner_gets_to_know_a_successor(tenancy: Tenancy) -> None:
    bob = tenancy.joined("bob", "member")
    tenancy.do(lambda e: set_project_role(e, tenancy.project_id, bob, "developer"), tenancy.ada)
    adas, own = key_of(tenancy, tenancy.ada), key_of(tenancy, bob)
    projects = tenancy.do(
        lambda e: create_key(e, tenancy.peppers, KeyWish("k"), tenancy.project_id)
    ).key

    def replacing(key: Key, by: str) -> str:
        try:
            tenancy.do(lambda e: replace_key(e, tenancy.peppers, key.id), by)
        except Refusal as refusal:
            return refusal.code
        return "replaced"

    assert replacing(adas, bob) == "permission_denied"
    assert replacing(projects, bob) == "permission_denied"
    assert replacing(own, tenancy.ada) == "conflict"
    assert replacing(own, bob) == "replaced"
    assert replacing(projects, tenancy.ada) == "replaced"


# Service accounts


def test_a_service_account_works_in_its_project_until_it_is_disabled(tenancy: Tenancy) -> None:
    made = tenancy.do(
        lambda e: create_service_account(e, tenancy.project_id, "ci", "developer"), tenancy.ada
    )
    rights = tenancy.rights(made.id)
    assert rights.scopes == frozenset()
    assert rights.in_projects == {tenancy.project_id: PROJECT_ROLES["developer"]}
    key = key_of(tenancy, tenancy.ada, owner=made.id)
    assert key.owner_id == made.id
    disabled = tenancy.do(lambda e: disable_service_account(e, made.id), tenancy.ada)
    assert disabled.disabled_at_ms == tenancy.clock.now_ms
    assert key_now(tenancy, key).revoked_at_ms == tenancy.clock.now_ms
    assert tenancy.rights(made.id).in_projects == {}
    tenancy.clock.pass_s(9)
    assert tenancy.do(lambda e: disable_service_account(e, made.id), tenancy.ada) == disabled
    assert (
        tenancy.refused(lambda e: set_service_account_role(e, made.id, "admin"), tenancy.ada)
        == "conflict"
    )
    wish = KeyWish("k", owner_id=made.id)
    assert (
        tenancy.refused(lambda e: create_key(e, tenancy.peppers, wish, tenancy.project_id))
        == "resource_not_found"
    )


def test_a_service_account_stays_in_its_project(tenancy: Tenancy) -> None:
    made = tenancy.do(
        lambda e: create_service_account(e, tenancy.project_id, "ci", "admin"), tenancy.ada
    )
    wish = KeyWish("k", owner_id=made.id)
    assert (
        tenancy.refused(lambda e: create_key(e, tenancy.peppers, wish, tenancy.other_id))
        == "resource_not_found"
    )
    assert (
        tenancy.refused(lambda e: create_key(e, tenancy.peppers, wish, tenancy.other_id), made.id)
        == "resource_not_found"
    )


def test_its_keys_follow_its_role(tenancy: Tenancy) -> None:
    made = tenancy.do(
        lambda e: create_service_account(e, tenancy.project_id, "ci", "developer"), tenancy.ada
    )
    key = key_of(tenancy, tenancy.ada, owner=made.id)
    tenancy.do(lambda e: set_service_account_role(e, made.id, "viewer"), tenancy.ada)
    assert set(key_now(tenancy, key).scopes or ()) == PROJECT_ROLES["viewer"] & KEY_SCOPES


def test_service_accounts_are_seen_by_those_who_may(tenancy: Tenancy) -> None:
    made = tenancy.do(
        lambda e: create_service_account(e, tenancy.project_id, "ci", "viewer"), tenancy.ada
    )
    bob = tenancy.joined("bob", "member")
    tenancy.do(lambda e: set_project_role(e, tenancy.other_id, bob, "admin"), tenancy.ada)
    assert tenancy.do(list_service_accounts, tenancy.ada) == [made]
    assert tenancy.do(list_service_accounts, bob) == []
    assert tenancy.refused(lambda e: service_account_of(e, made.id), bob) == "resource_not_found"
    assert tenancy.refused(lambda e: disable_service_account(e, made.id), bob) == (
        "resource_not_found"
    )
    assert (
        tenancy.refused(lambda e: create_service_account(e, tenancy.project_id, "x", "viewer"), bob)
        == "resource_not_found"
    )
