"""Rows of files, uploads and parts, and what a project has of them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, or_, select, update

from portico.db.tables import file, file_room, upload, upload_part
from portico.db.transaction import Transaction
from portico.keeping import service as keeping
from portico.resources.files.model import File, Limits, Owner, Part, Room, Upload
from portico.resources.files.rules import no_room, nothing_kept, upload_ended
from portico.resources.pages import Window, paged

T = TypeVar("T")
Before = Callable[[Connection, T], None]
"""Done in the commit that makes a thing, in front of it."""
_FILE = [file.c[name] for name in File.__dataclass_fields__]
_UPLOAD = [upload.c[name] for name in Upload.__dataclass_fields__]
_OVER = "was completed or cancelled a moment ago"
_PART = [upload_part.c[name] for name in Part.__dataclass_fields__]


# -- files ------------------------------------------------------------------------------------


def add(connection: Connection, made: File, limits: Limits) -> Room:
    """Kept as long as its project says now.

    Raises: Refusal: storage_quota_exceeded, zero_retention; nothing is done then."""
    until_ms = _until_ms(connection, made.project_id, made.created_at_ms, made.expires_at_ms)
    room = _grow(connection, made.organisation_id, made.project_id, 1, made.size_bytes)
    refusal = no_room(room, limits)
    if refusal is not None:
        raise refusal
    connection.execute(insert(file).values(**{**_values(made), "expires_at_ms": until_ms}))
    return room


def some(connection: Connection, owner: Owner, ids: Collection[str], now_ms: int) -> list[File]:
    """Those of `ids` that are the owner's."""
    query = _theirs(owner, now_ms).where(_named(ids))
    return [File(*row) for row in connection.execute(query)]


def page(
    connection: Connection, owner: Owner, window: Window, purpose: str, now_ms: int
) -> list[File]:
    """One more than the page holds, see `paged`.  purpose: "" for any."""
    query = _theirs(owner, now_ms)
    if purpose:
        query = query.where(file.c.purpose == purpose)
    return [File(*row) for row in connection.execute(paged(query, file.c.id, window))]


def remove(connection: Connection, owner: Owner, file_id: str, now_ms: int) -> Room | None:
    """None where there was none."""
    gone = delete(file).where(*_their(owner, now_ms), _named((file_id,)))
    size_bytes = connection.execute(gone.returning(file.c.size_bytes)).scalar_one_or_none()
    if size_bytes is None:
        return None
    return _grow(connection, owner.organisation_id, owner.project_id, -1, -size_bytes)


def remove_expired(connection: Connection, now_ms: int, most: int) -> list[str]:
    """Files whose time has come; their names on the shelf."""
    found = select(*_FILE).where(file.c.expires_at_ms <= now_ms).limit(most)
    gone = []
    for each in [File(*row) for row in connection.execute(found)]:
        owner = Owner(each.organisation_id, each.project_id)
        # Another server may be sweeping, too: only one of them gives the room back.
        removed = connection.execute(delete(file).where(*_of(owner), file.c.id == each.id))
        if removed.rowcount:
            _grow(connection, each.organisation_id, each.project_id, -1, -each.size_bytes)
            gone.append(each.id)
    return gone


# -- uploads ----------------------------------------------------------------------------------


def begin(connection: Connection, begun: Upload) -> None:
    """Raises: Refusal: zero_retention."""
    _until_ms(connection, begun.project_id, begun.created_at_ms, None)
    connection.execute(insert(upload).values(**_values(begun)))


def upload_of(
    connection: Connection, owner: Owner, upload_id: str, now_ms: int
) -> tuple[Upload, list[Part]] | None:
    """With its parts.  None where there is none, or its time is over."""
    query = select(*_UPLOAD).where(
        *_their_upload(owner), upload.c.id == upload_id, upload.c.expires_at_ms > now_ms
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Upload(*row), _parts(connection, owner, upload_id)


def add_part(connection: Connection, made: Part, limits: Limits, parts_max: int) -> Room:
    """Raises: Refusal: conflict, where its upload takes no more; storage_quota_exceeded,
    zero_retention."""
    owner = Owner(made.organisation_id, made.project_id)
    # Written to, not only read: so that it is not completed meanwhile.
    touched = update(upload).where(
        *_their_upload(owner),
        upload.c.id == made.upload_id,
        upload.c.state == "pending",
        upload.c.expires_at_ms > made.created_at_ms,
    )
    if connection.execute(touched.values(state="pending")).rowcount == 0:
        raise upload_ended(made.upload_id, _OVER)
    _until_ms(connection, made.project_id, made.created_at_ms, None)
    count = select(func.count()).where(
        upload_part.c.project_id == made.project_id, upload_part.c.upload_id == made.upload_id
    )
    if connection.execute(count).scalar_one() >= parts_max:
        raise upload_ended(made.upload_id, f"has {parts_max} parts; more it may not have")
    room = _grow(connection, made.organisation_id, made.project_id, 0, made.size_bytes)
    refusal = no_room(room, limits)
    if refusal is not None:
        raise refusal
    connection.execute(insert(upload_part).values(**_values(made)))
    return room


def complete(connection: Connection, begun: Upload, made: File, limits: Limits) -> list[str]:
    """Its file in the place of its parts; their names on the shelf.

    Raises: Refusal: conflict, where somebody was faster; storage_quota_exceeded."""
    removed = _end(connection, begun, "completed", made.id)
    add(connection, made, limits)
    return removed


def cancel(connection: Connection, begun: Upload) -> list[str]:
    """The names of its parts on the shelf.  Raises: Refusal: conflict."""
    return _end(connection, begun, "cancelled", None)


def remove_uploads(connection: Connection, now_ms: int, most: int) -> list[str]:
    """Uploads whose time is over; the names of their parts on the shelf."""
    found = select(*_UPLOAD).where(upload.c.expires_at_ms <= now_ms).limit(most)
    return _remove_uploads(connection, [Upload(*row) for row in connection.execute(found)])


def _remove_uploads(connection: Connection, ended: Sequence[Upload]) -> list[str]:
    removed: list[str] = []
    for each in ended:
        removed += _remove_parts(connection, each)
        connection.execute(
            delete(upload).where(upload.c.project_id == each.project_id, upload.c.id == each.id)
        )
    return removed


def remove_all(connection: Connection, owner: Owner, most: int) -> tuple[int, list[str]]:
    """Some of the owner's files and uploads: how many, and their names on the shelf."""
    gone = delete(file).where(
        *_of(owner), file.c.id.in_(select(file.c.id).where(*_of(owner)).limit(most))
    )
    files = connection.execute(gone.returning(file.c.id, file.c.size_bytes)).all()
    if files:
        freed_bytes = sum(size_bytes for _, size_bytes in files)
        _grow(connection, owner.organisation_id, owner.project_id, -len(files), -freed_bytes)
    begun = [
        Upload(*row)
        for row in connection.execute(select(*_UPLOAD).where(*_their_upload(owner)).limit(most))
    ]
    return len(files) + len(begun), [each[0] for each in files] + _remove_uploads(connection, begun)


# -- all of it --------------------------------------------------------------------------------


def known(connection: Connection, names: Sequence[str]) -> set[str]:
    """Which of these, on the shelf, have a row."""
    found = {row[0] for row in connection.execute(select(file.c.id).where(file.c.id.in_(names)))}
    parts = select(upload_part.c.id).where(upload_part.c.id.in_(names))
    return found | {row[0] for row in connection.execute(parts)}


def stored(connection: Connection) -> Room:
    """By everybody."""
    query = select(
        func.coalesce(func.sum(file_room.c.files), 0),
        func.coalesce(func.sum(file_room.c.stored_bytes), 0),
    )
    files, stored_bytes = connection.execute(query).one()
    return Room(int(files), int(stored_bytes))


def room_of(connection: Connection, owner: Owner) -> Room:
    query = select(file_room.c.files, file_room.c.stored_bytes).where(
        file_room.c.organisation_id == owner.organisation_id,
        file_room.c.project_id == owner.project_id,
    )
    row = connection.execute(query).one_or_none()
    return Room(0, 0) if row is None else Room(*row)


def _grow(
    connection: Connection, organisation_id: str, project_id: str, files: int, more_bytes: int
) -> Room:
    """What there is then; exact, for whoever comes second waits for the first."""
    if files < 0 or more_bytes < 0:
        connection.execute(
            update(file_room)
            .where(file_room.c.project_id == project_id)
            .values(
                files=file_room.c.files + files,
                stored_bytes=file_room.c.stored_bytes + more_bytes,
            )
        )
        return room_of(connection, Owner(organisation_id, project_id))
    rows = Transaction(connection).rows(
        "INSERT INTO file_room (project_id, organisation_id, files, stored_bytes) "
        "VALUES (?, ?, ?, ?) ON CONFLICT (project_id) DO UPDATE SET "
        "files = file_room.files + excluded.files, "
        "stored_bytes = file_room.stored_bytes + excluded.stored_bytes "
        "RETURNING files, stored_bytes",
        (project_id, organisation_id, files, more_bytes),
    )
    return Room(*rows[0])


def _until_ms(
    connection: Connection, project_id: str, since_ms: int, expires_at_ms: int | None
) -> int | None:
    """Raises: Refusal: zero_retention, where its project has turned to it since."""
    transaction = Transaction(connection)
    if not keeping.keeps(transaction, project_id):
        raise nothing_kept()
    return keeping.until_ms(transaction, project_id, since_ms, expires_at_ms)


def _end(connection: Connection, begun: Upload, state: str, file_id: str | None) -> list[str]:
    ended = update(upload).where(
        *_their_upload(Owner(begun.organisation_id, begun.project_id)),
        upload.c.id == begun.id,
        upload.c.state == "pending",
    )
    if connection.execute(ended.values(state=state, file_id=file_id)).rowcount == 0:
        raise upload_ended(begun.id, _OVER)
    return _remove_parts(connection, begun)


def _remove_parts(connection: Connection, begun: Upload) -> list[str]:
    gone = delete(upload_part).where(
        upload_part.c.organisation_id == begun.organisation_id,
        upload_part.c.project_id == begun.project_id,
        upload_part.c.upload_id == begun.id,
    )
    parts = connection.execute(gone.returning(upload_part.c.id, upload_part.c.size_bytes)).all()
    if parts:
        gone_bytes = sum(size_bytes for _, size_bytes in parts)
        _grow(connection, begun.organisation_id, begun.project_id, 0, -gone_bytes)
    return [name for name, _ in parts]


def _parts(connection: Connection, owner: Owner, upload_id: str) -> list[Part]:
    query = select(*_PART).where(
        upload_part.c.organisation_id == owner.organisation_id,
        upload_part.c.project_id == owner.project_id,
        upload_part.c.upload_id == upload_id,
    )
    return [Part(*row) for row in connection.execute(query)]


def _theirs(owner: Owner, now_ms: int) -> Select[Any]:
    return select(*_FILE).where(*_their(owner, now_ms))


def _their(owner: Owner, now_ms: int) -> Iterable[ColumnElement[bool]]:
    """What has expired is not there, though it may not be gone yet."""
    kept = or_(file.c.expires_at_ms.is_(None), file.c.expires_at_ms > now_ms)
    return (*_of(owner), kept)


def _named(ids: Collection[str]) -> ColumnElement[bool]:
    """With one id that never was: of several SQLite looks among those of the project, of one among
    everybody's, where a foreign one takes a moment longer than one that is not there."""
    return file.c.id.in_([*ids, ""])


def _of(owner: Owner) -> Iterable[ColumnElement[bool]]:
    return (
        file.c.organisation_id == owner.organisation_id,
        file.c.project_id == owner.project_id,
    )


def _their_upload(owner: Owner) -> Iterable[ColumnElement[bool]]:
    return (
        upload.c.organisation_id == owner.organisation_id,
        upload.c.project_id == owner.project_id,
    )


def _values(made: File | Upload | Part) -> dict[str, Any]:
    return {name: getattr(made, name) for name in made.__dataclass_fields__}
