"""Files, uploads and what limits them.  Times are wall clock, milliseconds."""

from dataclasses import dataclass
from typing import Literal

from portico.callers.model import Caller

PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
"""What a file may be sent for."""
BATCH_OUTPUT = "batch_output"
"""What batches make."""
UploadState = Literal["pending", "completed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose files are meant.

    key_id: noted with what is made; reading needs none.
    content_ms_max: as `Caller.content_ms_max`: 0: nothing may be kept.
    """

    organisation_id: str
    project_id: str
    key_id: str = ""
    content_ms_max: int | None = None

    @classmethod
    def of(cls, caller: Caller) -> "Owner":
        return cls(caller.organisation_id, caller.project_id, caller.key_id, caller.content_ms_max)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new file should be.  keep_ms: how long; None: as long as any."""

    purpose: str
    filename: str
    media_type: str
    keep_ms: int | None = None


@dataclass(frozen=True, slots=True)
class File:
    """filename: on one line, without a folder.  media_type: as its sender says, and well-formed.
    expires_at_ms: None: when it is deleted."""

    id: str
    organisation_id: str
    project_id: str
    key_id: str
    purpose: str
    filename: str
    media_type: str
    size_bytes: int
    created_at_ms: int
    expires_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Upload:
    """size_bytes: what its parts have to come to.  expires_at_ms: when it is gone, parts and all.
    keep_ms: of its file, from its completion.  file_id: once it is completed."""

    id: str
    organisation_id: str
    project_id: str
    key_id: str
    purpose: str
    filename: str
    media_type: str
    size_bytes: int
    created_at_ms: int
    expires_at_ms: int
    keep_ms: int | None
    state: UploadState = "pending"
    file_id: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    id: str
    upload_id: str
    organisation_id: str
    project_id: str
    size_bytes: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Room:
    """What a project has on the shelf.  files: parts are none."""

    files: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Limits:
    """file_bytes_max: sent at once; upload_bytes_max: in parts; part_bytes_max: of one.
    project_bytes_max, project_files_max: of all that a project keeps.
    at_once_max: files and parts that one project may be sending.
    keep_ms: how long a file is kept at most; None: until it is deleted.
    upload_ms: how long an upload may take.
    types: media types that are taken, `image/*` for all of a kind; none: all.
    """

    file_bytes_max: int
    upload_bytes_max: int
    part_bytes_max: int
    project_bytes_max: int
    project_files_max: int
    at_once_max: int
    keep_ms: int | None
    upload_ms: int
    types: tuple[str, ...] = ()
