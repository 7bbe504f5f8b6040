"""Organisations and projects."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from portico import errors
from portico.accounts.catalogue.terms import set_terms
from portico.accounts.projects import service
from portico.accounts.projects.model import Organisation, Project, ProjectWish
from portico.admin.answers import Shape
from portico.admin.operation import Ask, Operation, Told
from portico.admin.shapes import PAGED, page, said, window_of
from portico.callers.model import Retention
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility
from portico.pricing.model import TermsKind, TermsWish


class NewOrganisation(Struct):
    """terms: how it pays from now on, for which `terms:write` is needed; without any it can buy
    nothing."""

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


ORGANISATION = Shape("organisation", Organisation)
PROJECT = Shape("project", Project)


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
    return page(ask, service.list_organisations(ask.errand, window_of(ask)), ORGANISATION.told)


def _create_organisation(ask: Ask) -> Told:
    wish: NewOrganisation = ask.body
    made = service.create_organisation(ask.errand, wish.name)
    if wish.terms is not None:
        set_terms(ask.errand, TermsWish(organisation_id=made.id, kind=wish.terms))
    return ORGANISATION.told(made)


def _organisation(ask: Ask) -> Told:
    return ORGANISATION.told(service.organisation_of(ask.errand, ask.id))


def _change_organisation(ask: Ask) -> Told:
    wish: OrganisationChange = ask.body
    if wish.name is UNSET:
        return _organisation(ask)
    return ORGANISATION.told(service.rename_organisation(ask.errand, ask.id, wish.name))


def _suspend(ask: Ask) -> Told:
    return ORGANISATION.told(service.suspend(ask.errand, ask.id, ask.body.reason))


def _resume(ask: Ask) -> Told:
    return ORGANISATION.told(service.resume(ask.errand, ask.id))


def _list_projects(ask: Ask) -> Told:
    organisation_id = ask.query.get("organisation_id") or None
    return page(
        ask, service.list_projects(ask.errand, organisation_id, window_of(ask)), PROJECT.told
    )


def _create_project(ask: Ask) -> Told:
    wish: NewProject = ask.body
    organisation_id = organisation_id_of(ask, wish.organisation_id)
    return PROJECT.told(service.create_project(ask.errand, organisation_id, wish.name))


def _project(ask: Ask) -> Told:
    return PROJECT.told(service.project_of(ask.errand, ask.id))


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
    return PROJECT.told(service.change_project(ask.errand, ask.id, wish))


def _archive(ask: Ask) -> Told:
    return PROJECT.told(service.archive_project(ask.errand, ask.id))


def operations() -> tuple[Operation, ...]:
    return (*_of_organisations(), *_of_projects())


def _of_organisations() -> tuple[Operation, ...]:
    some, one = "/organisations", "/organisations/{id}"
    return (
        Operation(
            "GET",
            some,
            "organisation:read",
            "Organisations.",
            _list_organisations,
            ORGANISATION.page,
            query=PAGED,
        ),
        Operation(
            "POST",
            some,
            "organisations:write",
            "Make an organisation.",
            _create_organisation,
            ORGANISATION.type,
            NewOrganisation,
        ),
        Operation(
            "GET", one, "organisation:read", "One organisation.", _organisation, ORGANISATION.type
        ),
        Operation(
            "PATCH",
            one,
            "organisation:write",
            "Rename an organisation.",
            _change_organisation,
            ORGANISATION.type,
            OrganisationChange,
        ),
        Operation(
            "POST",
            f"{one}/suspend",
            "organisations:write",
            "Refuse all its keys, and cut off what they run.",
            _suspend,
            ORGANISATION.type,
            Suspension,
        ),
        Operation(
            "POST",
            f"{one}/resume",
            "organisations:write",
            "Take its keys again.",
            _resume,
            ORGANISATION.type,
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
            PROJECT.page,
            query=("organisation_id", *PAGED),
        ),
        Operation(
            "POST",
            projects,
            "projects:write",
            "Make a project.",
            _create_project,
            PROJECT.type,
            NewProject,
        ),
        Operation("GET", its, "projects:read", "One project.", _project, PROJECT.type),
        Operation(
            "PATCH",
            its,
            "projects:write",
            "Change a project.",
            _change_project,
            PROJECT.type,
            ProjectChange,
        ),
        Operation(
            "POST",
            f"{its}/archive",
            "projects:write",
            "Close a project: its keys are refused, what was recorded stays.",
            _archive,
            PROJECT.type,
        ),
    )
