"""Every service of this room refuses whoever has no rights, and notes what it changes in the
transaction of the change.

A new function that is not in the table below fails here.
"""

import inspect
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

from portico.accounts.actors.model import Errand, Rights
from portico.accounts.catalogue import terms
from portico.accounts.keys import service as keys
from portico.accounts.keys.model import KeyChange, KeyWish
from portico.accounts.limits import service as limits
from portico.accounts.limits.model import Limit
from portico.accounts.people import invitations, members, roles, service_accounts
from portico.accounts.projects import service as projects
from portico.accounts.projects.model import ProjectWish
from portico.accounts.reports import service as reports
from portico.accounts.reports.service import Span
from portico.audit.model import Actor
from portico.errors import Refusal
from portico.pricing.model import TermsWish
from tests.accounts.tenancy import Tenancy

MODULES: tuple[ModuleType, ...] = (
    keys,
    projects,
    members,
    invitations,
    roles,
    service_accounts,
    limits,
    terms,
    reports,
)
LATER_MS = 4_000_000_000_000
Call = Callable[[Errand, Any], object]

READS: dict[str, Call] = {
    "organisation_of": lambda e, x: projects.organisation_of(e, x.organisation),
    "list_organisations": lambda e, x: projects.list_organisations(e),
    "list_projects": lambda e, x: projects.list_projects(e, x.organisation),
    "project_of": lambda e, x: projects.project_of(e, x.project),
    "list_keys": lambda e, x: keys.list_keys(e),
    "key_of": lambda e, x: keys.key_of(e, x.key),
    "list_members": lambda e, x: members.list_members(e, x.organisation),
    "member_of": lambda e, x: members.member_of(e, x.organisation, x.bob),
    "list_project_members": lambda e, x: members.list_project_members(e, x.project),
    "project_member_of": lambda e, x: members.project_member_of(e, x.project, x.bob),
    "list_limits": lambda e, x: limits.list_limits(e, "project", x.project),
    "limit_of": lambda e, x: limits.limit_of(e, "project", x.project),
    "list_terms": lambda e, x: terms.list_terms(e, x.organisation),
    "terms_of": lambda e, x: terms.terms_of(e, x.terms),
    "usage": lambda e, x: reports.usage(e, Span(0, 1, None, x.project), (), None, 1),
    "costs": lambda e, x: reports.costs(e, Span(0, 1, None, x.project), (), None, 1),
    "seen": lambda e, x: reports.seen(e, Span(0, 1, None, x.project), "usage:read"),
    "audit_log": lambda e, x: reports.audit_log(e, x.organisation, None, 1),
    "audit_event": lambda e, x: reports.audit_event(e, x.organisation, 1),
    "list_invitations": lambda e, x: invitations.list_invitations(e, x.organisation),
    "invitation_of": lambda e, x: invitations.invitation_of(e, x.invitation),
    "list_roles": lambda e, x: roles.list_roles(e, x.organisation),
    "list_service_accounts": lambda e, x: service_accounts.list_service_accounts(e),
    "service_account_of": lambda e, x: service_accounts.service_account_of(e, x.account),
}

WRITES: dict[str, Call] = {
    "create_organisation": lambda e, x: projects.create_organisation(e, "new"),
    "rename_organisation": lambda e, x: projects.rename_organisation(e, x.organisation, "new"),
    "suspend": lambda e, x: projects.suspend(e, x.organisation, "why"),
    "resume": lambda e, x: projects.resume(e, x.organisation),
    "create_project": lambda e, x: projects.create_project(e, x.organisation, "new"),
    "change_project": lambda e, x: projects.change_project(e, x.project, ProjectWish(name="new")),
    "note_exported": lambda e, x: projects.note_exported(e, x.project),
    "note_erased": lambda e, x: projects.note_erased(e, x.project),
    "archive_project": lambda e, x: projects.archive_project(e, x.project),
    "create_key": lambda e, x: keys.create_key(e, x.peppers, KeyWish("new"), x.project),
    "change_key": lambda e, x: keys.change_key(e, x.key, KeyChange(name="new")),
    "replace_key": lambda e, x: keys.replace_key(e, x.peppers, x.key),
    "revoke_key": lambda e, x: keys.revoke_key(e, x.key),
    "add_member": lambda e, x: members.add_member(e, x.organisation, "n@example.org", "member"),
    "set_member_role": lambda e, x: members.set_member_role(e, x.organisation, x.bob, "admin"),
    "remove_member": lambda e, x: members.remove_member(e, x.organisation, x.bob),
    "set_project_role": lambda e, x: members.set_project_role(e, x.project, x.bob, "viewer"),
    "remove_project_member": lambda e, x: members.remove_project_member(e, x.project, x.bob),
    "invite": lambda e, x: invitations.invite(
        e, x.peppers, x.organisation, "n@example.org", "member"
    ),
    "revoke_invitation": lambda e, x: invitations.revoke_invitation(e, x.invitation),
    "create_role": lambda e, x: roles.create_role(
        e, x.organisation, "new", "project", ("keys:read",)
    ),
    "change_role": lambda e, x: roles.change_role(e, x.organisation, "own", ("keys:write",)),
    "delete_role": lambda e, x: roles.delete_role(e, x.organisation, "own"),
    "set_limit": lambda e, x: limits.set_limit(
        e, Limit("project", x.project, requests_per_minute=1)
    ),
    "set_terms": lambda e, x: terms.set_terms(
        e, TermsWish(organisation_id=x.organisation, kind="free", effective_from_ms=LATER_MS)
    ),
    "create_service_account": lambda e, x: service_accounts.create_service_account(
        e, x.project, "new", "viewer"
    ),
    "set_service_account_role": lambda e, x: service_accounts.set_service_account_role(
        e, x.account, "admin"
    ),
    "disable_service_account": lambda e, x: service_accounts.disable_service_account(e, x.account),
}

OF_ITSELF = {
    "accept_invitation": "the token is the right",
    "join": "part of what was allowed: to add, or to accept",
    "narrow_owned": "follows from what was allowed",
    "revoke_leaked": "the key itself is the right",
}
ELSEWHERE = {
    "create_organisation": "only the operator",
    "list_organisations": "his own",
    "list_keys": "his own",
    "list_service_accounts": "his own",
}


@pytest.fixture
def world(tenancy: Tenancy) -> Any:
    x = SimpleNamespace(
        organisation=tenancy.organisation_id, project=tenancy.project_id, peppers=tenancy.peppers
    )
    limit = Limit("project", x.project, requests_per_minute=2)
    tenancy.do(lambda e: limits.set_limit(e, limit))
    x.terms = tenancy.do(lambda e: terms.list_terms(e, x.organisation))[0].terms.id
    x.bob = tenancy.joined("bob", "member")
    tenancy.do(lambda e: members.set_project_role(e, x.project, x.bob, "developer"))
    x.key = tenancy.do(lambda e: keys.create_key(e, x.peppers, KeyWish("k"), x.project)).key.id
    x.invitation = tenancy.do(
        lambda e: invitations.invite(e, x.peppers, x.organisation, "i@example.org", "member")
    ).invitation.id
    tenancy.do(lambda e: roles.create_role(e, x.organisation, "own", "project", ("keys:read",)))
    x.account = tenancy.do(
        lambda e: service_accounts.create_service_account(e, x.project, "ci", "viewer")
    ).id
    return x


def _nobody(connection: Connection, tenancy: Tenancy) -> Errand:
    """Somebody of the very organisation, without a scope."""
    rights = Rights(Actor("user", "user_none"), tenancy.organisation_id, frozenset())
    return Errand(connection, rights, tenancy.clock)


def test_every_function_is_in_the_table() -> None:
    found = {
        name
        for module in MODULES
        for name, each in inspect.getmembers(module, inspect.isfunction)
        if each.__module__ == module.__name__
        and "errand" in inspect.signature(each).parameters
        and not name.startswith("_")
    }
    assert found == set(READS) | set(WRITES) | set(OF_ITSELF)


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_whoever_has_no_scope_is_refused(tenancy: Tenancy, world: Any, name: str) -> None:
    call = {**READS, **WRITES}[name]
    events = len(tenancy.actions())

    def act(connection: Connection) -> object:
        return call(_nobody(connection, tenancy), world)

    with pytest.raises(Refusal) as refused:
        tenancy.database.write(act)
    assert refused.value.code == "permission_denied"
    assert len(tenancy.actions()) == events


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_an_owner_elsewhere_is_told_what_he_is_told_of_nothing(
    tenancy: Tenancy, world: Any, name: str
) -> None:
    other = Tenancy(tenancy.database, tenancy.database.data_dir)
    zoe = other.joined("zoe", "owner")  # in that one only
    made_up = SimpleNamespace(
        **{each: "made_up" for each in vars(world) if each != "peppers"}, peppers=world.peppers
    )
    call = {**READS, **WRITES}[name]

    def told(ids: Any) -> str:
        try:
            return str(other.do(lambda errand: call(errand, ids), zoe))
        except Refusal as refusal:
            said = refusal.message
            for id in vars(ids).values():
                said = said.replace(str(id), "ID")
            return f"{refusal.code} {said}"

    theirs = told(world)
    assert theirs == told(made_up)
    assert "resource_not_found" in theirs or name in ELSEWHERE


@pytest.mark.parametrize("name", WRITES)
def test_what_is_changed_is_noted_with_it(tenancy: Tenancy, world: Any, name: str) -> None:
    rows = "SELECT count(*) FROM audit_event"
    before = tenancy.rows(rows)
    with pytest.raises(RuntimeError):
        tenancy.do(lambda errand: _then_fail(WRITES[name], errand, world))
    assert tenancy.rows(rows) == before, "undone with the change"
    tenancy.do(lambda errand: WRITES[name](errand, world))
    assert tenancy.rows(rows) > before


@pytest.mark.parametrize("name", READS)
def test_what_is_only_read_leaves_no_line(tenancy: Tenancy, world: Any, name: str) -> None:
    events = tenancy.actions()
    tenancy.do(lambda errand: READS[name](errand, world))
    assert tenancy.actions() == events


def _then_fail(call: Call, errand: Errand, world: Any) -> None:
    call(errand, world)
    raise RuntimeError("the transaction ends here")
