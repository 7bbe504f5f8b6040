"""`portico organisation`: who uses this installation, and who may not just now."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.accounts.projects.model import Organisation
from portico.accounts.projects.service import (
    list_organisations,
    rename_organisation,
)
from portico.accounts.projects.service import resume as resume_organisation
from portico.accounts.projects.service import suspend as suspend_organisation
from portico.accounts.service import establish
from portico.cli.output import console, say_json, say_table
from portico.cli.tenants.errands import DataDir, Json, done, seen
from portico.cli.words import moment
from portico.pricing.model import TermsKind

app = App(
    name="organisation",
    help="Create, list, rename, suspend and resume organisations.",
)


@app.command
def create(
    name: str,
    /,
    *,
    terms: Annotated[
        TermsKind, Parameter(help="How it pays; `portico terms set` changes that.")
    ] = "prepaid",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make an organisation.  It has no project, no member and no credit yet.

    Example: `portico organisation create "Acme Ltd"`
    """
    made = done(data_dir, lambda errand: establish(errand, name, terms))
    if json:
        say_json({**asdict(made), "terms": terms})
        return
    console.print(f"{made.id}  {made.name}  {terms}", markup=False)


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """All organisations, oldest first."""
    found = seen(data_dir, list_organisations)
    if json:
        say_json({"organisations": [asdict(each) for each in found]})
        return
    say_table(
        ("id", "name", "created", "state"),
        [(each.id, each.name, moment(each.created_at_ms), _state(each)) for each in found],
    )


@app.command
def rename(
    organisation: str, name: str, /, *, data_dir: DataDir = None, json: Json = False
) -> None:
    """Call ORGANISATION NAME from now on."""
    after = done(data_dir, lambda errand: rename_organisation(errand, organisation, name))
    _say(after, f"is called {after.name} now", json=json)


@app.command
def suspend(
    organisation: str,
    /,
    *,
    reason: Annotated[str, Parameter(help="What its callers are told.")] = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Refuse all its keys from now on; a running server does within 5 seconds, and ends what they run
    within 10.  Nothing that is stored is lost."""
    after = done(data_dir, lambda errand: suspend_organisation(errand, organisation, reason))
    _say(after, "is suspended", json=json)


@app.command
def resume(organisation: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Let its keys work again."""
    after = done(data_dir, lambda errand: resume_organisation(errand, organisation))
    _say(after, "may ask again", json=json)


def _say(after: Organisation, says: str, *, json: bool) -> None:
    if json:
        say_json(asdict(after))
        return
    console.print(f"{after.id} {says}.", markup=False)


def _state(each: Organisation) -> str:
    if each.suspended_at_ms is None:
        return "active"
    why = f": {each.suspended_reason}" if each.suspended_reason else ""
    return f"suspended{why}"
