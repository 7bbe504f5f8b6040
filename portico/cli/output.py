"""How the command line speaks: text for people, one JSON document for scripts, exit codes."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from portico.errors import Refusal

_TABLE_WIDTH = 240

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """What the exit code says."""

    OK = 0
    FAILED = 1
    """The command ran and what it asked for did not work out."""
    USAGE = 2
    """Wrong words, flags or settings; nothing was started."""
    PORT = 3
    """The address cannot be listened on."""
    DATA = 4
    """The data directory is in use, unreadable or full."""
    ENGINE = 5
    """No engine could be started."""


def stop(code: Exit, says: str, *, fix: str = "") -> NoReturn:
    """One clear message on standard error, then end."""
    errors.print(f"portico: {says}", markup=False)
    if fix:
        errors.print(f"  -> {fix}", markup=False)
    sys.exit(code)


@contextmanager
def refusals() -> Iterator[None]:
    """What a service refuses ends the command, in its own words, with what to do."""
    try:
        yield
    except Refusal as refusal:
        stop(Exit.FAILED, refusal.message, fix="" if refusal.entry.says_all else refusal.remedy)


def say_json(value: Any) -> None:
    """One line on standard output, flushed, because a script may be waiting for it."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def say_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: int = 0
) -> None:
    """A plain table; the last `numbers` columns are set flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        right = index >= len(columns) - numbers
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        # Not as markup: a name with brackets is somebody's name.
        table.add_row(*(Text(str(cell)) for cell in row))
    # Wider than most terminals, and than the 80 columns of a pipe: an id that is cut short cannot
    # be copied.  A width given to `print` would be held to the console's own.
    wide = Console(highlight=False, soft_wrap=True, width=max(console.width, _TABLE_WIDTH))
    wide.print(table)
