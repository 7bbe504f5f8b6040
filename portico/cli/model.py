"""`portico model`: register, list and forget deployments."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.engines.openai_compatible.server import server_at
from portico.kit.clock import SystemClock
from portico.routing.registry import Registry

app = App(name="model", help="Register, list and forget engines behind model names.")

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
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Serve NAME from an OpenAI-compatible server; a running Portico does within seconds.

    A second `add` for the same name makes a fallback, tried when the first one is not ready.
    """
    try:
        server_at(upstream)
    except ValueError as error:
        stop(Exit.USAGE, f"--upstream is {upstream!r}: {error}.")
    added = _registry(data_dir).add(
        model=name, location=upstream, upstream_model=upstream_model, credential_env=api_key_env
    )
    if json:
        say_json(asdict(added))
        return
    console.print(f"{name} is served from {upstream}.", markup=False)


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """What `model add` registered; GET /v1/models shows everything that is served."""
    found = _registry(data_dir).list()
    if json:
        say_json({"models": [asdict(registration) for registration in found]})
        return
    say_table(
        ("model", "upstream", "upstream model", "key from"),
        [(r.model, r.location, r.upstream_model, r.credential_env or "-") for r in found],
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
