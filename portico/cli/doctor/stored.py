"""What is kept for developers: is it whole, how much is it, does it go, and what has waited longest."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.exc import SQLAlchemyError

from portico.app.failure import CannotStart
from portico.app.resources import shelf_of
from portico.cli.doctor.checks import Check
from portico.db import schema
from portico.db.backends.base import Space, Unusable
from portico.db.backends.sqlite import FILE_NAME
from portico.db.database import Database, connect_database
from portico.db.migrations import HEAD
from portico.db.tables import alert, delivery, file, upload_part
from portico.keeping import survey, weighing
from portico.keeping.survey import Oldest, Survey
from portico.kit.clock import SystemClock
from portico.settings import Settings

_HOUR_MS = 3_600_000
_SHOWN = 3


def examine_stored(settings: Settings) -> Iterator[Check]:
    """Reads only, beside a running server or without one.  Nothing where there is no database of
    this version: other checks say so."""
    folder = Path(settings.server.data_dir)
    if not settings.database.url and not (folder / FILE_NAME).exists():
        return
    now_ms = SystemClock().wall_ms()
    try:
        database = connect_database(folder, settings.database.url)
        if database.read(schema.revision) != HEAD:
            return
        found, sizes = database.read(lambda c: (survey.taken(c, now_ms), survey.bytes_by_kind(c)))
        fullest = database.read(weighing.fullest)
        space = database.space()
    except (SQLAlchemyError, Unusable, OSError):
        return
    yield _kept(found, sizes)
    yield _quota(fullest, settings.kept.bytes_per_project_max)
    if space is not None:
        yield _room(space)
    yield _unfinished(settings, found, now_ms)
    yield _deliveries(database, now_ms)
    yield _overdue(found)
    yield from _files(settings, database, now_ms)


def _kept(found: Survey, sizes: dict[str, int]) -> Check:
    told = [f"{found.rows[name]} {name} ({_size(sizes[name])})" for name in found.rows]
    figures = {f"{name}_rows": count for name, count in found.rows.items()}
    figures |= {f"{name}_bytes": size for name, size in sizes.items()}
    return Check("kept", True, ", ".join(told), figures=figures)


def _quota(fullest: Sequence[tuple[str, int]], limit: int) -> Check:
    """One that is full is its owner's to empty, and nothing is wrong here."""
    full = [each for each, size_bytes in fullest if size_bytes >= limit]
    told = [f"{each} keeps {_size(size_bytes)}" for each, size_bytes in fullest]
    says = f"{', '.join(told) or 'no project keeps anything'}; each may {_size(limit)}"
    if full:
        says += f"; full: {', '.join(full)}"
    figures = {"largest_bytes": fullest[0][1] if fullest else 0, "limit_bytes": limit}
    return Check("quota", True, says, figures=figures)


def _room(space: Space) -> Check:
    says = f"the database has {_size(space.file_bytes)}, {_size(space.free_bytes)} of it free"
    if not space.shrinks:
        says += "; it gives none back: `portico db compact`, with the server stopped"
    return Check(
        "room",
        True,
        says,
        figures={"file_bytes": space.file_bytes, "free_bytes": space.free_bytes},
    )


def _unfinished(settings: Settings, found: Survey, now_ms: int) -> Check:
    """Each kind has a time by which it has ended, one way or another."""
    late = []
    told = []
    for name, oldest, most_s in (
        ("responses", found.responses, settings.background.patience_s),
        ("batches", found.batches, 2 * settings.batches.window_s),
    ):
        if oldest.count:
            told.append(_waits(name, oldest, now_ms))
        if oldest.count and now_ms - oldest.since_ms > 1000 * most_s + _HOUR_MS:
            late.append(oldest.id)
    figures: dict[str, int | None] = {
        "responses": found.responses.count,
        "batches": found.batches.count,
        "orphaned": found.responses.orphaned + found.batches.orphaned,
        "oldest_ms": None if found.oldest_ms is None else now_ms - found.oldest_ms,
    }
    return Check(
        "jobs",
        not late,
        "; ".join(told) or "nothing is unfinished",
        f"{', '.join(late)} should have ended: start a server that has their models, or cancel them.",
        figures,
    )


def _waits(name: str, oldest: Oldest, now_ms: int) -> str:
    seconds = max(0, now_ms - oldest.since_ms) // 1000
    dead = f", {oldest.orphaned} with a process that is gone" if oldest.orphaned else ""
    return f"{oldest.count} {name} unfinished, the oldest ({oldest.id}) for {seconds} s{dead}"


def _deliveries(database: Database, now_ms: int) -> Check:
    """Webhooks and mail that have not come through: each is tried again until it is given up."""
    count, due_ms, oldest = database.read(_waiting)
    says = "nothing waits to be told"
    if oldest is not None:
        seconds = max(0, now_ms - oldest.created_at_ms) // 1000
        says = f"{count} waiting to be told, the oldest ({oldest.id}) for {seconds} s, "
        says += f"tried {oldest.attempts} times"
    return Check(
        "webhooks",
        due_ms is None or due_ms > now_ms - _HOUR_MS,
        says,
        "Nobody sends them: start a server; `portico webhook deliveries` says what came of each try.",
        {
            "waiting": count,
            "oldest_ms": None if oldest is None else now_ms - oldest.created_at_ms,
        },
    )


def _waiting(connection: Connection) -> tuple[int, int | None, Row[Any, Any, Any] | None]:
    """How many, and when the first is due; the oldest of them."""
    d = delivery.c
    waits = d.state == "waiting"
    due = select(func.count(), func.min(d.due_at_ms)).where(waits)
    oldest = (
        select(d.id, d.attempts, alert.c.created_at_ms)
        .join(alert, alert.c.id == d.alert_id)
        .where(waits)
        .order_by(alert.c.created_at_ms)
        .limit(1)
    )
    count, due_ms = connection.execute(due).one()
    return count, due_ms, connection.execute(oldest).one_or_none()


def _overdue(found: Survey) -> Check:
    return Check(
        "expiry",
        not found.overdue,
        f"{found.overdue} rows or projects should be gone"
        if found.overdue
        else "nothing is there that should be gone",
        "A running server removes them within a minute: start one, or read its log.",
        {"overdue": found.overdue},
    )


def _files(settings: Settings, database: Database, now_ms: int) -> Iterator[Check]:
    """Rows without bytes cannot be read; bytes without a row go an hour after they came."""
    try:
        on_shelf = dict(shelf_of(settings).names())
    except (CannotStart, OSError) as error:
        yield Check("files", False, str(error), "Check files.folder or files.bucket.")
        return
    known = database.read(_names)
    lost = sorted(known - on_shelf.keys())
    strays = [
        name
        for name, since_ms in on_shelf.items()
        if name not in known and since_ms < now_ms - 2 * _HOUR_MS
    ]
    says = f"{len(known)} with their bytes"
    if lost:
        says = f"the bytes of {len(lost)} are missing: {', '.join(lost[:_SHOWN])}"
    if strays:
        says += f"; {len(strays)} belong to nobody"
    yield Check(
        "files",
        not lost and not strays,
        says,
        "Bring missing bytes back from a backup; a running server removes what is nobody's.",
        {"files": len(known), "lost": len(lost), "strays": len(strays)},
    )


def _names(connection: Connection) -> set[str]:
    """On the shelf, as rows know them."""
    files = connection.execute(select(file.c.id)).scalars()
    return {*files, *connection.execute(select(upload_part.c.id)).scalars()}


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes} bytes"
