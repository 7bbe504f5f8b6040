"""`portico doctor`: everything a start needs, and every upstream, asked."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from portico.cli.doctor.checks import Check, examine
from portico.cli.doctor.facts import gathered
from portico.cli.doctor.guard import examine_guard
from portico.cli.doctor.hardening import harden
from portico.cli.doctor.stored import examine_stored
from portico.cli.doctor.upstreams import examine_upstreams
from portico.cli.output import Exit, console, say_json
from portico.cli.place import settings_for
from portico.settings import Settings


def doctor(
    *,
    port: Annotated[int | None, Parameter(help="Port the server would use.")] = None,
    data_dir: Annotated[str | None, Parameter(help="Folder of the server's data.")] = None,
    upstream: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Ask this server instead of those of the settings."),
    ] = (),
    generate: Annotated[
        bool,
        Parameter(negative="", help="Also ask upstreams for a few tokens, which may cost money."),
    ] = False,
    security: Annotated[
        bool,
        Parameter(negative="", help="Look for what makes this server unsafe instead."),
    ] = False,
    config: Annotated[Path | None, Parameter(help="Settings file.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print JSON.")] = False,
) -> None:
    """Check everything Portico needs, and say how to fix what is missing.

    Every upstream of the settings and of `portico model add` is asked for its models.
    """
    settings = settings_for(
        config,
        server={"port": port, "data_dir": data_dir},
        upstream={"urls": upstream or None},
    )
    checks: list[Check] = []
    found = harden(gathered(settings, config)) if security else _checks(settings, generate=generate)
    for check in found:
        checks.append(check)
        if not json:
            _show(check)
    ok = all(check.ok for check in checks)
    if json:
        say_json({"ok": ok, "checks": [asdict(check) for check in checks]})
    sys.exit(Exit.OK if ok else Exit.FAILED)


def _checks(settings: Settings, *, generate: bool) -> Iterator[Check]:
    yield from examine(settings)
    yield from examine_stored(settings)
    yield from asyncio.run(examine_upstreams(settings, generate=generate))
    yield from asyncio.run(examine_guard(settings, generate=generate))


def _show(check: Check) -> None:
    word = "ok  " if check.ok else "FAIL"
    console.print(f"{word}  {check.name:<9} {check.says}", markup=False)
    if not check.ok:
        console.print(f"                -> {check.fix}", markup=False)
