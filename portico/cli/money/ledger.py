"""`portico ledger`: whether the books are right, and what was charged."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from sqlalchemy import Connection

from portico.billing import exports
from portico.billing.audit import Verdict, audit
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, moment_ms
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock

app = App(name="ledger", help="Audit the books, and export what was charged.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
_FORMATS = {"jsonl": exports.jsonl, "csv": exports.lines_csv}
_FOREVER_MS = 2**62


@app.command(name="audit")
def audit_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Check every invariant of the books on the rows themselves.  Exit code 0 only when nothing is wrong.

    Works beside a running server.
    """
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    # In a writing transaction, because that is one consistent view on both databases.
    verdicts = database.write(lambda c: audit(Transaction(c), now_ms))
    wrong = sum(verdict.violations for verdict in verdicts)
    if json:
        say_json({"ok": not wrong, "invariants": [asdict(verdict) for verdict in verdicts]})
    else:
        _show(verdicts)
    sys.exit(Exit.FAILED if wrong else Exit.OK)


@app.command
def export(
    *,
    format: Annotated[
        Literal["jsonl", "csv"], Parameter(help="One JSON object a line, or one row a line.")
    ] = "jsonl",
    output: Annotated[
        Path | None, Parameter(name=("--output", "-o"), help="File; standard output if left out.")
    ] = None,
    organisation: Annotated[str | None, Parameter(help="Only this one's.")] = None,
    from_: Annotated[str | None, Parameter(name="--from", help="From this day on (UTC).")] = None,
    to: Annotated[str | None, Parameter(help="Up to this day, it not included (UTC).")] = None,
    data_dir: DataDir = None,
) -> None:
    """Write out every charge with its lines, in the order of its chain of receipts.

    Example: `portico ledger export --format csv --from 2026-11-01 -o november.csv`
    """
    try:
        since_ms = 0 if from_ is None else moment_ms(from_)
        until_ms = _FOREVER_MS if to is None else moment_ms(to)
    except Unreadable as error:
        stop(Exit.USAGE, str(error))
    database = database_of(settings_for(None, server={"data_dir": data_dir}))

    def rows(connection: Connection) -> Iterator[str]:
        return _FORMATS[format](Transaction(connection), organisation, since_ms, until_ms)

    try:
        written = database.read(lambda c: _write(rows(c), output))
    except OSError as error:
        stop(Exit.FAILED, f"{output}: {error.strerror}.")
    if output is not None:
        console.print(f"{output}: {written} lines.", markup=False)


def _write(lines: Iterator[str], output: Path | None) -> int:
    written = 0
    with sys.stdout if output is None else output.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(line)
            written += 1
    return written


def _show(verdicts: list[Verdict]) -> None:
    say_table(
        ("", "what must hold", "examples", "checked", "violations"),
        [(v.id, v.says, ", ".join(v.examples) or "-", v.checked, v.violations) for v in verdicts],
        numbers=2,
    )
