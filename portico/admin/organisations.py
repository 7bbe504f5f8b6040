"""Organisations and projects."""

from dataclasses import asdict
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from portico import errors
from portico.accounts.projects import service
from portico.accounts.projects.model import Organisation, Project, ProjectWish
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, page, plain, said, window_of
from portico.callers.model import Retention
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility
from portico.pricing.checks import NotStorable
from portico.pricing.model import TermsKind, TermsWish
from portico.pricing.service import set_terms


class NewOrganisation(Struct):
    """terms: how it pays from now on; without any it can buy nothing."""

    name: str
    terms: TermsKind | None = None


class OrganisationChange(Struct):
    name: str | UnsetType = UNSET


class Suspension(Struct):
    reason: str = ""


class NewProject(Struct):
    """organisation_id: left out for that of the key."""

    name: str
    organisation_id: str = ""


class ProjectChange(Struct):
    """models: those its keys may name; null for all there are."""

    name: str | UnsetType = UNSET
    data_use: DataUse | UnsetType = UNSET
    compatibility: Compatibility | UnsetType = UNSET
    models: list[str] | UnsetType | None = UNSET
    retention: Retention | UnsetType = UNSET
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] | UnsetType = UNSET


def organisation(found: Organisation) -> Told:
    return plain(asdict(found), "organisation")


def project(found: Project) -> Told:
    return plain(asdict(found), "project")


def organisation_id_of(ask: Ask, said: str = "") -> str:
    """Which organisation a question is about: the one it names, or that of the key.

    Raises: Refusal: missing_field.
    """
    found = said or ask.query.get("organisation_id", "") or ask.errand.by.organisation_id
    if not found:
        raise errors.MISSING_FIELD(
            "'organisation_id' is missing; this key is for every organisation.",
            field="organisation_id",
        )
    return found


def _list_organisations(ask: Ask) -> Told:
    return page(ask, service.list_organisations(ask.errand, window_of(ask)), organisation)


def _create_organisation(ask: Ask) -> Told:
    wish: NewOrganisation = ask.body
    made = service.create_organisation(ask.errand, wish.name)
    if wish.terms is not None:
        terms = TermsWish(organisation_id=made.id, kind=wish.terms)
        author = ask.errand.by.actor.id
        try:
            stored = set_terms(ask.errand.connection, terms, author, ask.errand.clock)
        except NotStorable as error:
            raise errors.INVALID_VALUE(str(error), field="terms") from error
        ask.errand.note(made.id, "terms.set", stored.id, after={"kind": wish.terms})
    return organisation(made)


def _organisation(ask: Ask) -> Told:
    return organisation(service.organisation_of(ask.errand, ask.id))


def _change_organisation(ask: Ask) -> Told:
    wish: OrganisationChange = ask.body
    if wish.name is UNSET:
        return _organisation(ask)
    return organisation(service.rename_organisation(ask.errand, ask.id, wish.name))


def _suspend(ask: Ask) -> Told:
    return organisation(service.suspend(ask.errand, ask.id, ask.body.reason))


def _resume(ask: Ask) -> Told:
    return organisation(service.resume(ask.errand, ask.id))


def _list_projects(ask: Ask) -> Told:
    organisation_id = ask.query.get("organisation_id") or None
    return page(ask, service.list_projects(ask.errand, organisation_id, window_of(ask)), project)


def _create_project(ask: Ask) -> Told:
    wish: NewProject = ask.body
    organisation_id = organisation_id_of(ask, wish.organisation_id)
    return project(service.create_project(ask.errand, organisation_id, wish.name))


def _project(ask: Ask) -> Told:
    return project(service.project_of(ask.errand, ask.id))


def _change_project(ask: Ask) -> Told:
    change: ProjectChange = ask.body
    wish = ProjectWish(
        name=said(change.name),
        data_use=said(change.data_use),
        compatibility=said(change.compatibility),
        models=None if change.models is UNSET else tuple(change.models or ()),
        retention=said(change.retention),
        retention_days=said(change.retention_days),
    )
    return project(service.change_project(ask.errand, ask.id, wish))


def _archive(ask: Ask) -> Told:
    return project(service.archive_project(ask.errand, ask.id))


def operations() -> tuple[Operation, ...]:
    return (*_of_organisations(), *_of_projects())


def _of_organisations() -> tuple[Operation, ...]:
    some, one = "/organisations", "/organisations/{id}"
    return (
        Operation(
            "GET", some, "organisation:read", "Organisations.", _list_organisations, query=PAGED
        ),
        Operation(
            "POST",
            some,
            "organisations:write",
            "Make an organisation.",
            _create_organisation,
            NewOrganisation,
        ),
        Operation("GET", one, "organisation:read", "One organisation.", _organisation),
        Operation(
            "PATCH",
            one,
            "organisation:write",
            "Rename an organisation.",
            _change_organisation,
            OrganisationChange,
        ),
        Operation(
            "POST",
            f"{one}/suspend",
            "organisations:write",
            "Refuse all its keys, and cut off what they run.",
            _suspend,
            Suspension,
        ),
        Operation(
            "POST",
            f"{one}/resume",
            "organisations:write",
            "Take its keys again.",
            _resume,
        ),
    )


def _of_projects() -> tuple[Operation, ...]:
    projects, its = "/projects", "/projects/{id}"
    return (
        Operation(
            "GET",
            projects,
            "projects:read",
            "Projects.",
            _list_projects,
            query=("organisation_id", *PAGED),
        ),
        Operation(
            "POST", projects, "projects:write", "Make a project.", _create_project, NewProject
        ),
        Operation("GET", its, "projects:read", "One project.", _project),
        Operation(
            "PATCH", its, "projects:write", "Change a project.", _change_project, ProjectChange
        ),
        Operation(
            "POST",
            f"{its}/archive",
            "projects:write",
            "Close a project: its keys are refused, what was recorded stays.",
            _archive,
        ),
    )
