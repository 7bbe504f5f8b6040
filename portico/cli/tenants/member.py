"""`portico member`: who is in an organisation and in its projects, and as what."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.accounts.actors.model import Errand, unknown
from portico.accounts.people import rules
from portico.accounts.people.members import (
    add_member,
    list_members,
    list_project_members,
    remove_member,
    remove_project_member,
    set_member_role,
    set_project_role,
)
from portico.accounts.people.model import Member, ProjectMember
from portico.accounts.projects.service import project_of
from portico.cli.output import console, say_json, say_table
from portico.cli.tenants.errands import DataDir, Json, Organisation, done, meant, seen
from portico.cli.words import moment

app = App(name="member", help="List, add, change and remove members and their roles.")

Project = Annotated[
    str | None,
    Parameter(help="In this project, besides what he is in the organisation; its id."),
]
_ROLES = "`portico role list` lists them."


@app.command(name="list")
def list_all(
    *,
    organisation: Organisation = None,
    project: Project = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """The members of an organisation; or those who are something in one project besides."""

    def look(errand: Errand) -> list[Member] | list[ProjectMember]:
        if project is not None:
            return list_project_members(errand, project)
        return list_members(errand, meant(errand, organisation))

    found = seen(data_dir, look)
    if json:
        say_json({"members": [asdict(each) for each in found]})
        return
    say_table(
        ("id", "email", "name", "role", "since (UTC)"),
        [
            (each.subject_id, each.email, each.name, each.role, moment(each.created_at_ms))
            for each in found
        ],
    )


@app.command
def add(
    email: str,
    /,
    *,
    role: Annotated[str, Parameter(help=f"What he is in the organisation.  {_ROLES}")],
    name: Annotated[
        str, Parameter(help="Of somebody who is not known here yet; the address if left out.")
    ] = "",
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make somebody a member without asking him; `portico invitation create` asks.

    Example: `portico member add ada@example.org --role owner`
    """

    def act(errand: Errand) -> Member:
        return add_member(errand, meant(errand, organisation), email, role, name)

    made = done(data_dir, act)
    if json:
        say_json(asdict(made))
        return
    console.print(f"{made.subject_id}  {made.email}  {made.role}", markup=False)


@app.command(name="set")
def set_one(
    member: str,
    /,
    *,
    role: Annotated[str, Parameter(help=f"What he is from now on.  {_ROLES}")],
    project: Project = None,
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Give MEMBER, an id or an address, another role; or one in a project.

    His keys can do no more than he can: a running server obeys within 5 seconds.
    """

    def act(errand: Errand) -> Member | ProjectMember:
        organisation_id = _organisation(errand, organisation, project)
        subject_id = _subject(errand, organisation_id, member)
        if project is not None:
            return set_project_role(errand, project, subject_id, role)
        return set_member_role(errand, organisation_id, subject_id, role)

    after = done(data_dir, act)
    if json:
        say_json(asdict(after))
        return
    where = f" in {project}" if project is not None else ""
    console.print(f"{after.email} is {after.role}{where}.", markup=False)


@app.command
def remove(
    member: str,
    /,
    *,
    project: Project = None,
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Remove MEMBER, an id or an address, from an organisation or from one project, with the keys he
    has there."""

    def act(errand: Errand) -> Member | ProjectMember:
        organisation_id = _organisation(errand, organisation, project)
        subject_id = _subject(errand, organisation_id, member)
        if project is not None:
            return remove_project_member(errand, project, subject_id)
        return remove_member(errand, organisation_id, subject_id)

    before = done(data_dir, act)
    if json:
        say_json(asdict(before))
        return
    where = project or before.organisation_id
    console.print(f"{before.email} is no member of {where} any more.", markup=False)


def _organisation(errand: Errand, named: str | None, project: str | None) -> str:
    if project is not None:
        return project_of(errand, project).organisation_id
    return meant(errand, named)


def _subject(errand: Errand, organisation_id: str, typed: str) -> str:
    """typed: an id, or the address of a member."""
    if "@" not in typed:
        return typed
    for each in list_members(errand, organisation_id):
        if each.email == rules.address(typed):
            return each.subject_id
    raise unknown("member", typed)
