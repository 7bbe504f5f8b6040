"""`portico role`: names for scopes."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter, Token

from portico.accounts.actors.model import Errand
from portico.accounts.people.model import Level, Role
from portico.accounts.people.roles import change_role, create_role, delete_role, list_roles
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.tenants.errands import DataDir, Json, Organisation, done, meant, seen

app = App(name="role", help="List roles; create, change and delete an organisation's own.")


def _words(_: object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """`a,b c` as ("a", "b", "c")."""
    return tuple(" ".join(token.value for token in tokens).replace(",", " ").split())


Scopes = Annotated[
    tuple[str, ...],
    Parameter(
        help="With commas, such as keys:read,keys:write; keys:* for all of a kind, * for everything.",
        negative="",
        converter=_words,
        n_tokens=1,
        accepts_keys=False,
    ),
]


@app.command(name="list")
def list_all(
    *, organisation: Organisation = None, data_dir: DataDir = None, json: Json = False
) -> None:
    """Every role: those all organisations have, then the organisation's own."""
    found = seen(data_dir, lambda errand: list_roles(errand, meant(errand, organisation)))
    if json:
        say_json({"roles": [asdict(each) for each in found]})
        return
    say_table(
        ("name", "level", "whose", "scopes"),
        [(each.name, each.level, _whose(each), len(each.scopes)) for each in found],
        numbers=1,
    )


@app.command
def show(
    name: str,
    /,
    *,
    level: Annotated[
        Level | None, Parameter(help="Where it counts, where there are two of that name.")
    ] = None,
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """What a role may."""
    roles = seen(data_dir, lambda errand: list_roles(errand, meant(errand, organisation)))
    found = [each for each in roles if each.name == name and level in (None, each.level)]
    if not found:
        stop(Exit.FAILED, f"there is no role {name!r}.", fix="`portico role list` lists them.")
    if json:
        say_json({"roles": [asdict(each) for each in found]})
        return
    for role in found:
        _say(role, "may", json=False)


@app.command
def create(
    name: str,
    /,
    *,
    scopes: Scopes,
    level: Annotated[
        Level, Parameter(help="Where it counts: in the organisation, or in one project.")
    ] = "project",
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make a role of the organisation's own.

    Example: `portico role create key-keeper --scopes projects:read,keys:*`
    """

    def act(errand: Errand) -> Role:
        return create_role(errand, meant(errand, organisation), name, level, scopes)

    _say(done(data_dir, act), "may", json=json)


@app.command(name="set")
def set_one(
    name: str,
    /,
    *,
    scopes: Scopes,
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Change what a role may, for all who have it; their keys can do no more than they can."""

    def act(errand: Errand) -> Role:
        return change_role(errand, meant(errand, organisation), name, scopes)

    _say(done(data_dir, act), "may now", json=json)


@app.command
def delete(
    name: str,
    /,
    *,
    organisation: Organisation = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Delete a role that nobody has and that no open invitation offers."""

    def act(errand: Errand) -> Role:
        return delete_role(errand, meant(errand, organisation), name)

    before = done(data_dir, act)
    if json:
        say_json(asdict(before))
        return
    console.print(f"{before.name} is deleted.", markup=False)


def _say(role: Role, says: str, *, json: bool) -> None:
    if json:
        say_json(asdict(role))
        return
    console.print(f"{role.name} ({role.level}) {says}: {' '.join(role.scopes)}", markup=False)


def _whose(role: Role) -> str:
    return "every organisation's" if role.created_at_ms is None else "its own"
