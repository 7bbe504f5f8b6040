"""Make, change and close organisations and projects.

What changes is obeyed by a running server within 5 s.
"""

from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection

from portico import errors
from portico.accounts.actors.model import Errand, unknown
from portico.accounts.actors.names import check_name, check_text
from portico.accounts.actors.paging import ALL, Window
from portico.accounts.projects import store
from portico.accounts.projects.model import Organisation, Project, ProjectWish
from portico.accounts.projects.theirs import theirs
from portico.db.transaction import Transaction
from portico.keeping import service as keeping
from portico.kit.ids import new_id
from portico.pricing.service import gives_data
from portico.replay import service as replay

_MODELS_MAX = 1_000
_RETENTION_DAYS_MAX = 36_500


def create_organisation(errand: Errand, name: str) -> Organisation:
    """Without terms it can buy nothing; see `catalogue.terms.set_terms`."""
    errand.require("organisations:write")
    now_ms = errand.clock.wall_ms()
    check_name(name)
    made = Organisation(new_id("org"), name, now_ms, None, None)
    store.add_organisation(errand.connection, made)
    errand.note(made.id, "organisation.create", made.id, after=asdict(made))
    return made


def list_organisations(errand: Errand, window: Window = ALL) -> list[Organisation]:
    """Those that exist for whoever asks, oldest first."""
    errand.require("organisation:read")
    return store.organisations(errand.connection, errand.by.organisation_id, window)


def organisation_of(errand: Errand, organisation_id: str) -> Organisation:
    """Raises: Refusal: permission_denied; resource_not_found, also of one that is not theirs."""
    errand.require("organisation:read")
    return theirs(errand, organisation_id)


def rename_organisation(errand: Errand, organisation_id: str, name: str) -> Organisation:
    before = theirs(errand, organisation_id)
    errand.require("organisation:write")
    check_name(name)
    return _changed(errand, before, replace(before, name=name), "update")


def suspend(errand: Errand, organisation_id: str, reason: str) -> Organisation:
    """Refuse all its keys from now on, and end what they run.  Suspending again changes the
    reason."""
    before = theirs(errand, organisation_id)
    errand.require("organisations:write")
    check_text(reason, "reason")
    since_ms = before.suspended_at_ms or errand.clock.wall_ms()
    after = replace(before, suspended_at_ms=since_ms, suspended_reason=reason)
    return _changed(errand, before, after, "suspend")


def resume(errand: Errand, organisation_id: str) -> Organisation:
    before = theirs(errand, organisation_id)
    errand.require("organisations:write")
    after = replace(before, suspended_at_ms=None, suspended_reason=None)
    return _changed(errand, before, after, "resume")


def create_project(errand: Errand, organisation_id: str, name: str) -> Project:
    theirs(errand, organisation_id)
    errand.require("projects:write")
    now_ms = errand.clock.wall_ms()
    check_name(name)
    errand.check_room(
        "projects in this organisation",
        errand.caps.projects,
        lambda: store.open_projects(errand.connection, organisation_id),
    )
    made = Project(new_id("proj"), organisation_id, name, now_ms, "no_training", "warn")
    store.add_project(errand.connection, made)
    errand.note(organisation_id, "project.create", made.id, after=asdict(made))
    return made


def list_projects(
    errand: Errand, organisation_id: str | None = None, window: Window = ALL
) -> list[Project]:
    """Those that whoever asks may read, oldest first.  organisation_id: of that one only."""
    errand.require_anywhere("projects:read")
    if organisation_id is not None:
        theirs(errand, organisation_id)
    among = errand.by.projects_with("projects:read")
    whose = organisation_id or errand.by.organisation_id
    return store.projects(errand.connection, whose, window, among)


def project_of(errand: Errand, project_id: str) -> Project:
    """Raises: Refusal: resource_not_found, also of one that is not theirs."""
    errand.require_anywhere("projects:read")
    found = store.project_of(errand.connection, errand.by.organisation_id, project_id)
    if found is None or "projects:read" not in errand.by.within(project_id):
        raise unknown("project", project_id)
    return found


def change_project(errand: Errand, project_id: str, wish: ProjectWish) -> Project:
    """The project as it is afterwards.  Raises: Refusal: out_of_range, invalid_value."""
    before = project_of(errand, project_id)
    errand.require("projects:write", project_id)
    values = {
        each.name: getattr(wish, each.name)
        for each in fields(wish)
        if getattr(wish, each.name) is not None
    }
    _check(before, values)
    after = replace(before, **values)
    _check_use(errand, after)
    if after.retention == "zero" != before.retention:
        transaction = Transaction(errand.connection)
        replay.drop_answers(transaction, project_id)
        keeping.drop(transaction, project_id)
    if values:
        store.change_project(errand.connection, project_id, values)
        errand.note(
            before.organisation_id, "project.update", project_id, asdict(before), asdict(after)
        )
    return after


def archive_project(errand: Errand, project_id: str) -> Project:
    """Refuse its keys from now on; what it owes and what was recorded stays."""
    before = project_of(errand, project_id)
    errand.require("projects:write", project_id)
    after = replace(before, archived_at_ms=before.archived_at_ms or errand.clock.wall_ms())
    store.change_project(errand.connection, project_id, {"archived_at_ms": after.archived_at_ms})
    errand.note(
        before.organisation_id, "project.archive", project_id, asdict(before), asdict(after)
    )
    return after


def note_exported(errand: Errand, project_id: str) -> Project:
    """Somebody takes all that it keeps elsewhere."""
    project = project_of(errand, project_id)
    errand.require("projects:write", project_id)
    errand.note(project.organisation_id, "project.export", project_id)
    return project


def note_erased(errand: Errand, project_id: str) -> Project:
    """Somebody deletes all that it keeps.  Answers under a key go at once; who sends such a key again
    is refused instead of charged again."""
    project = project_of(errand, project_id)
    errand.require("projects:write", project_id)
    replay.drop_answers(Transaction(errand.connection), project_id)
    errand.note(project.organisation_id, "project.erase", project_id)
    return project


def first_project(connection: Connection) -> str | None:
    """The one made at the first start."""
    return store.first_project(connection)


def _changed(errand: Errand, before: Organisation, after: Organisation, verb: str) -> Organisation:
    values = {
        "name": after.name,
        "suspended_at_ms": after.suspended_at_ms,
        "suspended_reason": after.suspended_reason,
    }
    store.change_organisation(errand.connection, before.id, values)
    errand.note(before.id, f"organisation.{verb}", before.id, asdict(before), asdict(after))
    return after


def _check(before: Project, values: dict[str, Any]) -> None:
    """Bring `values` into the form they are stored in, or refuse them."""
    if "name" in values:
        check_name(values["name"])
    if "models" in values:
        if len(values["models"]) > _MODELS_MAX:
            raise errors.OUT_OF_RANGE(
                f"'models' names {len(values['models'])}; it may name {_MODELS_MAX}.",
                field="models",
                value=len(values["models"]),
                limit=_MODELS_MAX,
            )
        for model in values["models"]:
            check_name(model, "models")
        values["models"] = values["models"] or None
    retention = values.get("retention", before.retention)
    days = values.get("retention_days", before.retention_days)
    if retention == "days" and days is None:
        raise errors.MISSING_FIELD(
            "'retention' is 'days', so 'retention_days' must say how many.", field="retention_days"
        )
    if days is not None and not 1 <= days <= _RETENTION_DAYS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'retention_days' is {days}; it must be 1 to {_RETENTION_DAYS_MAX}.",
            field="retention_days",
            value=days,
            limit=_RETENTION_DAYS_MAX,
        )


def _check_use(errand: Errand, after: Project) -> None:
    """What nobody may keep, nobody may train on either.  Raises: Refusal: invalid_value."""
    if after.retention != "zero":
        return
    gives = after.data_use == "may_train"
    if gives or gives_data(errand.connection, after.organisation_id, errand.clock.wall_ms()):
        why = (
            "its 'data_use' is 'may_train'"
            if gives
            else "its organisation has a discount for the use of its data"
        )
        raise errors.INVALID_VALUE(
            f"'retention' cannot be 'zero' while {why}.", field="retention", value="zero"
        )
