"""What the operator wants done, and which organisation he means when he names none."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from portico.accounts.actors.model import Errand, operator
from portico.accounts.projects.service import list_organisations
from portico.callers.pepper import Pepper, PepperLost, read_peppers
from portico.cli.output import Exit, refusals, stop
from portico.cli.place import database_of, settings_for
from portico.kit.clock import SystemClock

T = TypeVar("T")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
Organisation = Annotated[
    str | None,
    Parameter(
        name=("--organisation", "--organization"),
        help="Its id; left out: the only one there is.",
    ),
]
_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def done(data_dir: str | None, act: Callable[[Errand], T]) -> T:
    """Do it in one transaction; a refusal ends the command in its own words."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    with refusals():
        return database.write(lambda connection: act(operator(connection, SystemClock())))


def seen(data_dir: str | None, look: Callable[[Errand], T]) -> T:
    """As `done`, for what changes nothing."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    with refusals():
        return database.read(lambda connection: look(operator(connection, SystemClock())))


def peppers_of(data_dir: str | None) -> tuple[Pepper, ...]:
    settings = settings_for(None, server={"data_dir": data_dir})
    try:
        return read_peppers(Path(settings.server.data_dir))
    except PepperLost as error:
        stop(Exit.DATA, str(error))


def meant(errand: Errand, named: str | None) -> str:
    """The organisation a command is about."""
    if named is not None:
        return named
    found = list_organisations(errand)
    if len(found) != 1:
        stop(
            Exit.USAGE,
            f"there are {len(found)} organisations; say which with --organisation.",
            fix="`portico organisation list` lists them.",
        )
    return found[0].id


def duration_ms(text: str, option: str) -> int:
    """Such as 30d, 12h or 15m."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII)
    if not found:
        stop(Exit.USAGE, f"{option} is {text!r}; write it as 30d, 12h or 15m.")
    return int(found[1]) * _UNITS_MS[found[2]]
