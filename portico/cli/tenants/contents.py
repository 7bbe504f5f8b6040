"""`portico project export` and `portico project erase-content`: all that a project keeps, taken out or
taken away."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from portico.accounts.actors.model import operator
from portico.accounts.projects.model import Project
from portico.accounts.projects.service import note_erased, note_exported
from portico.app.failure import CannotStart
from portico.app.resources import shelf_of
from portico.cli.output import Exit, console, refusals, say_json, stop
from portico.cli.place import database_of, settings_for
from portico.cli.tenants.errands import DataDir, Json
from portico.db.database import Database
from portico.keeping import stock
from portico.keeping.takeout import PARTS, Part, pages
from portico.kit.clock import SystemClock
from portico.resources.files.emptying import emptied
from portico.resources.files.model import Owner
from portico.resources.files.shelves.shelf import Shelf

_MANIFEST = "manifest.json"
_BYTES_OF = ("files", "upload_parts")
_PIECE_BYTES = 1_048_576
_MOST = 200
"""Rows in one transaction, for which a running server waits."""


def export(
    project_id: str,
    /,
    *,
    to: Annotated[Path, Parameter(help="A new folder, or one of an export that was cut off.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Write all that a project keeps into a folder: rows as JSON Lines, files as they are.

    Beside a running server or without one.  Cut off, the same command goes on: files that are whole
    are not written again.  `manifest.json` comes last, with counts and SHA-256 of everything.
    """
    database, shelf = _opened(data_dir)
    with refusals():
        project = database.write(lambda c: note_exported(operator(c, SystemClock()), project_id))
    _check_folder(to, project)
    parts: dict[str, dict[str, Any]] = {}
    missing: list[str] = []
    try:
        for part in PARTS:
            parts[part.name] = _written(database, shelf, part, project, to, missing)
        manifest = {"project": project.id, "complete": True, "parts": parts, "missing": missing}
        _note(to, manifest)
    except OSError as error:
        stop(
            Exit.DATA, f"{to}: {error.strerror or error}.", fix="The same command goes on with it."
        )
    if json:
        say_json(manifest)
        return
    for name, told in parts.items():
        console.print(f"{told['rows']:>8}  {name}", markup=False)
    console.print(f"What {project.id} keeps is in {to}.", markup=False)
    if missing:
        console.print(f"Gone while it was read: {', '.join(missing)}", markup=False)


def erase_content(
    project_id: str,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="", help="It cannot be undone: say so.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Delete all that a project keeps: responses, conversations, batches, files, kept answers.

    What is under way is deleted, too.  Keys, usage records and money stay.  It stands in the audit
    log.  Beside a running server, or without one.
    """
    if not yes:
        stop(Exit.USAGE, "this cannot be undone.", fix="Say --yes; `portico project export` first.")
    database, shelf = _opened(data_dir)
    with refusals():
        project = database.write(lambda c: note_erased(operator(c, SystemClock()), project_id))
    owner = Owner(project.organisation_id, project.id)
    try:
        removed = {"files": emptied(database.write, shelf, owner)}
    except OSError as error:
        stop(
            Exit.DATA, f"files cannot be deleted: {error}.", fix="The same command goes on with it."
        )
    for kind in stock.ROWS:
        removed[kind.name] = _erased(database, kind, project.id)
    if json:
        say_json({"project": project.id, "removed": removed})
        return
    for name, count in removed.items():
        console.print(f"{count:>8}  {name}", markup=False)
    console.print(f"{project.id} keeps nothing now.", markup=False)


def _opened(data_dir: str | None) -> tuple[Database, Shelf]:
    settings = settings_for(None, server={"data_dir": data_dir})
    try:
        return database_of(settings), shelf_of(settings)
    except CannotStart as error:
        stop(Exit.DATA, str(error))


def _erased(database: Database, kind: stock.Kind, project_id: str) -> int:
    gone = 0
    while keys := database.read(lambda c: stock.some(c, kind, project_id, _MOST)):
        while database.write(lambda c, keys=keys: stock.thin(c, kind, keys, _MOST)):  # type: ignore[misc]  # a default of a lambda
            pass
        gone += database.write(lambda c, keys=keys: stock.remove(c, kind, project_id, keys))  # type: ignore[misc]  # as above
    return gone


def _check_folder(to: Path, project: Project) -> None:
    """Nobody's other things are mixed with it, and no other project's."""
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = to / _MANIFEST
    if not any(to.iterdir()):
        _note(to, {"project": project.id, "complete": False})
        return
    try:
        told = msgspec.json.decode(found.read_bytes())
    except (OSError, msgspec.DecodeError):
        told = {}
    if told.get("project") != project.id:
        stop(Exit.USAGE, f"{to} holds something else.", fix="Name a new folder.")


def _written(
    database: Database, shelf: Shelf, part: Part, project: Project, to: Path, missing: list[str]
) -> dict[str, Any]:
    """One file of JSON Lines, and the bytes of those that have some."""
    rows, digest = 0, hashlib.sha256()
    shas: dict[str, str] = {}
    found = chain.from_iterable(pages(database.read, part, project.id))
    with _replacing(to / f"{part.name}.jsonl") as write:
        for row in found:
            if part.name in _BYTES_OF:
                _copy(shelf, row, to / part.name, shas, missing)
            line = msgspec.json.encode(row) + b"\n"
            digest.update(line)
            write(line)
            rows += 1
    told: dict[str, Any] = {"rows": rows, "sha256": digest.hexdigest()}
    return {**told, "bytes_sha256": shas} if part.name in _BYTES_OF else told


def _copy(
    shelf: Shelf, row: dict[str, Any], folder: Path, shas: dict[str, str], missing: list[str]
) -> None:
    """What is there whole stays: a file's bytes never change."""
    name, place = row["id"], folder / row["id"]
    folder.mkdir(exist_ok=True, mode=0o700)
    if not place.exists() or place.stat().st_size != row["size_bytes"]:
        try:
            stream = shelf.open(name)
        except FileNotFoundError:
            missing.append(name)
            return
        with closing(stream), _replacing(place) as write:
            while piece := stream.read(_PIECE_BYTES):
                write(piece)
    with place.open("rb") as file:
        shas[name] = hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _replacing(place: Path) -> Iterator[Callable[[bytes], object]]:
    """Under its name once it is whole."""
    draft = place.with_name(f"{place.name}.part")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file.write
        file.flush()
        os.fsync(file.fileno())
    draft.replace(place)


def _note(to: Path, manifest: dict[str, Any]) -> None:
    with _replacing(to / _MANIFEST) as write:
        write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
