"""One organisation's life, on both databases: every statement of the room runs on each."""

from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key, list_keys
from portico.accounts.people import invitations, members, roles, service_accounts
from portico.accounts.people.model import Member
from tests.accounts.tenancy import Tenancy


def test_it_is_the_same_on_both(tenancy_on_both: Tenancy) -> None:
    here = tenancy_on_both
    organisation_id, project_id, ada = here.organisation_id, here.project_id, here.ada
    token = here.invited("bob@example.org", "member", ada)
    bob = here.accepted(token, "bob@example.org")
    assert isinstance(bob, Member)
    here.do(
        lambda e: roles.create_role(
            e, organisation_id, "asker", "project", ("projects:read", "keys:*", "embed")
        ),
        ada,
    )
    here.do(lambda e: members.set_project_role(e, project_id, bob.subject_id, "asker"), ada)
    here.do(lambda e: members.set_project_role(e, project_id, bob.subject_id, "asker"), ada)
    wish = KeyWish("k", scopes=("embed",))
    here.do(lambda e: create_key(e, here.peppers, wish, project_id), bob.subject_id)
    account = here.do(
        lambda e: service_accounts.create_service_account(e, project_id, "ci", "asker"), ada
    )
    wish = KeyWish("k", scopes=("embed",), owner_id=account.id)
    here.do(lambda e: create_key(e, here.peppers, wish, project_id), ada)
    here.do(lambda e: roles.change_role(e, organisation_id, "asker", ("projects:read",)), ada)
    assert [key.revoked_at_ms for key in here.do(list_keys)] == [here.clock.now_ms] * 2
    here.do(lambda e: service_accounts.set_service_account_role(e, account.id, "viewer"), ada)
    here.do(lambda e: service_accounts.disable_service_account(e, account.id), ada)
    assert here.do(lambda e: service_accounts.list_service_accounts(e, project_id), ada) != []
    here.do(
        lambda e: invitations.invite(e, here.peppers, organisation_id, "c@example.org", "admin"),
        ada,
    )
    (_, open_) = here.do(lambda e: invitations.list_invitations(e, organisation_id), ada)
    here.do(lambda e: invitations.revoke_invitation(e, open_.id), ada)
    here.do(lambda e: members.set_member_role(e, organisation_id, bob.subject_id, "admin"), ada)
    here.do(lambda e: members.remove_project_member(e, project_id, bob.subject_id), ada)
    here.do(lambda e: roles.delete_role(e, organisation_id, "asker"), bob.subject_id)
    here.do(lambda e: members.remove_member(e, organisation_id, bob.subject_id), bob.subject_id)
    assert [
        each.subject_id for each in here.do(lambda e: members.list_members(e, organisation_id))
    ] == [ada]
    assert here.actions() == [
        "organisation.create",
        "terms.set",
        "member.create",
        "project.create",
        "project.create",
        "invitation.create",
        "member.create",
        "invitation.accept",
        "admin_key.create",
        "role.create",
        "project_member.set",
        "key.create",
        "service_account.create",
        "key.create",
        "role.update",
        "key.revoke",
        "key.revoke",
        "service_account.update",
        "service_account.disable",
        "invitation.create",
        "invitation.revoke",
        "member.update",
        "project_member.remove",
        "role.delete",
        "member.leave",
        "admin_key.revoke",
    ]
