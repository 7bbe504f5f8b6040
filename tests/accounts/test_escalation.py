"""No sequence of grants by anyone below an owner ever gives a scope that its giver lacked.

Whatever people, programs and roles do to one another, one transaction after the other: after each
step nobody can do more than he could before and whoever took the step could; no key can do more
than its owner; there is an owner, and only owners made him one.
"""

from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

from portico.accounts.actors.model import Errand, Rights
from portico.accounts.actors.rights import rights_of_subject
from portico.accounts.admin_keys.model import AdminKeyWish
from portico.accounts.admin_keys.service import create_admin_key, rights_of
from portico.accounts.keys.model import KeyChange, KeyWish
from portico.accounts.keys.service import change_key, create_key, list_keys, replace_key
from portico.accounts.people import invitations, members, roles, service_accounts
from portico.accounts.people.model import Level, Member, Role
from portico.audit.model import Actor
from portico.callers.rules import digest
from portico.callers.scopes import KEY_SCOPES
from portico.db.database import open_database
from portico.errors import Refusal
from tests.accounts.tenancy import Act, Tenancy, narrowed

T = TypeVar("T")
Snapshot = dict[str, Rights]

NAMES = ("owner", "admin", "auditor", "member", "developer", "viewer", "low", "high", "one")
ROLES_OF_THEIRS: tuple[tuple[str, Level, str], ...] = (
    ("high", "organisation", "roles:* members:* keys:* service_accounts:* projects:read embed"),
    ("one", "organisation", "projects:read keys:* embed"),
    ("low", "project", "projects:read members:* keys:* embed"),
)
ROLES = st.sampled_from(NAMES)
SCOPES = st.lists(
    st.sampled_from(
        (
            *("projects:read", "keys:read", "keys:write", "embed", "members:read", "roles:read"),
            *("generate", "audit:read", "members:*", "*"),
        )
    ),
    min_size=1,
    max_size=3,
).map(tuple)
"""Those that eve has come first."""
KEYS = st.none() | st.lists(st.sampled_from(sorted(KEY_SCOPES)), max_size=3).map(tuple)
WHO = st.integers(0, 30)
"""Of the subjects there are, counted round."""
By = tuple[int, frozenset[str] | None]
_HELD = ("members:write", "members:read", "roles:write", "keys:write", "keys:read", "projects:read")
BY: st.SearchStrategy[By] = st.tuples(
    st.sampled_from((1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8)),
    st.none() | st.frozensets(st.sampled_from((*_HELD, "embed", "admin_keys:write")), min_size=4),
)
"""As `WHO`, without the owner: eve and bob can do most, and do most.  With what scopes of theirs:
the key of the admin API that they use may have less; None: all of them."""
LEVELS: st.SearchStrategy[Level] = st.sampled_from(("organisation", "project"))


class Company(RuleBasedStateMachine):
    """Its people try everything; `ada` is the owner, and what she does is law."""

    seed: Tenancy

    def __init__(self) -> None:
        super().__init__()
        self.tenancy = self.seed.aside()
        self.tokens: list[tuple[str, str, str]] = []
        self.now = self.snapshot()

    def teardown(self) -> None:
        self.tenancy.end()

    # What is tried

    @rule(by=BY, who=WHO, role=ROLES)
    def sets_a_role(self, by: By, who: int, role: str) -> None:
        organisation_id, subject = self.tenancy.organisation_id, self.subject(who)
        self.tried(by, lambda e: members.set_member_role(e, organisation_id, subject, role))

    @rule(by=BY, who=WHO, role=ROLES, here=st.booleans())
    def sets_a_project_role(self, by: By, who: int, role: str, here: bool) -> None:
        project, subject = self.project(here), self.subject(who)
        self.tried(by, lambda e: members.set_project_role(e, project, subject, role))

    @rule(by=BY, who=WHO)
    def removes(self, by: By, who: int) -> None:
        subject = self.subject(who)
        self.tried(by, lambda e: members.remove_member(e, self.tenancy.organisation_id, subject))

    @rule(by=BY, number=st.integers(1, 3), role=ROLES)
    def invites(self, by: By, number: int, role: str) -> None:
        email, organisation_id = f"guest{number}@example.org", self.tenancy.organisation_id
        issued = self.tried(
            by,
            lambda e: invitations.invite(e, self.tenancy.peppers, organisation_id, email, role),
        )
        if issued is not None:
            self.tokens.append((issued.token, email, issued.invitation.invited_by))

    @rule(which=st.integers(0, 9))
    def accepts(self, which: int) -> None:
        """What it gives is given by whoever invited, with what he has by then."""
        if not self.tokens:
            return
        token, email, by = self.tokens[which % len(self.tokens)]
        before = self.now
        if isinstance(self.tenancy.accepted(token, email), Member):
            self.changed(before, before[by])

    @rule(by=BY, name=st.sampled_from(("one", "two")), level=LEVELS, scopes=SCOPES)
    def makes_a_role(self, by: By, name: str, level: Level, scopes: tuple[str, ...]) -> None:
        organisation_id = self.tenancy.organisation_id
        made = self.tried(by, lambda e: roles.create_role(e, organisation_id, name, level, scopes))
        if made is not None:
            assert set(made.scopes) <= self.giver.scopes

    @rule(by=BY, name=st.sampled_from(("one", "two", "low", "high")), scopes=SCOPES)
    def changes_a_role(self, by: By, name: str, scopes: tuple[str, ...]) -> None:
        organisation_id = self.tenancy.organisation_id
        self.tried(by, lambda e: roles.change_role(e, organisation_id, name, scopes))

    @rule(by=BY, name=st.sampled_from(("one", "two", "low", "high")))
    def deletes_a_role(self, by: By, name: str) -> None:
        self.tried(by, lambda e: roles.delete_role(e, self.tenancy.organisation_id, name))

    @rule(by=BY, role=ROLES, here=st.booleans())
    def makes_a_service_account(self, by: By, role: str, here: bool) -> None:
        project = self.project(here)
        self.tried(by, lambda e: service_accounts.create_service_account(e, project, "ci", role))

    @rule(by=BY, which=st.integers(0, 9), role=ROLES | st.none())
    def changes_a_service_account(self, by: By, which: int, role: str | None) -> None:
        """role: None to disable it."""
        found = self.tenancy.rows("SELECT id FROM subject WHERE email IS NULL ORDER BY rowid")
        account = found[which % len(found)]
        if role is None:
            self.tried(by, lambda e: service_accounts.disable_service_account(e, account))
        else:
            self.tried(by, lambda e: service_accounts.set_service_account_role(e, account, role))

    @rule(by=BY, owner=st.none() | WHO, scopes=KEYS, here=st.booleans())
    def makes_a_key(
        self, by: By, owner: int | None, scopes: tuple[str, ...] | None, here: bool
    ) -> None:
        project, peppers = self.project(here), self.tenancy.peppers
        whose = None if owner is None else self.subject(owner)
        wish = KeyWish("k", scopes=scopes, owner_id=whose)
        issued = self.tried(by, lambda e: create_key(e, peppers, wish, project))
        if issued is not None:
            can = KEY_SCOPES if scopes is None else frozenset(scopes)
            assert can <= self.giver.within(project)
            assert issued.key.owner_id is not None, "a key without an owner outlives its maker"

    @rule(by=BY, which=st.integers(0, 9), scopes=KEYS)
    def changes_a_key(self, by: By, which: int, scopes: tuple[str, ...] | None) -> None:
        keys = self.tenancy.do(list_keys)
        if keys:
            before = keys[which % len(keys)]
            change = KeyChange(scopes=scopes)
            after = self.tried(by, lambda e: change_key(e, before.id, change))
            if after is not None and after.scopes != before.scopes:
                can = KEY_SCOPES if after.scopes is None else frozenset(after.scopes)
                assert can <= self.giver.within(before.project_id)

    @rule(by=BY, which=st.integers(0, 9))
    def replaces_a_key(self, by: By, which: int) -> None:
        keys = self.tenancy.do(list_keys)
        if keys:
            key = keys[which % len(keys)]
            self.tried(by, lambda e: replace_key(e, self.tenancy.peppers, key.id))

    @rule(by=BY, owner=st.none() | WHO, scopes=st.none() | SCOPES)
    def makes_an_admin_key(self, by: By, owner: int | None, scopes: tuple[str, ...] | None) -> None:
        peppers = self.tenancy.peppers
        whose = None if owner is None else self.subject(owner)
        wish = AdminKeyWish("k", scopes=scopes, owner_id=whose)
        issued = self.tried(by, lambda e: create_admin_key(e, peppers, wish))
        if issued is not None:
            if issued.key.scopes is None:  # grows with its owner, so nobody else may know it
                assert issued.key.owner_id == self.giver.actor.id
                assert not self.giver.narrowed
            digests = (digest(peppers[-1].secret, issued.secret),)
            now_ms = self.tenancy.clock.wall_ms()
            opens = self.tenancy.database.read(lambda c: rights_of(c, digests, now_ms, ""))
            assert opens.scopes <= self.giver.scopes
            for project_id, more in opens.in_projects.items():
                assert more <= self.giver.within(project_id)

    @rule(who=WHO, role=ROLES)
    def the_owner_decides(self, who: int, role: str) -> None:
        """What was right before she did may be too much afterwards."""
        subject, organisation_id = self.subject(who), self.tenancy.organisation_id
        if subject == self.tenancy.ada or role == "owner":
            return
        if self.allowed(
            lambda e: members.set_member_role(e, organisation_id, subject, role), self.tenancy.ada
        ):
            self.now = self.snapshot()
            self.check_keys()

    # What holds

    def tried(self, by: By, act: Act[T]) -> T | None:
        """By anybody but the owner."""
        found = self.subjects()
        number, kept = by
        actor = found[1 + (number - 1) % (len(found) - 1)]
        before = self.now
        self.giver = before[actor] if kept is None else narrowed(before[actor], kept)
        done = self.allowed(act, actor, kept)
        if done is not None:
            self.changed(before, self.giver)
        return done

    def allowed(self, act: Act[T], by: str, kept: frozenset[str] | None = None) -> T | None:
        try:
            return self.tenancy.do(act, by, kept)
        except Refusal:
            return None

    def changed(self, before: Snapshot, giver: Rights) -> None:
        self.now = self.snapshot()
        nothing = Rights(giver.actor, giver.organisation_id, frozenset())
        for subject, now in self.now.items():
            was = before.get(subject, nothing)
            assert now.scopes <= was.scopes | giver.scopes
            for project_id in (self.tenancy.project_id, self.tenancy.other_id):
                assert now.within(project_id) <= was.within(project_id) | giver.within(project_id)
        owners = {subject for subject, now in self.now.items() if now.anywhere("owners:write")}
        assert owners == {self.tenancy.ada}
        self.check_keys()

    def check_keys(self) -> None:
        for key in self.tenancy.do(list_keys):
            if key.revoked_at_ms is None and key.owner_id is not None:
                can = KEY_SCOPES if key.scopes is None else frozenset(key.scopes)
                assert can <= self.now[key.owner_id].within(key.project_id)

    def snapshot(self) -> Snapshot:
        return {subject: self.rights(subject) for subject in self.subjects()}

    def rights(self, subject_id: str) -> Rights:
        actor = Actor("user", subject_id)
        return self.tenancy.database.read(
            lambda c: rights_of_subject(c, self.tenancy.organisation_id, subject_id, actor)
        )

    def subjects(self) -> list[str]:
        """In the order in which they came; the owner was first."""
        return self.tenancy.rows("SELECT id FROM subject ORDER BY rowid")

    def subject(self, number: int) -> str:
        found = self.subjects()
        return found[number % len(found)]

    def project(self, here: bool) -> str:
        return self.tenancy.project_id if here else self.tenancy.other_id


def company(folder: Path) -> Tenancy:
    """Two who may do much, two who may do little, roles of their own, a program, keys."""
    here = Tenancy(open_database(folder), folder)
    for name, level, scopes in ROLES_OF_THEIRS:
        here.do(partial(_role, here.organisation_id, name, level, scopes.split()), here.ada)
    eve, _bob, fred = (
        here.joined(name, role)
        for name, role in (("eve", "high"), ("bob", "admin"), ("fred", "one"))
    )
    here.joined("carl", "auditor")
    here.joined("dora", "member")
    for project_id, role in ((here.project_id, "admin"), (here.other_id, "low")):
        here.do(partial(members.set_project_role, project_id=project_id, subject_id=eve, role=role))
    account = here.do(
        lambda e: service_accounts.create_service_account(e, here.project_id, "ci", "developer")
    )
    for owner, may in ((eve, "embed"), (fred, "embed"), (account.id, "generate")):
        wish = KeyWish("k", scopes=tuple(may.split()), owner_id=owner)
        here.do(partial(create_key, peppers=here.peppers, wish=wish, project_id=here.project_id))
    return here


def _role(organisation_id: str, name: str, level: Level, scopes: list[str], errand: Errand) -> Role:
    return roles.create_role(errand, organisation_id, name, level, tuple(scopes))


def run(folder: Path, examples: int, steps: int) -> None:
    class Played(Company):
        seed = company(folder)

    run_state_machine_as_test(
        Played,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # Without making the example smaller, which takes minutes: it is short enough.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nobody_gives_what_he_has_not_got(tmp_path: Path) -> None:
    run(tmp_path, examples=40, steps=30)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_nobody_gives_what_he_has_not_got_in_a_long_life(tmp_path: Path) -> None:
    run(tmp_path, examples=2_000, steps=100)
