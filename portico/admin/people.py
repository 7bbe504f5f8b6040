"""Members, their roles, invitations and service accounts."""

from dataclasses import asdict
from typing import Literal

from msgspec import Struct

from portico.accounts.people import invitations, members, roles, service_accounts
from portico.accounts.people.model import (
    Invitation,
    Member,
    ProjectMember,
    Role,
    ServiceAccount,
)
from portico.accounts.people.rules import INVITATION_MS
from portico.admin.operation import Ask, Operation, Told
from portico.admin.organisations import organisation_id_of
from portico.admin.shapes import PAGED, given, page, page_of_all, plain, window_of

_OF, _IN = ("organisation_id",), ("project_id",)
_LISTED = (*_OF, *PAGED)
_TOKEN = "token"


class NewMember(Struct):
    """role: one of every organisation's, or one of its own."""

    email: str
    role: str
    name: str = ""
    organisation_id: str = ""


class NewRole(Struct):
    name: str
    level: Literal["organisation", "project"]
    scopes: list[str]
    organisation_id: str = ""


class RoleChange(Struct):
    scopes: list[str]


class Given(Struct):
    """role: what somebody is from now on."""

    role: str


class NewInvitation(Struct):
    """expires_in_s: how long it can be accepted, in seconds."""

    email: str
    role: str
    organisation_id: str = ""
    expires_in_s: int = INVITATION_MS // 1000


class NewServiceAccount(Struct):
    """role: what it is in the project."""

    project_id: str
    name: str
    role: str


def member(found: Member) -> Told:
    return {**plain(asdict(found), "member", "subject_id"), "id": found.subject_id}


def project_member(found: ProjectMember) -> Told:
    return {**plain(asdict(found), "project_member", "subject_id"), "id": found.subject_id}


def role(found: Role) -> Told:
    return {**plain(asdict(found), "role"), "id": found.name}


def invitation(found: Invitation) -> Told:
    return plain(asdict(found), "invitation")


def service_account(found: ServiceAccount) -> Told:
    return plain(asdict(found), "service_account")


def _gone(told: Told) -> Told:
    return {"object": told["object"], "id": told["id"], "deleted": True}


def _list_members(ask: Ask) -> Told:
    found = members.list_members(ask.errand, organisation_id_of(ask), window_of(ask))
    return page(ask, found, member)


def _add_member(ask: Ask) -> Told:
    new: NewMember = ask.body
    organisation_id = organisation_id_of(ask, new.organisation_id)
    return member(members.add_member(ask.errand, organisation_id, new.email, new.role, new.name))


def _member(ask: Ask) -> Told:
    return member(members.member_of(ask.errand, organisation_id_of(ask), ask.id))


def _set_role(ask: Ask) -> Told:
    organisation_id = organisation_id_of(ask)
    return member(members.set_member_role(ask.errand, organisation_id, ask.id, ask.body.role))


def _remove_member(ask: Ask) -> Told:
    return _gone(member(members.remove_member(ask.errand, organisation_id_of(ask), ask.id)))


def _list_project_members(ask: Ask) -> Told:
    found = members.list_project_members(ask.errand, given(ask, "project_id"), window_of(ask))
    return page(ask, found, project_member)


def _set_project_role(ask: Ask) -> Told:
    project_id, wanted = given(ask, "project_id"), ask.body.role
    return project_member(members.set_project_role(ask.errand, project_id, ask.id, wanted))


def _remove_project_member(ask: Ask) -> Told:
    project_id = given(ask, "project_id")
    gone = members.remove_project_member(ask.errand, project_id, ask.id)
    return _gone(project_member(gone))


def _list_roles(ask: Ask) -> Told:
    return page_of_all(ask, roles.list_roles(ask.errand, organisation_id_of(ask)), role)


def _create_role(ask: Ask) -> Told:
    new: NewRole = ask.body
    organisation_id = organisation_id_of(ask, new.organisation_id)
    scopes = tuple(new.scopes)
    return role(roles.create_role(ask.errand, organisation_id, new.name, new.level, scopes))


def _change_role(ask: Ask) -> Told:
    scopes = tuple(ask.body.scopes)
    return role(roles.change_role(ask.errand, organisation_id_of(ask), ask.id, scopes))


def _delete_role(ask: Ask) -> Told:
    return _gone(role(roles.delete_role(ask.errand, organisation_id_of(ask), ask.id)))


def _list_invitations(ask: Ask) -> Told:
    organisation_id = organisation_id_of(ask)
    found = invitations.list_invitations(ask.errand, organisation_id, window_of(ask))
    return page(ask, found, invitation)


def _invite(ask: Ask) -> Told:
    new: NewInvitation = ask.body
    made = invitations.invite(
        ask.errand,
        ask.secrets.peppers,
        organisation_id_of(ask, new.organisation_id),
        new.email,
        new.role,
        1000 * new.expires_in_s,
    )
    return {**invitation(made.invitation), _TOKEN: made.token}


def _invitation(ask: Ask) -> Told:
    return invitation(invitations.invitation_of(ask.errand, ask.id))


def _revoke_invitation(ask: Ask) -> Told:
    return invitation(invitations.revoke_invitation(ask.errand, ask.id))


def _list_accounts(ask: Ask) -> Told:
    project_id = ask.query.get("project_id") or None
    found = service_accounts.list_service_accounts(ask.errand, project_id, window_of(ask))
    return page(ask, found, service_account)


def _create_account(ask: Ask) -> Told:
    new: NewServiceAccount = ask.body
    return service_account(
        service_accounts.create_service_account(ask.errand, new.project_id, new.name, new.role)
    )


def _account(ask: Ask) -> Told:
    return service_account(service_accounts.service_account_of(ask.errand, ask.id))


def _set_account_role(ask: Ask) -> Told:
    return service_account(
        service_accounts.set_service_account_role(ask.errand, ask.id, ask.body.role)
    )


def _disable_account(ask: Ask) -> Told:
    return service_account(service_accounts.disable_service_account(ask.errand, ask.id))


def operations() -> tuple[Operation, ...]:
    return (*_of_members(), *_of_roles(), *_of_invitations(), *_of_accounts())


def _of_members() -> tuple[Operation, ...]:
    some, one, read, write = "/members", "/members/{id}", "members:read", "members:write"
    in_project, its = "/project_members", "/project_members/{id}"
    return (
        Operation("GET", some, read, "Members of an organisation.", _list_members, query=_LISTED),
        Operation(
            "POST",
            some,
            "organisations:write",
            "Make somebody a member without asking him; the operator only.",
            _add_member,
            NewMember,
        ),
        Operation("GET", one, read, "One member.", _member, query=_OF),
        Operation(
            "PATCH", one, write, "What a member is from now on.", _set_role, Given, query=_OF
        ),
        Operation(
            "DELETE",
            one,
            write,
            "Remove a member, with his keys and the invitations he made.",
            _remove_member,
            query=_OF,
        ),
        Operation(
            "GET",
            in_project,
            read,
            "Members who are something in a project besides.",
            _list_project_members,
            query=(*_IN, *PAGED),
        ),
        Operation(
            "PUT",
            its,
            write,
            "What a member is in a project besides.",
            _set_project_role,
            Given,
            query=_IN,
        ),
        Operation(
            "DELETE",
            its,
            write,
            "Take away what a member is in a project.",
            _remove_project_member,
            query=_IN,
        ),
    )


def _of_roles() -> tuple[Operation, ...]:
    some, one, read, write = "/roles", "/roles/{id}", "roles:read", "roles:write"
    return (
        Operation("GET", some, read, "Roles of an organisation.", _list_roles, query=_LISTED),
        Operation("POST", some, write, "Make a role.", _create_role, NewRole),
        Operation(
            "PATCH",
            one,
            write,
            "Change a role, for all who have it.",
            _change_role,
            RoleChange,
            query=_OF,
        ),
        Operation("DELETE", one, write, "Forget a role that nobody has.", _delete_role, query=_OF),
    )


def _of_invitations() -> tuple[Operation, ...]:
    some, one, read, write = "/invitations", "/invitations/{id}", "members:read", "members:write"
    return (
        Operation(
            "GET", some, read, "Invitations of an organisation.", _list_invitations, query=_LISTED
        ),
        Operation(
            "POST",
            some,
            write,
            "Invite somebody; the token is shown once.",
            _invite,
            NewInvitation,
            _TOKEN,
        ),
        Operation("GET", one, read, "One invitation.", _invitation),
        Operation("POST", f"{one}/revoke", write, "Take an invitation back.", _revoke_invitation),
    )


def _of_accounts() -> tuple[Operation, ...]:
    some, one = "/service_accounts", "/service_accounts/{id}"
    read, write = "service_accounts:read", "service_accounts:write"
    return (
        Operation("GET", some, read, "Service accounts.", _list_accounts, query=(*_IN, *PAGED)),
        Operation(
            "POST", some, write, "Make a service account.", _create_account, NewServiceAccount
        ),
        Operation("GET", one, read, "One service account.", _account),
        Operation(
            "PATCH", one, write, "What it is in its project from now on.", _set_account_role, Given
        ),
        Operation(
            "POST",
            f"{one}/disable",
            write,
            "End a service account and its keys, for good.",
            _disable_account,
        ),
    )
