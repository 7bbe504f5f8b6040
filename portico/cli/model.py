"""`portico model`: register, order, list and forget deployments."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.canon.data_use import DataUse
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.engines.openai_compatible.server import server_at
from portico.kit.clock import SystemClock
from portico.routing.model import Registration
from portico.routing.registry import Registry, UnknownDeployment

app = App(
    name="model",
    help="Register, order, list and forget engines behind model names; drill a failover.",
)
app.command("portico.cli.drill:drill", name="drill")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]


def _registry(data_dir: str | None) -> Registry:
    return Registry(database_of(settings_for(None, server={"data_dir": data_dir})), SystemClock())


@app.command
def add(
    name: str,
    /,
    *,
    upstream: Annotated[str, Parameter(help="Base URL, such as http://host:8000/v1.")],
    upstream_model: Annotated[
        str, Parameter(help="What the upstream calls it; the same name if left out.")
    ] = "",
    api_key_env: Annotated[
        str | None, Parameter(help="Environment variable of the server that holds its key.")
    ] = None,
    data_use: Annotated[
        DataUse,
        Parameter(
            help="What whoever runs it does with prompts: own (it is yours), no_training, may_train."
        ),
    ] = "no_training",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Serve NAME from an OpenAI-compatible server; a running Portico does within seconds.

    A second `add` for the same name makes a fallback, tried when the first one cannot answer.
    """
    try:
        server_at(upstream)
    except ValueError as error:
        stop(Exit.USAGE, f"--upstream is {upstream!r}: {error}.")
    added = _registry(data_dir).add(
        model=name,
        location=upstream,
        upstream_model=upstream_model,
        credential_env=api_key_env,
        data_use=data_use,
    )
    if json:
        say_json(asdict(added))
        return
    console.print(f"{name} is served from {upstream}.", markup=False)


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """What `model add` registered; GET /v1/models shows everything that is served.

    The deployments of one model are tried in the order shown, after those of Portico's own
    engines and of `upstream.urls`.
    """
    found = _registry(data_dir).list()
    if json:
        say_json({"models": [asdict(registration) for registration in found]})
        return
    say_registered(found)


@app.command
def move(
    name: str,
    /,
    *,
    deployment: Annotated[str, Parameter(help="Its id, as `model list` shows it.")],
    to: Annotated[int, Parameter(help="Its new place; 1 is tried first.")] = 1,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Change the order in which the deployments of NAME are tried; a running server follows."""
    if to < 1:
        stop(Exit.USAGE, f"--to is {to}; it must be at least 1.")
    try:
        found = _registry(data_dir).move(name, deployment, to)
    except UnknownDeployment as error:
        stop(Exit.FAILED, str(error.args[0]), fix="See `portico model list`.")
    if json:
        say_json({"models": [asdict(registration) for registration in found]})
        return
    say_registered(found)


def say_registered(found: Sequence[Registration]) -> None:
    say_table(
        ("model", "deployment", "upstream", "upstream model", "key from", "data use"),
        [
            (r.model, r.id, r.location, r.upstream_model, r.credential_env or "-", r.data_use)
            for r in sorted(found, key=lambda registration: registration.model)
        ],
    )


@app.command
def remove(name: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Forget every deployment that `model add` registered for NAME."""
    removed = _registry(data_dir).remove(name)
    if not removed:
        stop(
            Exit.FAILED, f"no registered model is called {name!r}.", fix="See `portico model list`."
        )
    if json:
        say_json({"model": name, "removed": removed})
        return
    console.print(f"{name} is no longer served by {removed} deployment(s).", markup=False)
