"""Members, their roles, invitations and service accounts."""

from typing import Literal

from msgspec import Struct

from portico.accounts.actors.model import unknown
from portico.accounts.people import invitations, members, roles, service_accounts
from portico.accounts.people.model import (
    Invitation,
    Member,
    ProjectMember,
    Role,
    ServiceAccount,
)
from portico.accounts.people.rules import BUILT_IN, INVITATION_MS
from portico.admin.answers import Shape
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, given, page, page_of_all, window_of
from portico.admin.tenants.organisations import organisation_id_of

_OF, _IN = ("organisation_id",), ("project_id",)
_LISTED = (*_OF, *PAGED)
_TOKEN = "token"
_ONESELF = "me"


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


_OF_SUBJECT = ("subject_id",)
_TWICE = frozenset(BUILT_IN["organisation"]) & frozenset(BUILT_IN["project"])
MEMBER = Shape("member", Member, _OF_SUBJECT)
PROJECT_MEMBER = Shape("project_member", ProjectMember, _OF_SUBJECT)
ROLE = Shape("role", Role)
INVITATION = Shape("invitation", Invitation)
SERVICE_ACCOUNT = Shape("service_account", ServiceAccount)


def member(found: Member) -> Told:
    return MEMBER.told(found, id=found.subject_id)


def _project_member(found: ProjectMember) -> Told:
    return PROJECT_MEMBER.told(found, id=found.subject_id)


def _role(found: Role) -> Told:
    """Every organisation has an `admin` of either level, and ids are of one thing each."""
    level = "" if found.level == "organisation" or found.name not in _TWICE else "project/"
    return ROLE.told(found, id=f"{level}{found.name}")


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
    id = ask.errand.by.actor.id if ask.id == _ONESELF else ask.id
    return _gone(member(members.remove_member(ask.errand, organisation_id_of(ask), id)))


def _list_project_members(ask: Ask) -> Told:
    found = members.list_project_members(ask.errand, given(ask, "project_id"), window_of(ask))
    return page(ask, found, _project_member)


def _one_project_member(ask: Ask) -> Told:
    return _project_member(members.project_member_of(ask.errand, given(ask, "project_id"), ask.id))


def _set_project_role(ask: Ask) -> Told:
    project_id, wanted = given(ask, "project_id"), ask.body.role
    return _project_member(members.set_project_role(ask.errand, project_id, ask.id, wanted))


def _remove_project_member(ask: Ask) -> Told:
    project_id = given(ask, "project_id")
    gone = members.remove_project_member(ask.errand, project_id, ask.id)
    return _gone(_project_member(gone))


def _list_roles(ask: Ask) -> Told:
    return page_of_all(ask, roles.list_roles(ask.errand, organisation_id_of(ask)), _role)


def _one_role(ask: Ask) -> Told:
    found = roles.list_roles(ask.errand, organisation_id_of(ask))
    told = next((each for each in map(_role, found) if each["id"] == ask.id), None)
    if told is None:
        raise unknown("role", ask.id)
    return told


def _create_role(ask: Ask) -> Told:
    new: NewRole = ask.body
    organisation_id = organisation_id_of(ask, new.organisation_id)
    scopes = tuple(new.scopes)
    return _role(roles.create_role(ask.errand, organisation_id, new.name, new.level, scopes))


def _change_role(ask: Ask) -> Told:
    scopes = tuple(ask.body.scopes)
    return _role(roles.change_role(ask.errand, organisation_id_of(ask), ask.id, scopes))


def _delete_role(ask: Ask) -> Told:
    return _gone(_role(roles.delete_role(ask.errand, organisation_id_of(ask), ask.id)))


def _list_invitations(ask: Ask) -> Told:
    organisation_id = organisation_id_of(ask)
    found = invitations.list_invitations(ask.errand, organisation_id, window_of(ask))
    return page(ask, found, INVITATION.told)


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
    return {**INVITATION.told(made.invitation), _TOKEN: made.token}


def _invitation(ask: Ask) -> Told:
    return INVITATION.told(invitations.invitation_of(ask.errand, ask.id))


def _revoke_invitation(ask: Ask) -> Told:
    return INVITATION.told(invitations.revoke_invitation(ask.errand, ask.id))


def _list_accounts(ask: Ask) -> Told:
    project_id = ask.query.get("project_id") or None
    found = service_accounts.list_service_accounts(ask.errand, project_id, window_of(ask))
    return page(ask, found, SERVICE_ACCOUNT.told)


def _create_account(ask: Ask) -> Told:
    new: NewServiceAccount = ask.body
    return SERVICE_ACCOUNT.told(
        service_accounts.create_service_account(ask.errand, new.project_id, new.name, new.role)
    )


def _account(ask: Ask) -> Told:
    return SERVICE_ACCOUNT.told(service_accounts.service_account_of(ask.errand, ask.id))


def _set_account_role(ask: Ask) -> Told:
    return SERVICE_ACCOUNT.told(
        service_accounts.set_service_account_role(ask.errand, ask.id, ask.body.role)
    )


def _disable_account(ask: Ask) -> Told:
    return SERVICE_ACCOUNT.told(service_accounts.disable_service_account(ask.errand, ask.id))


def operations() -> tuple[Operation, ...]:
    return (
        *_of_members(),
        *_of_project_members(),
        *_of_roles(),
        *_of_invitations(),
        *_of_accounts(),
    )


def _of_members() -> tuple[Operation, ...]:
    some, one, read, write = "/members", "/members/{id}", "members:read", "members:write"
    return (
        Operation(
            "GET",
            some,
            read,
            "Members of an organisation.",
            _list_members,
            MEMBER.page,
            query=_LISTED,
        ),
        Operation(
            "POST",
            some,
            "organisations:write",
            "Make somebody a member without asking him; the operator only.",
            _add_member,
            MEMBER.type,
            NewMember,
        ),
        Operation("GET", one, read, "One member.", _member, MEMBER.type, query=_OF),
        Operation(
            "PATCH",
            one,
            write,
            "What a member is from now on.",
            _set_role,
            MEMBER.type,
            Given,
            query=_OF,
        ),
        Operation(
            "DELETE",
            one,
            "organisation:read",  # whoever is in it may leave; others are removed with members:write
            "Remove a member, with his keys and the invitations he made; or leave, as `me`.",
            _remove_member,
            MEMBER.gone,
            query=_OF,
        ),
    )


def _of_project_members() -> tuple[Operation, ...]:
    some, one = "/project_members", "/project_members/{id}"
    read, write = "members:read", "members:write"
    return (
        Operation(
            "GET",
            some,
            read,
            "Members who are something in a project besides.",
            _list_project_members,
            PROJECT_MEMBER.page,
            query=(*_IN, *PAGED),
        ),
        Operation(
            "GET",
            one,
            read,
            "What one member is in a project.",
            _one_project_member,
            PROJECT_MEMBER.type,
            query=_IN,
        ),
        Operation(
            "PUT",
            one,
            write,
            "What a member is in a project besides.",
            _set_project_role,
            PROJECT_MEMBER.type,
            Given,
            query=_IN,
        ),
        Operation(
            "DELETE",
            one,
            write,
            "Take away what a member is in a project.",
            _remove_project_member,
            PROJECT_MEMBER.gone,
            query=_IN,
        ),
    )


def _of_roles() -> tuple[Operation, ...]:
    some, one, read, write = "/roles", "/roles/{id}", "roles:read", "roles:write"
    return (
        Operation(
            "GET", some, read, "Roles of an organisation.", _list_roles, ROLE.page, query=_LISTED
        ),
        Operation("POST", some, write, "Make a role.", _create_role, ROLE.type, NewRole),
        Operation("GET", one, read, "One role.", _one_role, ROLE.type, query=_OF),
        Operation(
            "PATCH",
            one,
            write,
            "Change a role, for all who have it.",
            _change_role,
            ROLE.type,
            RoleChange,
            query=_OF,
        ),
        Operation(
            "DELETE",
            one,
            write,
            "Forget a role that nobody has.",
            _delete_role,
            ROLE.gone,
            query=_OF,
        ),
    )


def _of_invitations() -> tuple[Operation, ...]:
    some, one, read, write = "/invitations", "/invitations/{id}", "members:read", "members:write"
    return (
        Operation(
            "GET",
            some,
            read,
            "Invitations of an organisation.",
            _list_invitations,
            INVITATION.page,
            query=_LISTED,
        ),
        Operation(
            "POST",
            some,
            write,
            "Invite somebody; the token is shown once.",
            _invite,
            INVITATION.with_secret(_TOKEN),
            NewInvitation,
            _TOKEN,
        ),
        Operation("GET", one, read, "One invitation.", _invitation, INVITATION.type),
        Operation(
            "POST",
            f"{one}/revoke",
            write,
            "Take an invitation back.",
            _revoke_invitation,
            INVITATION.type,
        ),
    )


def _of_accounts() -> tuple[Operation, ...]:
    some, one = "/service_accounts", "/service_accounts/{id}"
    read, write = "service_accounts:read", "service_accounts:write"
    return (
        Operation(
            "GET",
            some,
            read,
            "Service accounts.",
            _list_accounts,
            SERVICE_ACCOUNT.page,
            query=(*_IN, *PAGED),
        ),
        Operation(
            "POST",
            some,
            write,
            "Make a service account.",
            _create_account,
            SERVICE_ACCOUNT.type,
            NewServiceAccount,
        ),
        Operation("GET", one, read, "One service account.", _account, SERVICE_ACCOUNT.type),
        Operation(
            "PATCH",
            one,
            write,
            "What it is in its project from now on.",
            _set_account_role,
            SERVICE_ACCOUNT.type,
            Given,
        ),
        Operation(
            "POST",
            f"{one}/disable",
            write,
            "End a service account and its keys, for good.",
            _disable_account,
            SERVICE_ACCOUNT.type,
        ),
    )
