"""`portico service-account`: programs that work in a project."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.accounts.people.model import ServiceAccount
from portico.accounts.people.service_accounts import (
    create_service_account,
    disable_service_account,
    list_service_accounts,
    set_service_account_role,
)
from portico.cli.output import console, say_json, say_table
from portico.cli.tenants.errands import DataDir, Json, done, seen
from portico.cli.words import moment

app = App(name="service-account", help="Create, list, change and disable service accounts.")

Role = Annotated[str, Parameter(help="What it is in its project; `portico role list` lists them.")]


@app.command
def create(
    name: str,
    /,
    *,
    project: Annotated[str, Parameter(help="Where it works; its id.")],
    role: Role = "developer",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a service account.  `portico key create --owner` makes keys for it.

    Example: `portico service-account create nightly-build --project proj_...`
    """
    made = done(data_dir, lambda errand: create_service_account(errand, project, name, role))
    if json:
        say_json(asdict(made))
        return
    console.print(f"{made.id}  {made.name}  {made.role}", markup=False)


@app.command(name="list")
def list_all(
    *,
    project: Annotated[str | None, Parameter(help="Only those of this project.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """All service accounts, oldest first, disabled ones included."""
    found = seen(data_dir, lambda errand: list_service_accounts(errand, project))
    if json:
        say_json({"service_accounts": [asdict(each) for each in found]})
        return
    say_table(
        ("id", "name", "project", "role", "state"),
        [(each.id, each.name, each.project_id, each.role, _state(each)) for each in found],
    )


@app.command(name="set")
def set_one(account: str, /, *, role: Role, data_dir: DataDir = None, json: Json = False) -> None:
    """Give ACCOUNT another role; its keys can do no more than it can."""
    after = done(data_dir, lambda errand: set_service_account_role(errand, account, role))
    if json:
        say_json(asdict(after))
        return
    console.print(f"{after.id} is {after.role}.", markup=False)


@app.command
def disable(account: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Put ACCOUNT out of use for good, with its keys; a running server obeys within 5 seconds."""
    after = done(data_dir, lambda errand: disable_service_account(errand, account))
    if json:
        say_json(asdict(after))
        return
    console.print(f"{after.id} is disabled.", markup=False)


def _state(each: ServiceAccount) -> str:
    if each.disabled_at_ms is None:
        return "active"
    return f"disabled {moment(each.disabled_at_ms)}"
