"""`portico serve`: the whole platform on one machine."""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import uvloop
from cyclopts import Parameter

from portico.app import CannotStart, Running, run
from portico.cli.output import Exit, console, errors, say_json, stop
from portico.cli.place import settings_for
from portico.cli.typed import as_typed
from portico.observe import log
from portico.settings import Settings

_EXITS = {"port": Exit.PORT, "data": Exit.DATA, "engine": Exit.ENGINE, "settings": Exit.USAGE}


def serve(
    *,
    host: Annotated[str | None, Parameter(help="Address to listen on.")] = None,
    port: Annotated[int | None, Parameter(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: Annotated[str | None, Parameter(help="Folder for the database.")] = None,
    model: Annotated[Path | None, Parameter(help="A GGUF file to serve.")] = None,
    upstream: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="An OpenAI-compatible server to put behind Portico."),
    ] = (),
    simulated: Annotated[
        bool, Parameter(negative="", help="Also serve the simulated models (sim-...).")
    ] = False,
    config: Annotated[Path | None, Parameter(help="Settings file; default portico.toml.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Say that it is ready in JSON.")] = False,
) -> None:
    """Serve a model to developers: keys, limits, streaming, metering.

    Without --model and --upstream it serves the demo model, which is very small.
    """
    settings = settings_for(
        config,
        server={"host": host, "port": port, "data_dir": data_dir},
        engine={"model": None if model is None else str(model)},
        upstream={"urls": upstream or None},
    )
    log.configure(settings.observe.log_level, settings.observe.log_format)
    beside = "" if data_dir is None else f" --data-dir {shlex.quote(data_dir)}"
    greet: Callable[[Running], None] = _greet_json if json else partial(_greet, beside)
    try:
        uvloop.run(_serve(settings, simulated, greet, quiet=json))
    except CannotStart as error:
        stop(_EXITS[error.kind], error.says, fix=error.fix)


async def _serve(
    settings: Settings, simulated: bool, greet: Callable[[Running], None], *, quiet: bool
) -> None:
    if quiet:
        await run(settings, simulated=simulated, on_ready=greet)
        return
    with errors.status("Starting ...", spinner="line") as status:

        def ready(running: Running) -> None:
            status.stop()
            greet(running)

        await run(settings, simulated=simulated, on_ready=ready)


def _greet_json(running: Running) -> None:
    banner: dict[str, Any] = {
        "base_url": running.base_url,
        "api_key": running.first_key,
        "pid": running.pid,
        "models": running.models,
    }
    say_json(banner)


def _greet(beside: str, running: Running) -> None:
    """beside: the flag that other commands need to find this server."""
    models, portico = running.models, as_typed()
    shown = ", ".join(models[:4]) + (f" and {len(models) - 4} more" if len(models) > 4 else "")
    say = [
        f"Portico is ready at {running.base_url} ({running.start_ms} ms)",
        f"  models   {shown or f'none yet: {portico} model add{beside}'}",
    ]
    if running.first_key:
        say.append(f"  API key  {running.first_key}  (shown only now; keep it safe)")
    else:
        say.append(f"  API key  the ones you have; `{portico} key create{beside}` makes another")
    say += [f"  note     {note}" for note in running.notes]
    key = running.first_key or "$PORTICO_KEY"
    name = models[0] if models else "MODEL"
    say += [
        "",
        "Try it:",
        f'  {portico} ask "What is Portico?"{beside}',
        f"  curl {running.base_url}/chat/completions -H 'Authorization: Bearer {key}' \\",
        f"""    -d '{{"model": "{name}", "messages": [{{"role": "user", "content": "Hello"}}]}}'""",
        "",
        "Ctrl-C stops it, after the answers under way; a second Ctrl-C stops it at once.",
    ]
    for line in say:
        console.print(line, markup=False)
