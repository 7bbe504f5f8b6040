"""What of it fits where there is little room, and how long it may stay."""

from portico import errors
from portico.errors import Refusal
from portico.keeping.model import Kept, KeptLine

_SPOOLED_BYTES_MAX = 262_144
_DAY_MS = 86_400_000
ARCHIVED_MS = 30 * _DAY_MS
"""What a project kept stays so long after it was archived: time to export it."""
ROW_BYTES = 512
"""What each row counts besides its contents: its other columns, and its places in indexes."""


def spooled(kept: Kept | None) -> Kept | None:
    """As it goes to the spool while the database will not write; None where it is too large.  What
    it was made for finds then that its request has ended without it, and says so."""
    if kept is None:
        return None
    size = len(kept.answer) if isinstance(kept, KeptLine) else len(kept.input) + len(kept.body)
    return kept if size <= _SPOOLED_BYTES_MAX else None


def content_ms_max(
    retention: str, days: int | None, archived_at_ms: int | None, now_ms: int
) -> int | None:
    """How long a project may keep what it keeps; 0: not at all, None: nothing says."""
    if retention == "zero" or (
        archived_at_ms is not None and archived_at_ms + ARCHIVED_MS <= now_ms
    ):
        return 0
    return days * _DAY_MS if retention == "days" and days is not None else None


def expiry_ms(expires_at_ms: int | None, since_ms: int, content_ms_max: int | None) -> int | None:
    """When it goes, under its own time and its project's; None: when it is deleted.

    since_ms: what the project's time counts from."""
    if content_ms_max is None:
        return expires_at_ms
    until_ms = since_ms + content_ms_max
    return until_ms if expires_at_ms is None else min(expires_at_ms, until_ms)


def no_room(kept_bytes: int, limit: int, field: str | None, instead: str) -> Refusal:
    """Of a project that keeps as much as it may.  See `Room.check`."""
    asks = "" if field is None else f"; {field!r} asks for more"
    return errors.STORAGE_QUOTA(
        f"This project keeps {kept_bytes} bytes of responses, conversations and batches, and may keep "
        f"{limit}{asks}.",
        field=field,
        value=kept_bytes,
        limit=limit,
        remedy=f"{instead}Delete what is not needed any more, keep things for fewer days, or have the "
        "limit raised.",
    )
