"""The one command line."""

import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from portico.cli import db, key, model, price, terms
from portico.cli.ask import ask
from portico.cli.doctor import Check, examine
from portico.cli.output import Exit, console, say_json
from portico.cli.place import settings_for
from portico.cli.serve import serve
from portico.cli.usage import usage

app = App(
    name="portico",
    help="The front door to a model: an API that SDKs speak, with keys, limits and metering.",
    version=version("portico"),
)
app.command(serve)
app.command(ask)
app.command(key.app)
app.command(model.app)
app.command(price.app)
app.command(terms.app)
app.command(usage)
app.command(db.app)


@app.command
def doctor(
    *,
    port: Annotated[int | None, Parameter(help="Port the server would use.")] = None,
    data_dir: Annotated[str | None, Parameter(help="Folder of the server's data.")] = None,
    config: Annotated[Path | None, Parameter(help="Settings file.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print JSON.")] = False,
) -> None:
    """Check everything Portico needs, and say how to fix what is missing."""
    settings = settings_for(config, server={"port": port, "data_dir": data_dir})
    checks: list[Check] = []
    for check in examine(settings):
        checks.append(check)
        if not json:
            _show(check)
    ok = all(check.ok for check in checks)
    if json:
        say_json({"ok": ok, "checks": [asdict(check) for check in checks]})
    sys.exit(Exit.OK if ok else Exit.FAILED)


def _show(check: Check) -> None:
    word = "ok  " if check.ok else "FAIL"
    console.print(f"{word}  {check.name:<9} {check.says}", markup=False)
    if not check.ok:
        console.print(f"                -> {check.fix}", markup=False)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
