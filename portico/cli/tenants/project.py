"""`portico project`: what belongs together, what may be made of its prompts and kept of its requests,
and what its keys are unless they say."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter, Token

from portico.accounts.actors.model import Errand
from portico.accounts.projects.model import Project, ProjectWish
from portico.accounts.projects.service import (
    archive_project,
    change_project,
    create_project,
    list_projects,
)
from portico.callers.model import Retention
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.tenants.errands import DataDir, Json, Organisation, done, meant, seen

app = App(
    name="project", help="Create, list and archive projects, and say what they allow and keep."
)


app.command("portico.cli.tenants.contents:export", name="export")
app.command("portico.cli.tenants.contents:erase_content", name="erase-content")


def _words(_: object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """`a,b c` as ("a", "b", "c")."""
    return tuple(" ".join(token.value for token in tokens).replace(",", " ").split())


@app.command
def create(
    name: str,
    /,
    *,
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a project.  `portico key create --project` makes keys for it.

    Example: `portico project create "Search box" --organisation org_...`
    """

    def act(errand: Errand) -> Project:
        return create_project(errand, meant(errand, organisation), name)

    made = done(data_dir, act)
    if json:
        say_json(asdict(made))
        return
    console.print(f"{made.id}  {made.name}  of {made.organisation_id}", markup=False)


@app.command(name="list")
def list_all(
    *,
    organisation: Annotated[
        str | None,
        Parameter(name=("--organisation", "--organization"), help="Only those of this one."),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """All projects, oldest first, archived ones included."""
    found = seen(data_dir, lambda errand: list_projects(errand, organisation))
    if json:
        say_json({"projects": [asdict(project) for project in found]})
        return
    say_table(
        ("id", "name", "organisation", "data use", "compatibility", "keeps", "state"),
        [
            (
                each.id,
                each.name,
                each.organisation_id,
                each.data_use,
                each.compatibility,
                _keeps(each),
                "active" if each.archived_at_ms is None else "archived",
            )
            for each in found
        ],
    )


@app.command(name="set")
def set_one(
    project_id: str,
    /,
    *,
    name: Annotated[str | None, Parameter(help="What it is called.")] = None,
    data_use: Annotated[
        DataUse | None,
        Parameter(
            help="The most that an engine may do with its prompts: own (only the operator's engines), "
            "no_training (also others that promise to train nothing on them), may_train (any)."
        ),
    ] = None,
    compatibility: Annotated[
        Compatibility | None,
        Parameter(
            help="What becomes of what an engine cannot do, for keys that say nothing themselves: "
            "strict, warn or adapt."
        ),
    ] = None,
    models: Annotated[
        tuple[str, ...] | None,
        Parameter(
            help='Models its keys may name, with commas; "" for all.',
            negative="",
            converter=_words,
            n_tokens=1,
            accepts_keys=False,
        ),
    ] = None,
    retention: Annotated[
        Retention | None,
        Parameter(
            help="What is kept of its requests: zero (nothing), metadata, days (contents, for "
            "--retention-days), contributor (contents, given away)."
        ),
    ] = None,
    retention_days: Annotated[
        int | None, Parameter(help="For how many days, with --retention days.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Change what a project allows and keeps; a running server obeys within 5 seconds."""
    wish = ProjectWish(name, data_use, compatibility, models, retention, retention_days)
    if wish == ProjectWish():
        stop(Exit.USAGE, "Say what should be otherwise; `portico project set --help` lists it.")
    project = done(data_dir, lambda errand: change_project(errand, project_id, wish))
    if json:
        say_json(asdict(project))
        return
    for said, says in (
        (name, f"{project.id} is called {project.name}."),
        (data_use, f"{project.id} allows engines that are: {project.data_use}."),
        (compatibility, f"Keys of {project.id} are: {project.compatibility}."),
        (models, f"Keys of {project.id} may name: {', '.join(project.models or ('all',))}."),
        (retention or retention_days, f"{project.id} keeps: {_keeps(project)}."),
    ):
        if said is not None:
            console.print(says, markup=False)


@app.command
def archive(project_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Refuse its keys from now on; what it owes and what was recorded stays."""
    project = done(data_dir, lambda errand: archive_project(errand, project_id))
    if json:
        say_json(asdict(project))
        return
    console.print(f"{project.id} is archived.", markup=False)


def _keeps(project: Project) -> str:
    if project.retention == "days":
        return f"days ({project.retention_days})"
    return project.retention
