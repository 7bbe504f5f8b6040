"""`portico db`: the tables, brought up to date and looked after."""

import sys
from dataclasses import asdict
from pathlib import Path
from sqlite3 import Error
from typing import Annotated, NoReturn

from cyclopts import App, Parameter
from sqlalchemy.exc import DBAPIError

from portico.cli.output import Exit, console, say_json, stop
from portico.cli.place import place_of, settings_for
from portico.db.backends.base import Unusable
from portico.db.check import examine
from portico.db.database import Database, connect_database, upgrade
from portico.db.lock import AlreadyServing, ServerLock
from portico.settings import Settings

app = App(name="db", help="The database: bring it up to date, check it, make it small.")

Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]


@app.command(name="upgrade")
def upgrade_tables(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Create or change the tables that this version needs, in one transaction.

    `portico serve` does it by itself on SQLite; on PostgreSQL only this command does.
    """
    settings = settings_for(None, server={"data_dir": data_dir})
    try:
        database = connect_database(Path(settings.server.data_dir), settings.database.url)
        before, after = upgrade(database)
    except (Unusable, OSError, DBAPIError) as error:
        _cannot(settings, error)
    if json:
        say_json({"before": before, "after": after})
    elif before == after:
        console.print(f"{database.place} is up to date (revision {after}).", markup=False)
    else:
        was = f"revision {before}" if before else "no tables"
        console.print(f"{database.place}: {was} -> revision {after}", markup=False)


@app.command
def check(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Look for damage, missing guards, and rows that wait or were refused.  Changes nothing."""
    settings = settings_for(None, server={"data_dir": data_dir})
    try:
        found = examine(_existing(settings))
    except (Unusable, OSError, DBAPIError) as error:
        _cannot(settings, error)
    ok = all(each.ok for each in found)
    if json:
        say_json({"ok": ok, "findings": [asdict(each) for each in found]})
    else:
        for each in found:
            word = "ok  " if each.ok else "FAIL"
            console.print(f"{word}  {each.name:<9} {each.says}", markup=False)
            if each.fix:
                console.print(f"                -> {each.fix}", markup=False)
    sys.exit(Exit.OK if ok else Exit.FAILED)


@app.command
def compact(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Write the SQLite file anew without its free pages; the server must be stopped.

    From then on a server gives back by itself what is deleted, as it does with every file that is
    new.  It takes as much room again in the data directory and in the temporary folder.
    """
    settings = settings_for(None, server={"data_dir": data_dir})
    database = _existing(settings)
    lock = ServerLock(database.data_dir)
    try:
        before = database.space()
        if before is None:
            stop(
                Exit.USAGE,
                "PostgreSQL looks after its room itself.",
                fix="docs/guides/postgresql.md",
            )
        lock.take()
        try:
            database.compact()
        finally:
            lock.release()
        after = database.space() or before
    except AlreadyServing as error:
        stop(Exit.DATA, str(error))
    except (Unusable, OSError, DBAPIError, Error) as error:
        _cannot(settings, error)
    if json:
        say_json({"before_bytes": before.file_bytes, "after_bytes": after.file_bytes})
        return
    gained = before.file_bytes - after.file_bytes
    console.print(
        f"{database.place}: {before.file_bytes} -> {after.file_bytes} bytes ({gained} given back)",
        markup=False,
    )


def _existing(settings: Settings) -> Database:
    place_of(settings)
    return connect_database(Path(settings.server.data_dir), settings.database.url)


def _cannot(settings: Settings, error: Exception) -> NoReturn:
    says = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    where = "database.url" if settings.database.url else settings.server.data_dir
    stop(Exit.DATA, f"{where}: {says.strip()}", fix="Run `portico doctor`.")
