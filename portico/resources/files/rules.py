"""What a file may be called, how long it is kept, and every refusal about one.  Pure."""

import mimetypes
import re

from portico import errors
from portico.dialects.diagnosis import brief, not_one_of, shown
from portico.errors import Refusal
from portico.resources.files.model import PURPOSES, Limits, Owner, Room

FILENAME_CHARACTERS_MAX = 255
OPENAI_KEEP_S = (3_600, 2_592_000)
"""What `expires_after.seconds` may be."""
ANTHROPIC_KEEP_S = (3_600, 7_776_000)
"""What `expires_in_seconds` may be."""
BINARY = "application/octet-stream"
_LINES = "application/jsonl"
_BATCH_KEEP_MS = 30 * 86_400_000
"""Of a batch's lines, where nobody says: as with OpenAI."""
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


def check_purpose(purpose: str) -> None:
    """Raises: Refusal: invalid_value."""
    if purpose not in PURPOSES:
        raise not_one_of("purpose", purpose, list(PURPOSES))


def keep_ms(field: str, seconds: str | int, allowed_s: tuple[int, int]) -> int:
    """How long somebody wants a file to be kept.  Raises: Refusal: invalid_type, out_of_range."""
    least, most = allowed_s
    if isinstance(seconds, str) and not re.fullmatch(r"-?[0-9]{1,15}", seconds):
        raise errors.INVALID_TYPE(
            f"{field!r} is {shown(seconds)}; it must be a whole number.",
            field=field,
            value=brief(seconds),
            limit="an integer",
        )
    if not least <= int(seconds) <= most:
        raise errors.OUT_OF_RANGE(
            f"{field!r} is {int(seconds)}; it must be {least} to {most} seconds.",
            field=field,
            value=brief(int(seconds)),
            limit=f"{least} to {most}",
        )
    return int(seconds) * 1000


def expires_at_ms(
    purpose: str, wanted_ms: int | None, owner: Owner, limits: Limits, now_ms: int
) -> int | None:
    """When a file goes: as asked, but never later than its project and this server allow."""
    if wanted_ms is None and purpose == "batch":
        wanted_ms = _BATCH_KEEP_MS
    bounds = [
        each for each in (wanted_ms, owner.content_ms_max, limits.keep_ms) if each is not None
    ]
    return now_ms + min(bounds) if bounds else None


def filename_of(said: str) -> str:
    """On one line, without a folder; "" where nothing is left."""
    last = re.split(r"[/\\]", said)[-1]
    plain = "".join(each for each in last if each.isprintable()).strip()
    return "" if plain in (".", "..") else plain[:FILENAME_CHARACTERS_MAX]


def media_type_of(said: str) -> str:
    """Without parameters; what is not well-formed is only bytes."""
    plain = said.partition(";")[0].strip().lower()
    return plain if _MEDIA_TYPE.fullmatch(plain) else BINARY


def check_type(media_type: str, filename: str, limits: Limits) -> None:
    """Raises: Refusal: file_type_not_allowed."""
    if not limits.types:
        return
    if media_type == BINARY:
        media_type = _LINES if filename.endswith(".jsonl") else _guessed(filename)
    if {media_type, f"{media_type.partition('/')[0]}/*"}.isdisjoint(limits.types):
        raise errors.FILE_TYPE(
            f"The file {shown(filename)} is of the type {media_type!r}; here it must be one of: "
            f"{', '.join(limits.types)}.",
            field="file",
            value=media_type,
            limit=list(limits.types),
        )


def _guessed(filename: str) -> str:
    return mimetypes.guess_type(filename)[0] or BINARY


def check_kept(owner: Owner) -> None:
    """Raises: Refusal: zero_retention."""
    if owner.content_ms_max == 0:
        raise nothing_kept()


def nothing_kept() -> Refusal:
    return errors.ZERO_RETENTION(
        "This project keeps nothing of what it is sent (zero retention), so it can keep no files.",
        value="zero",
        limit="metadata or days",
    )


def not_found(file_id: str, field: str | None = None) -> Refusal:
    """The same for an id that never was, is somebody else's, has expired or was deleted.

    field: where a request names it; None where its path does."""
    where = f"'{field}' is {shown(file_id)}; there" if field else "There"
    what = "." if field else f" {shown(file_id)}."
    return errors.RESOURCE_NOT_FOUND(
        f"{where} is no such file{what}", field=field or "file_id", value=brief(file_id)
    )


def no_upload(upload_id: str) -> Refusal:
    return errors.RESOURCE_NOT_FOUND(
        f"There is no such upload {shown(upload_id)}.", field="upload_id", value=brief(upload_id)
    )


def upload_ended(upload_id: str, how: str) -> Refusal:
    """how: what it is, or has."""
    return errors.CONFLICT(
        f"The upload {upload_id} {how}.",
        field="upload_id",
        value=upload_id,
        remedy="Begin another one.",
    )


_SMALLER = {"data": "Send it in more, smaller parts.", "bytes": "Send it as several files."}
"""What helps, where it is not what the catalogue of errors says."""


def too_large(field: str, size_bytes: int, most: int) -> Refusal:
    return errors.FILE_TOO_LARGE(
        f"{field!r} has {size_bytes} bytes or more; it may have {most}.",
        field=field,
        value=size_bytes,
        limit=most,
        remedy=_SMALLER.get(field, ""),
    )


def empty(field: str) -> Refusal:
    return errors.OUT_OF_RANGE(
        f"{field!r} is empty; it must have at least 1 byte.", field=field, value=0, limit=1
    )


def no_room(room: Room, limits: Limits) -> Refusal | None:
    """room: as it would be.  None where that is allowed."""
    if room.files > limits.project_files_max:
        return errors.STORAGE_QUOTA(
            f"This project has {room.files - 1} files; it may have {limits.project_files_max}.",
            field="file",
            value=room.files - 1,
            limit=limits.project_files_max,
        )
    if room.stored_bytes > limits.project_bytes_max:
        return errors.STORAGE_QUOTA(
            f"With this file the project's would have {room.stored_bytes} bytes or more; they may "
            f"have {limits.project_bytes_max} together.",
            field="file",
            value=room.stored_bytes,
            limit=limits.project_bytes_max,
        )
    return None


def too_many(limits: Limits) -> Refusal:
    return errors.CONCURRENCY(
        f"This project sends {limits.at_once_max} files or parts now; it may send no more at once.",
        field="file",
        value=limits.at_once_max,
        limit=limits.at_once_max,
        retry_after_ms=1_000,
    )


def unavailable() -> Refusal:
    """Why is for operators alone, in the log."""
    return errors.STORAGE_UNAVAILABLE("Files cannot be stored or read now.", retry_after_ms=2_000)
