"""`portico project`: what may be made of a project's prompts, and what its keys are unless they say."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.accounts.actors.model import operator
from portico.accounts.projects.model import ProjectWish
from portico.accounts.projects.service import change_project, list_projects
from portico.canon.data_use import DataUse
from portico.canon.prompt import Compatibility
from portico.cli.output import Exit, console, refusals, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.kit.clock import SystemClock

app = App(name="project", help="List projects, and say whose engines may see their prompts.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """All projects, oldest first."""
    found = database_of(settings_for(None, server={"data_dir": data_dir})).read(
        lambda connection: list_projects(operator(connection, SystemClock()))
    )
    if json:
        say_json({"projects": [asdict(project) for project in found]})
        return
    say_table(
        ("id", "name", "organisation", "data use", "compatibility"),
        [
            (each.id, each.name, each.organisation_id, each.data_use, each.compatibility)
            for each in found
        ],
    )


@app.command(name="set")
def set_one(
    project_id: str,
    /,
    *,
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
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Change what a project allows; a running server obeys within 5 seconds."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    if data_use is None and compatibility is None:
        stop(Exit.USAGE, "Say --data-use or --compatibility, or both.")

    wish = ProjectWish(data_use=data_use, compatibility=compatibility)
    with refusals():
        project = database.write(
            lambda connection: change_project(operator(connection, SystemClock()), project_id, wish)
        )
    if json:
        say_json(asdict(project))
        return
    if data_use is not None:
        console.print(f"{project.id} allows engines that are: {project.data_use}.", markup=False)
    if compatibility is not None:
        console.print(f"Keys of {project.id} are: {project.compatibility}.", markup=False)
