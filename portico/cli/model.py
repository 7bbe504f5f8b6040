"""`portico model`: register, order, list and forget deployments."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from cyclopts import App, Parameter

from portico.accounts.actors.model import Errand, operator
from portico.accounts.catalogue.deployments import (
    add_deployment,
    list_deployments,
    move_deployment,
    remove_deployment,
    replace_key,
    shown,
)
from portico.callers.pepper import PepperLost, read_peppers
from portico.canon.data_use import DataUse
from portico.cli.output import Exit, console, refusals, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.engines.openai_compatible.server import server_at
from portico.engines.provider.survey import provider_at
from portico.kit.clock import SystemClock
from portico.routing.keys import seal_of, sealed_key
from portico.routing.model import Registration, RegistrationWish

app = App(
    name="model",
    help="Register, order, list and forget engines behind model names; drill a failover.",
)
app.command("portico.cli.drill:drill", name="drill")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
Kind = Literal["openai", "anthropic", "gemini", "openai-responses"]
_KEY_CHARACTERS_MAX = 4_096
T = TypeVar("T")


def _do(data_dir: str | None, work: Callable[[Errand], T]) -> T:
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    with refusals():
        return database.write(lambda connection: work(operator(connection, SystemClock())))


def _deployments(data_dir: str | None, name: str) -> list[Registration]:
    return _do(data_dir, lambda errand: list_deployments(errand, name))


def _one(found: Sequence[Registration], name: str, deployment: str) -> Registration:
    """deployment: "" for the only one there is."""
    chosen = [each for each in found if deployment in ("", each.id)]
    if len(chosen) == 1:
        return chosen[0]
    says = f"{name!r} has {len(found)} registered deployments; name one with --deployment."
    if deployment:
        says = f"{name!r} has no registered deployment {deployment!r}."
    stop(Exit.FAILED, says, fix="See `portico model list`.")


@app.command
def add(
    name: str,
    /,
    *,
    upstream: Annotated[
        str,
        Parameter(name=("--upstream", "--url"), help="Base URL, such as http://host:8000/v1."),
    ],
    kind: Annotated[
        Kind,
        Parameter(help="What it speaks; openai is Chat Completions, as nearly every server does."),
    ] = "openai",
    upstream_model: Annotated[
        str, Parameter(help="What the upstream calls it; the same name if left out.")
    ] = "",
    api_key_env: Annotated[
        str | None, Parameter(help="Environment variable of the server that holds its key.")
    ] = None,
    api_key_stdin: Annotated[
        bool,
        Parameter(negative="", help="Read its key from standard input and keep it, encrypted."),
    ] = False,
    data_use: Annotated[
        DataUse,
        Parameter(
            help="What whoever runs it does with prompts: own (it is yours), no_training, may_train."
        ),
    ] = "no_training",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Serve NAME from another server; a running Portico does within seconds.

    A second `add` for the same name makes a fallback, tried when the first one cannot answer.
    """
    if api_key_stdin and api_key_env:
        stop(Exit.USAGE, "--api-key-env and --api-key-stdin cannot both say where the key is.")
    api_key = _key_from_stdin() if api_key_stdin else ""
    try:
        if kind == "openai":
            server_at(upstream, api_key)
        else:
            provider_at(kind, upstream, api_key)
    except ValueError as error:
        stop(Exit.USAGE, f"--upstream is {upstream!r}: {error}.")
    wish = RegistrationWish(
        model=name,
        location=upstream,
        engine="openai_compatible" if kind == "openai" else kind,
        upstream_model=upstream_model,
        credential_env=api_key_env,
        data_use=data_use,
    )
    sealing = _sealing(data_dir, api_key) if api_key else None
    added = _do(data_dir, lambda errand: add_deployment(errand, wish, sealing))
    if json:
        say_json(shown(added))
        return
    console.print(f"{name} is served from {upstream}.", markup=False)


def _key_from_stdin() -> str:
    """One line, which never stands on a command line where others could read it."""
    api_key = sys.stdin.readline(_KEY_CHARACTERS_MAX).strip()
    if not api_key:
        stop(Exit.USAGE, "standard input holds no key.", fix="Pipe it in, or type it and Enter.")
    return api_key


def _sealing(data_dir: str | None, api_key: str) -> Callable[[str], str]:
    """Seals it for the deployment whose id is given."""
    settings = settings_for(None, server={"data_dir": data_dir})
    try:
        peppers = read_peppers(Path(settings.server.data_dir))
    except PepperLost as error:
        stop(Exit.DATA, str(error))
    return partial(sealed_key, seal_of(peppers), api_key=api_key)


@app.command(name="rotate-key")
def rotate_key(
    name: str,
    /,
    *,
    deployment: Annotated[
        str, Parameter(help="Its id, as `model list` shows it; needed where there are several.")
    ] = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Read a new key for a deployment of NAME from standard input and keep it, encrypted, in the
    place of the old one; a running server uses it within seconds."""
    sealing = _sealing(data_dir, _key_from_stdin())
    id = _one(_deployments(data_dir, name), name, deployment).id
    _do(data_dir, lambda errand: replace_key(errand, id, sealing))
    if json:
        say_json({"model": name, "deployment": id, "key_kept": True})
        return
    console.print(f"{id} has a new key.", markup=False)


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """What `model add` registered; GET /v1/models shows everything that is served.

    The deployments of one model are tried in the order shown, after those of Portico's own
    engines and of `upstream.urls`.
    """
    found = _do(data_dir, list_deployments)
    if json:
        say_json({"models": [shown(registration) for registration in found]})
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
    id = _one(_deployments(data_dir, name), name, deployment).id
    found = _do(data_dir, lambda errand: move_deployment(errand, id, to))
    if json:
        say_json({"models": [shown(registration) for registration in found]})
        return
    say_registered(found)


def say_registered(found: Sequence[Registration]) -> None:
    say_table(
        ("model", "deployment", "upstream", "speaks", "upstream model", "key from", "data use"),
        [
            (r.model, r.id, r.location, _kind(r), r.upstream_model, _key_place(r), r.data_use)
            for r in sorted(found, key=lambda registration: registration.model)
        ],
    )


def _kind(registration: Registration) -> Kind:
    return "openai" if registration.engine == "openai_compatible" else registration.engine


def _key_place(registration: Registration) -> str:
    return "kept" if registration.sealed_key else registration.credential_env or "-"


@app.command
def remove(
    name: str,
    /,
    *,
    deployment: Annotated[
        str | None, Parameter(help="Id of the only one to forget, as `model list` shows it.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Forget every deployment that `model add` registered for NAME, or one of them."""
    removed = _do(data_dir, lambda errand: _forget(errand, name, deployment))
    if not removed:
        what = "" if deployment is None else f" with a deployment {deployment!r}"
        says = f"no registered model is called {name!r}{what}."
        stop(Exit.FAILED, says, fix="See `portico model list`.")
    if json:
        say_json({"model": name, "removed": removed})
        return
    console.print(f"{name} is no longer served by {removed} deployment(s).", markup=False)


def _forget(errand: Errand, name: str, deployment: str | None) -> int:
    """How many there were."""
    gone = [each.id for each in list_deployments(errand, name) if deployment in (None, each.id)]
    for id in gone:
        remove_deployment(errand, id)
    return len(gone)
