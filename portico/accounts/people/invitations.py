"""Ask somebody to join, by an address; what he is sent opens one door once."""

import re
import secrets
from dataclasses import asdict, replace

from sqlalchemy import Connection

from portico import errors
from portico.accounts.actors.model import Errand, Rights, unknown
from portico.accounts.actors.paging import ALL, Window
from portico.accounts.actors.rights import rights_of_subject
from portico.accounts.admin_keys.service import first_key
from portico.accounts.people import invitation_store, rules, store
from portico.accounts.people.members import join
from portico.accounts.people.model import Invitation, IssuedInvitation, Joined
from portico.accounts.people.standing import check_role
from portico.accounts.projects.theirs import theirs
from portico.audit.model import Actor
from portico.callers.pepper import Pepper
from portico.callers.rules import BASE62, digest
from portico.errors import Refusal
from portico.kit.clock import Clock
from portico.kit.ids import new_id

OPERATOR = "operator"
_TOKEN = "pk_invite_"
"""Its beginning, like a key's: logs cut whatever begins so, and secret scanners find it."""
_RANDOM_CHARACTERS = 43
_TOKEN_SHAPED = re.compile(rf"{_TOKEN}[0-9A-Za-z]{{{_RANDOM_CHARACTERS}}}")


def invite(
    errand: Errand,
    peppers: tuple[Pepper, ...],
    organisation_id: str,
    email: str,
    role: str,
    lives_ms: int = rules.INVITATION_MS,
) -> IssuedInvitation:
    """role: what he will be in the organisation.  lives_ms: how long it can be accepted.

    Raises: Refusal: invalid_value, out_of_range, permission_denied, rights_exceeded; conflict, for
    a member, or somebody with an invitation that is open.
    """
    theirs(errand, organisation_id)
    errand.require("members:write")
    email = rules.checked_email(email)
    rules.check_lifetime(lives_ms)
    check_role(errand, organisation_id, role, "organisation")
    now_ms = errand.clock.wall_ms()
    _check_new(errand, organisation_id, email, now_ms)
    errand.check_room(
        "open invitations in this organisation",
        errand.caps.invitations,
        lambda: invitation_store.open_ones(errand.connection, organisation_id, now_ms),
    )
    by = OPERATOR if errand.by.organisation_id is None else errand.by.actor.id
    made = Invitation(new_id("inv"), organisation_id, email, role, by, now_ms, now_ms + lives_ms)
    token = _TOKEN + "".join(secrets.choice(BASE62) for _ in range(_RANDOM_CHARACTERS))
    pepper = peppers[-1]
    invitation_store.add(errand.connection, made, pepper.id, digest(pepper.secret, token))
    errand.note(organisation_id, "invitation.create", made.id, after=asdict(made))
    return IssuedInvitation(made, token)


def list_invitations(
    errand: Errand, organisation_id: str, window: Window = ALL
) -> list[Invitation]:
    """Oldest first, those of the past included."""
    theirs(errand, organisation_id)
    errand.require("members:read")
    return invitation_store.invitations(errand.connection, organisation_id, window)


def invitation_of(errand: Errand, invitation_id: str) -> Invitation:
    """Raises: Refusal: resource_not_found, also of one that is not theirs."""
    errand.require("members:read")
    found = invitation_store.invitation_of(
        errand.connection, errand.by.organisation_id, invitation_id
    )
    if found is None:
        raise unknown("invitation", invitation_id)
    return found


def revoke_invitation(errand: Errand, invitation_id: str) -> Invitation:
    """As it is afterwards; of one that is revoked or has run out, nothing changes.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded; conflict, for one that
    was accepted.
    """
    errand.require("members:write")
    before = invitation_of(errand, invitation_id)
    if before.accepted_at_ms is not None:
        raise errors.CONFLICT(f"The invitation {invitation_id!r} was accepted.", field="id")
    if not rules.is_open(before, errand.clock.wall_ms()):
        return before
    check_role(errand, before.organisation_id, before.role, "organisation")
    after = replace(before, revoked_at_ms=errand.clock.wall_ms())
    invitation_store.change(errand.connection, before.id, revoked_at_ms=errand.clock.wall_ms())
    errand.note(
        before.organisation_id, "invitation.revoke", before.id, asdict(before), asdict(after)
    )
    return after


def guest(connection: Connection, clock: Clock, address: str = "") -> Errand:
    """An errand of somebody who is nobody here yet.  address: where from, as the connection says."""
    rights = Rights(Actor("user", "", address=address), "", frozenset())
    return Errand(connection, rights, clock)


def accept_invitation(
    errand: Errand, peppers: tuple[Pepper, ...], token: str, email: str, name: str = ""
) -> Joined | Refusal:
    """No scope is needed: the token is the right.  It counts once, in its time, for the address it
    was made for, as long as whoever made it could still make it.  Who accepts is given a key of the
    admin API: there is no other way to one that nobody else knows.

    name: of somebody who is not known here yet; the address if left out.

    Gives the refusal invitation_invalid, and does not raise it: that would undo the transaction, and
    with it the line in the audit log that says that a used or foreign token was tried.  It is the
    same for a token that never was.
    """
    known = None
    if _TOKEN_SHAPED.fullmatch(token):
        digests = [digest(pepper.secret, token) for pepper in peppers]
        known = invitation_store.by_digest(errand.connection, digests)
    if known is None:
        return _invalid()
    wrong = _wrong(errand, known, email)
    if wrong:
        told = {"email": rules.address(email), "reason": wrong}
        errand.note(known.organisation_id, "invitation.refuse", known.id, after=told)
        return _invalid()
    now_ms = errand.clock.wall_ms()
    invitation_store.change(errand.connection, known.id, accepted_at_ms=now_ms)
    as_member = replace(errand, by=_accepting(errand, known))
    member = join(as_member, known.organisation_id, known.email, known.role, name)
    after = replace(known, accepted_at_ms=now_ms)
    as_member.note(
        known.organisation_id, "invitation.accept", known.id, asdict(known), asdict(after)
    )
    issued = first_key(as_member, peppers, known.organisation_id, member.subject_id)
    return Joined(member, issued)


def _check_new(errand: Errand, organisation_id: str, email: str, now_ms: int) -> None:
    if store.member_by_email(errand.connection, organisation_id, email) is not None:
        raise errors.CONFLICT(f"{email!r} is a member already.", field="email", value=email)
    for each in invitation_store.unused(errand.connection, organisation_id, email=email):
        if rules.is_open(each, now_ms):
            raise errors.CONFLICT(
                f"{email!r} has the invitation {each.id}, which is open; revoke it first.",
                field="email",
                value=email,
            )


def _wrong(errand: Errand, known: Invitation, email: str) -> str:
    """Why it cannot be accepted, for the audit log; "" when it can."""
    for found, why in (
        (known.accepted_at_ms is not None, "accepted before"),
        (known.revoked_at_ms is not None, "revoked"),
        (known.expires_at_ms <= errand.clock.wall_ms(), "expired"),
        (rules.address(email) != known.email, "made for another address"),
        (not _still_given(errand, known), "whoever made it could not make it now"),
        (
            store.member_by_email(errand.connection, known.organisation_id, known.email)
            is not None,
            "a member already",
        ),
    ):
        if found:
            return why
    return ""


def _still_given(errand: Errand, known: Invitation) -> bool:
    """Somebody who was demoted since hands out no more than he has now."""
    if known.invited_by == OPERATOR:
        return True
    actor = Actor("user", known.invited_by)
    rights = rights_of_subject(errand.connection, known.organisation_id, known.invited_by, actor)
    maker = replace(errand, by=rights)
    try:
        maker.require("members:write")
        check_role(maker, known.organisation_id, known.role, "organisation")
    except Refusal:
        return False
    return True


def _accepting(errand: Errand, known: Invitation) -> Rights:
    """Whoever accepts is a user of that address, before he is one."""
    user_id = store.user_by_email(errand.connection, known.email) or known.email
    actor = Actor("user", user_id, address=errand.by.actor.address)
    return Rights(actor, known.organisation_id, frozenset())


def _invalid() -> Refusal:
    return errors.INVITATION_INVALID("This invitation cannot be accepted.", field="token")
