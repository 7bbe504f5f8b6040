"""Programs that work in a project, with rights and keys of their own."""

from dataclasses import asdict, replace

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.actors.names import check_name
from portico.accounts.actors.paging import ALL, Window
from portico.accounts.people import store
from portico.accounts.people.model import ServiceAccount
from portico.accounts.people.standing import check_role, fit_keys
from portico.accounts.projects.service import project_of
from portico.kit.ids import new_id


def create_service_account(errand: Errand, project_id: str, name: str, role: str) -> ServiceAccount:
    """role: what it is in the project.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded, invalid_value,
    out_of_range.
    """
    project = project_of(errand, project_id)
    errand.require("service_accounts:write", project_id)
    check_role(errand, project.organisation_id, role, "project", project_id)
    check_name(name)
    errand.check_room(
        "service accounts in this organisation",
        errand.caps.service_accounts,
        lambda: store.accounts_at_work(errand.connection, project.organisation_id),
    )
    made = ServiceAccount(
        new_id("svc"),
        project.organisation_id,
        project_id,
        name,
        role,
        errand.clock.wall_ms(),
    )
    store.add_account(errand.connection, made)
    errand.note(made.organisation_id, "service_account.create", made.id, after=asdict(made))
    return made


def list_service_accounts(
    errand: Errand, project_id: str | None = None, window: Window = ALL
) -> list[ServiceAccount]:
    """Those that whoever asks may read, oldest first, disabled ones included."""
    errand.require_anywhere("service_accounts:read")
    if project_id is not None:
        project_of(errand, project_id)
    among = errand.by.projects_with("service_accounts:read")
    whose = errand.by.organisation_id
    return store.accounts(errand.connection, whose, project_id, window, among)


def service_account_of(errand: Errand, account_id: str) -> ServiceAccount:
    """Raises: Refusal: resource_not_found, also of one that is not theirs."""
    errand.require_anywhere("service_accounts:read")
    found = store.account_of(errand.connection, errand.by.organisation_id, account_id)
    if found is None or "service_accounts:read" not in errand.by.within(found.project_id):
        raise unknown("service account", account_id)
    return found


def set_service_account_role(errand: Errand, account_id: str, role: str) -> ServiceAccount:
    """As it is afterwards; its keys can do no more than it can.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded, invalid_value;
    conflict, for one that is disabled.
    """
    before = service_account_of(errand, account_id)
    errand.require("service_accounts:write", before.project_id)
    if before.disabled_at_ms is not None:
        raise errors.CONFLICT(f"The service account {account_id!r} is disabled.", field="id")
    for each in (before.role, role):
        check_role(errand, before.organisation_id, each, "project", before.project_id)
    after = replace(before, role=role)
    if after != before:
        store.set_project_role(
            errand.connection,
            before.organisation_id,
            before.project_id,
            account_id,
            role,
            before.created_at_ms,
        )
        _note(errand, "update", before, after)
        fit_keys(errand, before.organisation_id, account_id)
    return after


def disable_service_account(errand: Errand, account_id: str) -> ServiceAccount:
    """For good, with its keys.  Disabling it again changes nothing.

    Raises: Refusal: resource_not_found, permission_denied, rights_exceeded.
    """
    before = service_account_of(errand, account_id)
    errand.require("service_accounts:write", before.project_id)
    check_role(errand, before.organisation_id, before.role, "project", before.project_id)
    if before.disabled_at_ms is not None:
        return before
    after = replace(before, disabled_at_ms=errand.clock.wall_ms())
    store.disable_account(errand.connection, account_id, errand.clock.wall_ms())
    _note(errand, "disable", before, after)
    fit_keys(errand, before.organisation_id, account_id)
    return after


def _note(errand: Errand, verb: str, before: ServiceAccount, after: ServiceAccount) -> None:
    errand.note(
        before.organisation_id,
        f"service_account.{verb}",
        before.id,
        asdict(before),
        asdict(after),
    )
