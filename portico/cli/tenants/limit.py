"""`portico limit`: how much may be asked in a minute, and at once."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.accounts.actors.model import operator
from portico.accounts.limits.model import Limit, Scope
from portico.accounts.limits.service import list_limits, set_limit
from portico.cli.output import Exit, console, refusals, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.kit.clock import SystemClock

app = App(name="limit", help="Limit requests and tokens per minute, and requests at once.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
Model = Annotated[str, Parameter(help="Of this model alone; left out: of all models together.")]

_SCOPES: dict[str, Scope] = {"key_": "key", "proj_": "project", "org_": "organisation"}


@app.command(name="set")
def set_one(
    whose: Annotated[
        str, Parameter(help="An id (key_..., proj_..., org_...), or installation for everybody.")
    ],
    /,
    *,
    model: Model = "",
    requests: Annotated[int | None, Parameter(help="Requests per minute.")] = None,
    input_tokens: Annotated[
        int | None,
        Parameter(help="Input tokens per minute; those read from a cache are not counted."),
    ] = None,
    output_tokens: Annotated[int | None, Parameter(help="Output tokens per minute.")] = None,
    at_once: Annotated[int | None, Parameter(help="Requests running or waiting.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Say what is the most; a running server obeys within 5 seconds.  Kinds that are left out are
    not limited here."""
    if requests is input_tokens is output_tokens is at_once is None:
        stop(
            Exit.USAGE,
            "Say at least one limit.",
            fix="`portico limit remove` takes limits away.",
        )
    limit = Limit(*_place(whose), model, requests, input_tokens, output_tokens, at_once)
    _change(limit, data_dir)
    if json:
        say_json(asdict(limit))
        return
    console.print(f"Limits of {whose}{_of(model)} are set.", markup=False)


@app.command
def remove(
    whose: str, /, *, model: Model = "", data_dir: DataDir = None, json: Json = False
) -> None:
    """Take the limits of a key, project, organisation or the installation away."""
    limit = Limit(*_place(whose), model)
    _change(limit, data_dir)
    if json:
        say_json(asdict(limit))
        return
    console.print(f"{whose} has no limits{_of(model)} any more.", markup=False)


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """All limits that were set."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    found = database.read(lambda connection: list_limits(operator(connection, SystemClock())))
    if json:
        say_json({"limits": [asdict(each) for each in found]})
        return
    say_table(
        ("whose", "model", "requests/min", "input tokens/min", "output tokens/min", "at once"),
        [
            (
                each.scope_id or each.scope,
                each.model or "all",
                *(
                    "-" if most is None else most
                    for most in (
                        each.requests_per_minute,
                        each.input_tokens_per_minute,
                        each.output_tokens_per_minute,
                        each.requests_at_once,
                    )
                ),
            )
            for each in found
        ],
        numbers=4,
    )


def _change(limit: Limit, data_dir: str | None) -> None:
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    with refusals():
        database.write(lambda connection: set_limit(operator(connection, SystemClock()), limit))


def _place(whose: str) -> tuple[Scope, str]:
    if whose == "installation":
        return "installation", ""
    for prefix, scope in _SCOPES.items():
        if whose.startswith(prefix):
            return scope, whose
    stop(
        Exit.USAGE,
        f"{whose!r} is no id of a key (key_...), project (proj_...) or organisation (org_...), nor "
        "the word installation.",
    )


def _of(model: str) -> str:
    return f" of {model}" if model else ""
