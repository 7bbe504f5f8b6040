"""An invitation opens one door, once, in its time, to one address, on its maker's word."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from portico.accounts.actors.model import Errand
from portico.accounts.actors.roles import ORGANISATION_ROLES
from portico.accounts.people.invitations import (
    guest,
    invitation_of,
    invite,
    list_invitations,
    revoke_invitation,
)
from portico.accounts.people.members import (
    add_member,
    list_members,
    member_of,
    remove_member,
    set_member_role,
)
from portico.accounts.people.model import IssuedInvitation, Member
from portico.accounts.service import establish
from portico.accounts.webhooks import service as webhooks
from portico.errors import Refusal
from portico.routing.keys import seal_of
from portico.webhooks.model import EndpointWish
from tests.accounts.tenancy import Tenancy, mailed, noted

BOB = "bob@example.org"
_DAY_S = 86_400


def only(tenancy: Tenancy) -> str:
    (found,) = tenancy.do(lambda e: list_invitations(e, tenancy.organisation_id))
    return found.id


def test_whoever_accepts_is_what_he_was_invited_as(tenancy: Tenancy) -> None:
    token = tenancy.invited(BOB, "billing", tenancy.ada)
    member = tenancy.accepted(token, " Bob@Example.ORG ")
    assert isinstance(member, Member)
    assert (member.email, member.role) == (BOB, "billing")
    assert tenancy.rights(member.subject_id).scopes == ORGANISATION_ROLES["billing"]
    assert tenancy.do(lambda e: member_of(e, tenancy.organisation_id, member.subject_id)) == member
    steps = ["invitation.create", "member.create", "invitation.accept", "admin_key.create"]
    assert tenancy.actions()[-4:] == steps
    addresses = tenancy.rows("SELECT address FROM audit_event WHERE action = 'member.create'")
    assert addresses[-1] == "203.0.113.9"


def test_the_token_is_stored_nowhere(tenancy_on_both: Tenancy) -> None:
    tenancy = tenancy_on_both
    token = tenancy.invited(BOB, "member")
    issued = tenancy.do(
        lambda e: invite(e, tenancy.peppers, tenancy.organisation_id, "c@example.org", "member")
    )
    tenancy.accepted(token, BOB)
    for path in tenancy.database.data_dir.iterdir():
        for secret in (token, issued.token):
            assert secret.removeprefix("pk_invite_").encode() not in path.read_bytes()
    assert issued.token not in repr(issued)


Spoil = Callable[[Tenancy, str], str]
"""Makes a good token useless, and gives the address it is tried with."""


def _used(tenancy: Tenancy, token: str) -> str:
    assert isinstance(tenancy.accepted(token, BOB), Member)
    return BOB


def _revoked(tenancy: Tenancy, token: str) -> str:
    known = only(tenancy)
    tenancy.do(lambda e: revoke_invitation(e, known), tenancy.ada)
    return BOB


def _expired(tenancy: Tenancy, token: str) -> str:
    tenancy.clock.pass_s(7 * _DAY_S)
    return BOB


def _foreign(tenancy: Tenancy, token: str) -> str:
    return "eve@example.org"


def _look_alike(tenancy: Tenancy, token: str) -> str:
    return "bo\u0181@example.org"


def _member_already(tenancy: Tenancy, token: str) -> str:
    tenancy.do(lambda e: add_member(e, tenancy.organisation_id, BOB, "member"))
    return BOB


def _maker_demoted(tenancy: Tenancy, token: str) -> str:
    carl = tenancy.joined("carl", "owner")
    tenancy.do(lambda e: set_member_role(e, tenancy.organisation_id, tenancy.ada, "auditor"), carl)
    return BOB


def _maker_gone(tenancy: Tenancy, token: str) -> str:
    carl = tenancy.joined("carl", "owner")
    tenancy.do(lambda e: remove_member(e, tenancy.organisation_id, tenancy.ada), carl)
    return BOB


@pytest.mark.parametrize(
    "spoil",
    [
        _used,
        _revoked,
        _expired,
        _foreign,
        _look_alike,
        _member_already,
        _maker_demoted,
        _maker_gone,
    ],
)
def test_it_is_refused_like_one_that_never_was_and_that_is_noted(
    tenancy: Tenancy, spoil: Spoil
) -> None:
    token = tenancy.invited(BOB, "admin", tenancy.ada)
    email = spoil(tenancy, token)
    members = tenancy.do(lambda e: list_members(e, tenancy.organisation_id))
    refusal = tenancy.accepted(token, email)
    never = tenancy.accepted("pk_invite_" + "0" * 43, email)
    assert isinstance(refusal, Refusal)
    assert isinstance(never, Refusal)
    assert refusal.code == never.code == "invitation_invalid"
    assert (refusal.message, refusal.field, refusal.value) == (
        never.message,
        never.field,
        never.value,
    )
    assert tenancy.do(lambda e: list_members(e, tenancy.organisation_id)) == members
    assert tenancy.actions().count("invitation.refuse") == 1, "of the token that was good once"


@pytest.mark.parametrize("token", ["", "x", "pk_invite_", "a" * 100_000, "\udc80"])
def test_what_is_no_token_is_refused_as_one_that_never_was(tenancy: Tenancy, token: str) -> None:
    refusal = tenancy.accepted(token, BOB)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "invitation_invalid"


def test_it_counts_until_its_last_millisecond(tenancy: Tenancy) -> None:
    token = tenancy.invited(BOB, "member")
    tenancy.clock.pass_s(7 * _DAY_S - 0.001)
    assert isinstance(tenancy.accepted(token, BOB), Member)


def test_an_old_pepper_still_opens_it(tenancy: Tenancy, tmp_path: Path) -> None:
    token = tenancy.invited(BOB, "member")
    (old,) = tenancy.peppers
    tenancy.peppers = (old, replace(old, id="p2", secret=b"2" * 32))
    assert isinstance(tenancy.accepted(token, BOB), Member)


def test_who_is_asked_twice_has_one_invitation_that_is_open(tenancy: Tenancy) -> None:
    tenancy.invited(BOB, "member", tenancy.ada)
    first = only(tenancy)

    def again(errand: Errand) -> IssuedInvitation:
        return invite(errand, tenancy.peppers, tenancy.organisation_id, BOB, "admin")

    assert tenancy.refused(again, tenancy.ada) == "conflict"
    tenancy.do(lambda e: revoke_invitation(e, first), tenancy.ada)
    assert tenancy.do(again, tenancy.ada).invitation.role == "admin"


def test_nobody_invites_beyond_himself(tenancy: Tenancy) -> None:
    bob, carl = tenancy.joined("bob", "admin"), tenancy.joined("carl", "auditor")

    def refused(role: str, by: str) -> str:
        return tenancy.refused(
            lambda e: invite(e, tenancy.peppers, tenancy.organisation_id, "x@example.org", role), by
        )

    assert refused("owner", bob) == "permission_denied"
    assert refused("member", carl) == "permission_denied"
    assert refused("no-such-role", bob) == "invalid_value"
    assert refused("developer", bob) == "invalid_value", "a role in projects"
    tenancy.invited("y@example.org", "owner", tenancy.ada)
    act = only(tenancy)
    assert tenancy.refused(lambda e: revoke_invitation(e, act), bob) == "permission_denied"


def test_its_time_is_bounded(tenancy: Tenancy) -> None:
    def lives(lives_ms: int) -> str:
        return tenancy.refused(
            lambda e: invite(e, tenancy.peppers, tenancy.organisation_id, BOB, "member", lives_ms)
        )

    assert [lives(each) for each in (0, -1, 31 * _DAY_S * 1000)] == ["out_of_range"] * 3


def test_what_was_accepted_is_not_revoked_and_what_ran_out_neither(tenancy: Tenancy) -> None:
    token = tenancy.invited(BOB, "member", tenancy.ada)
    first = only(tenancy)
    tenancy.accepted(token, BOB)
    assert tenancy.refused(lambda e: revoke_invitation(e, first), tenancy.ada) == "conflict"
    tenancy.invited("c@example.org", "member", tenancy.ada)
    tenancy.clock.pass_s(7 * _DAY_S)
    last = tenancy.do(lambda e: list_invitations(e, tenancy.organisation_id))[-1]
    assert tenancy.do(lambda e: revoke_invitation(e, last.id), tenancy.ada) == last


def test_an_invitation_of_somebody_else_is_not_there(tenancy: Tenancy) -> None:
    tenancy.invited(BOB, "member", tenancy.ada)
    known = only(tenancy)
    other = tenancy.do(lambda errand: establish(errand, "Other")).id
    theirs = Tenancy(tenancy.database, tenancy.database.data_dir)
    assert theirs.organisation_id != other
    for found in (known, "inv_none"):
        for act in (
            lambda e, found=found: invitation_of(e, found),
            lambda e, found=found: revoke_invitation(e, found),
        ):
            with pytest.raises(Refusal) as refused:
                theirs.do(act, theirs.ada)
            assert refused.value.message == f"There is no invitation {found!r} here."


def test_a_guest_can_do_nothing_but_accept(tenancy: Tenancy) -> None:
    def act(organisation_id: str) -> None:
        tenancy.database.write(lambda c: list_members(guest(c, tenancy.clock), organisation_id))

    for organisation_id in (tenancy.organisation_id, ""):
        with pytest.raises(Refusal, match="no organisation"):
            act(organisation_id)


def test_the_organisation_hears_who_is_asked_to_join_and_nobody_reads_the_token_there(
    tenancy: Tenancy,
) -> None:
    """By mail once an hour, or whoever invites could fill a mailbox."""
    wish = EndpointWish(tenancy.organisation_id, "https://hooks.example/")
    seal = seal_of(tenancy.peppers)
    tenancy.invited("zero@example.org", "member", tenancy.ada)
    assert tenancy.rows("SELECT id FROM alert") == [], "nobody listens"
    id = tenancy.do(
        lambda e: webhooks.create_endpoint(e, seal, wish, private_allowed=False)
    ).endpoint.id
    noted(tenancy, "boss@acme.example")
    tokens = []
    for name in ("one", "two"):
        tokens.append(tenancy.invited(f"{name}@example.org", "admin", tenancy.ada))
        tenancy.clock.pass_s(60)
    assert mailed(tenancy) == [("boss@acme.example", "member.invited")]
    tenancy.clock.pass_s(3_600)
    tenancy.invited("three@example.org", "admin", tenancy.ada)
    assert mailed(tenancy) == [("boss@acme.example", "member.invited")] * 2
    told = tenancy.do(lambda e: webhooks.list_sent(e, id))
    assert [each.kind for each in told] == ["member.invited"] * 3
    bodies = tenancy.rows("SELECT body FROM alert ORDER BY id")
    assert "one@example.org is invited as admin." in bodies[0]
    assert not any(token in body for token in tokens for body in bodies)
