"""`portico audit`: who changed what."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from sqlalchemy import Connection

from portico.accounts.actors.model import operator
from portico.audit import service
from portico.audit.verify import Entry, Head, IsSigned, Verdict
from portico.billing.proofs.heads import opened_keys
from portico.billing.proofs.keys import KeysLost, is_signed, read_keys
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import moment
from portico.db.database import Database
from portico.kit.clock import SystemClock

app = App(name="audit", help="Who changed what: list, verify, sign, export, black out.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
Organisation = Annotated[
    str, Parameter(help="Whose chain; left out: what belongs to the installation.")
]

_HEX = ("hash", "signature")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A head as `portico audit heads` prints it."""

    organisation_id: str
    sequence: int
    key_id: str
    hash: str
    signed_at_ms: int
    signature: str


@app.command(name="list")
def list_newest(
    *,
    organisation: Organisation = "",
    most: Annotated[int, Parameter(help="The newest so many.")] = 20,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """The newest changes, newest first."""
    found = _database(data_dir).read(lambda c: service.newest(c, organisation, None, most))
    if json:
        say_json({"events": [_line(entry) for entry in found]})
        return
    say_table(
        ("no", "at (UTC)", "who", "from", "what", "target"),
        [
            (
                entry.event.sequence,
                moment(entry.event.at_ms),
                f"{entry.event.actor.kind} {entry.event.actor.id}",
                entry.event.actor.address or "here",
                entry.event.action,
                entry.event.target,
            )
            for entry in found
        ],
    )


@app.command
def verify(
    *,
    heads: Annotated[
        Path | None, Parameter(help="What `portico audit heads` printed once, kept elsewhere.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Walk every chain again, with the signed heads.  Exit code 0 only when all is right.

    Works beside a running server.
    """
    database = _database(data_dir)
    kept = [] if heads is None else _kept(heads)
    try:
        known = read_keys(database.data_dir)
    except KeysLost as error:
        stop(Exit.DATA, str(error))
    keys: dict[str, IsSigned] = {key.id: partial(is_signed, key.public) for key in known}
    verdict = database.read(lambda connection: service.verify_all(connection, keys, kept))
    if json:
        say_json({"ok": verdict.ok, **asdict(verdict)})
    else:
        _show(verdict)
    sys.exit(Exit.OK if verdict.ok else Exit.FAILED)


@app.command
def sign(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Sign where each chain ends now; a running server does so every hour.

    What is cut off or changed before a signed head is found, also by whoever kept a copy of it.
    """
    database = _database(data_dir)
    try:
        key = opened_keys(database)[-1]
    except (KeysLost, OSError) as error:
        stop(Exit.DATA, str(error))
    now_ms = SystemClock().wall_ms()
    made = database.write(lambda c: service.sign_heads(c, key.id, key.sign, now_ms))
    if json:
        say_json({"heads": [_told(head) for head in made]})
        return
    console.print(f"{len(made)} heads signed.", markup=False)


@app.command(name="heads")
def print_heads(*, data_dir: DataDir = None) -> None:
    """Print every signed head as a line of JSON, to be kept where this database is not.

    With them `portico audit verify --heads` finds an end that was cut off together with its heads.
    """

    def say(connection: Connection) -> None:
        for head in service.heads(connection):
            sys.stdout.write(msgspec.json.encode(_told(head)).decode() + "\n")

    _database(data_dir).read(say)
    sys.stdout.flush()


@app.command
def export(
    *,
    organisation: Annotated[
        str | None, Parameter(help="Whose chain; left out: all of them.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print every change as a line of JSON, chain by chain, from the first."""

    def say(connection: Connection) -> None:
        for line in _lines(service.entries(connection, organisation)):
            sys.stdout.write(line)

    _database(data_dir).read(say)
    sys.stdout.flush()


@app.command
def redact(
    number: Annotated[int, Parameter(help="Of the event, as `portico audit list` shows it.")],
    /,
    *,
    organisation: Organisation = "",
    data_dir: DataDir = None,
) -> None:
    """Black out what an event changed.  Its hash stays, and that this was done is on record."""

    def change(connection: Connection) -> bool:
        errand = operator(connection, SystemClock())
        now_ms = errand.clock.wall_ms()
        return service.redact(connection, now_ms, errand.by.actor, organisation, number)

    if not _database(data_dir).write(change):
        stop(Exit.FAILED, f"There is no event {number} with anything to black out.")
    console.print(f"What event {number} changed is blacked out.", markup=False)


def _database(data_dir: str | None) -> Database:
    return database_of(settings_for(None, server={"data_dir": data_dir}))


def _told(head: Head) -> dict[str, Any]:
    return {**asdict(head), "hash": head.hash.hex(), "signature": head.signature.hex()}


def _kept(file: Path) -> list[Head]:
    try:
        found = msgspec.json.Decoder(_Kept).decode_lines(file.read_bytes())
        return [
            Head(**asdict(each) | {name: bytes.fromhex(getattr(each, name)) for name in _HEX})
            for each in found
        ]
    except (OSError, ValueError) as error:
        stop(Exit.USAGE, f"{file} has no heads: {error}.")


def _lines(entries: Iterator[Entry]) -> Iterator[str]:
    for entry in entries:
        yield msgspec.json.encode(_line(entry)).decode() + "\n"


def _line(entry: Entry) -> dict[str, Any]:
    event = entry.event
    return {
        "organisation_id": event.organisation_id,
        "sequence": event.sequence,
        "at_ms": event.at_ms,
        "actor": asdict(event.actor),
        "action": event.action,
        "target": event.target,
        "before": None if entry.before is None else msgspec.Raw(entry.before.encode()),
        "after": None if entry.after is None else msgspec.Raw(entry.after.encode()),
        "redacted": entry.redacted,
        "details_hash": event.details_hash.hex(),
        "previous_hash": event.previous_hash.hex(),
        "hash": event.hash.hex(),
    }


def _show(verdict: Verdict) -> None:
    console.print(
        f"{verdict.events} events in {verdict.chains} chains, {verdict.heads} signed heads.",
        markup=False,
    )
    if verdict.unknown_heads:
        console.print(
            f"{verdict.unknown_heads} heads were signed with keys that are not here.", markup=False
        )
    for fault in verdict.faults:
        whose = fault.organisation_id or "the installation"
        console.print(f"{whose}, event {fault.sequence}: {fault.wrong}.", markup=False)
    console.print("All is right." if verdict.ok else "NOT right.", style="bold")
