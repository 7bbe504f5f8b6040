"""Who is in an organisation and in its projects, and as what.

A running server obeys within 5 s.
"""

from dataclasses import asdict, replace

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.actors.names import check_name
from portico.accounts.actors.paging import ALL, Window
from portico.accounts.people import invitation_store, rules, store
from portico.accounts.people.model import OWNER, Member, ProjectMember
from portico.accounts.people.standing import check_not_last_owner, check_role, fit_keys
from portico.accounts.projects.service import project_of
from portico.accounts.projects.theirs import theirs
from portico.kit.ids import new_id


def list_members(errand: Errand, organisation_id: str, window: Window = ALL) -> list[Member]:
    """By id."""
    theirs(errand, organisation_id)
    errand.require("members:read")
    return store.members(errand.connection, organisation_id, window)


def member_of(errand: Errand, organisation_id: str, subject_id: str) -> Member:
    """Raises: Refusal: resource_not_found."""
    theirs(errand, organisation_id)
    errand.require("members:read")
    return _member(errand, organisation_id, subject_id)


def add_member(
    errand: Errand, organisation_id: str, email: str, role: str, name: str = ""
) -> Member:
    """Without asking the person, which only the operator may: what an address is known as here is
    told to nobody else before its owner has accepted an invitation.

    name: of somebody who is not known here yet; the address if left out.
    Raises: Refusal: resource_not_found, invalid_value, conflict.
    """
    theirs(errand, organisation_id)
    errand.require("organisations:write")
    check_role(errand, organisation_id, role, "organisation")
    return join(errand, organisation_id, rules.checked_email(email), role, name)


def set_member_role(errand: Errand, organisation_id: str, subject_id: str, role: str) -> Member:
    """The member as he is afterwards; his keys can do no more than he can.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded, last_owner.
    """
    theirs(errand, organisation_id)
    errand.require("members:write")
    before = _member(errand, organisation_id, subject_id)
    for each in (before.role, role):
        check_role(errand, organisation_id, each, "organisation")
    if before.role == OWNER and role != OWNER:
        check_not_last_owner(errand, organisation_id, subject_id)
    after = replace(before, role=role)
    if after != before:
        store.set_member_role(errand.connection, organisation_id, subject_id, role)
        errand.note(organisation_id, "member.update", subject_id, asdict(before), asdict(after))
        fit_keys(errand, organisation_id, subject_id)
    return after


def remove_member(errand: Errand, organisation_id: str, subject_id: str) -> Member:
    """From the organisation and its projects, with the keys he has there and the invitations he
    made; or let him leave.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded, last_owner.
    """
    theirs(errand, organisation_id)
    leaves = _is_self(errand, subject_id)
    errand.require("organisation:read" if leaves else "members:write")
    before = _member(errand, organisation_id, subject_id)
    if not leaves:
        check_role(errand, organisation_id, before.role, "organisation")
    if before.role == OWNER:
        check_not_last_owner(errand, organisation_id, subject_id)
    store.remove_member(errand.connection, organisation_id, subject_id)
    verb = "member.leave" if leaves else "member.remove"
    errand.note(organisation_id, verb, subject_id, before=asdict(before))
    _take_back_invitations(errand, organisation_id, subject_id)
    fit_keys(errand, organisation_id, subject_id)
    return before


def list_project_members(
    errand: Errand, project_id: str, window: Window = ALL
) -> list[ProjectMember]:
    """People who are something in this project besides, by id."""
    project = project_of(errand, project_id)
    errand.require("members:read", project_id)
    return store.project_members(errand.connection, project.organisation_id, project_id, window)


def project_member_of(errand: Errand, project_id: str, subject_id: str) -> ProjectMember:
    """Raises: Refusal: resource_not_found, permission_denied."""
    project = project_of(errand, project_id)
    errand.require("members:read", project_id)
    organisation_id = project.organisation_id
    found = store.project_member_of(errand.connection, organisation_id, project_id, subject_id)
    if found is None:
        raise unknown("member", subject_id)
    return found


def set_project_role(errand: Errand, project_id: str, subject_id: str, role: str) -> ProjectMember:
    """Make a member of the organisation something in a project, or something else.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded, invalid_value.
    """
    project = project_of(errand, project_id)
    errand.require("members:write", project_id)
    organisation_id = project.organisation_id
    person = _member(errand, organisation_id, subject_id)
    before = store.project_member_of(errand.connection, organisation_id, project_id, subject_id)
    roles = [role] if before is None else [before.role, role]
    for each in roles:
        check_role(errand, organisation_id, each, "project", project_id)
    now_ms = errand.clock.wall_ms()
    after = ProjectMember(
        organisation_id,
        project_id,
        subject_id,
        person.email,
        person.name,
        role,
        now_ms if before is None else before.created_at_ms,
    )
    if after != before:
        store.set_project_role(
            errand.connection, organisation_id, project_id, subject_id, role, now_ms
        )
        was = None if before is None else asdict(before)
        errand.note(organisation_id, "project_member.set", subject_id, was, asdict(after))
        fit_keys(errand, organisation_id, subject_id)
    return after


def remove_project_member(errand: Errand, project_id: str, subject_id: str) -> ProjectMember:
    """What he is in the organisation stays.  Raises: Refusal: resource_not_found,
    permission_denied, rights_exceeded."""
    project = project_of(errand, project_id)
    leaves = _is_self(errand, subject_id)
    errand.require("projects:read" if leaves else "members:write", project_id)
    organisation_id = project.organisation_id
    before = store.project_member_of(errand.connection, organisation_id, project_id, subject_id)
    if before is None:
        raise unknown("member", subject_id)
    if not leaves:
        check_role(errand, organisation_id, before.role, "project", project_id)
    store.remove_project_member(errand.connection, organisation_id, project_id, subject_id)
    errand.note(organisation_id, "project_member.remove", subject_id, before=asdict(before))
    fit_keys(errand, organisation_id, subject_id)
    return before


def join(errand: Errand, organisation_id: str, email: str, role: str, name: str) -> Member:
    """Make somebody a member who may become one: that was asked before.

    Raises: Refusal: conflict, for somebody who is one.
    """
    if store.member_by_email(errand.connection, organisation_id, email) is not None:
        raise errors.CONFLICT(f"{email!r} is a member already.", field="email", value=email)
    now_ms = errand.clock.wall_ms()
    user_id = store.user_by_email(errand.connection, email)
    if user_id is None:
        user_id = new_id("user")
        known_as = name or email
        check_name(known_as)
        store.add_user(errand.connection, user_id, email, known_as, now_ms)
    made = Member(organisation_id, user_id, email, name, role, now_ms)
    store.add_member(errand.connection, made)
    made = _member(errand, organisation_id, user_id)  # with the name he is known by
    errand.note(organisation_id, "member.create", user_id, after=asdict(made))
    return made


def _member(errand: Errand, organisation_id: str, subject_id: str) -> Member:
    found = store.member_of(errand.connection, organisation_id, subject_id)
    if found is None:
        raise unknown("member", subject_id)
    return found


def _is_self(errand: Errand, subject_id: str) -> bool:
    """Whoever may make admin keys can have one in somebody else's name, but none that has all of his
    rights: only such a one leaves for him."""
    by = errand.by
    return by.actor.kind == "user" and by.actor.id == subject_id and not by.narrowed


def _take_back_invitations(errand: Errand, organisation_id: str, subject_id: str) -> None:
    """Nobody comes in on the word of somebody who is gone."""
    now_ms = errand.clock.wall_ms()
    for each in invitation_store.unused(errand.connection, organisation_id, invited_by=subject_id):
        invitation_store.change(errand.connection, each.id, revoked_at_ms=now_ms)
        after = replace(each, revoked_at_ms=now_ms)
        errand.note(organisation_id, "invitation.revoke", each.id, asdict(each), asdict(after))
