"""What developers keep here, and its routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from portico.app.failure import CannotStart
from portico.app.spoken.dialects import Spoken
from portico.app.storage import Books
from portico.callers.scopes import FILES
from portico.db.readers import Readers
from portico.door.endpoints.answering import Verifier
from portico.door.resources.files import QUERY, FileEndpoints, FileForm
from portico.door.resources.repeating import Repeating
from portico.door.resources.uploads import (
    CompletionOfUpload,
    PartForm,
    UploadEndpoints,
    UploadRequest,
)
from portico.door.routes import FORM, Route
from portico.kit.clock import Clock
from portico.observe.metrics import Metrics
from portico.resources.files.model import Limits
from portico.resources.files.service import Files
from portico.resources.files.shelves.folder import FolderShelf
from portico.resources.files.shelves.shelf import Shelf
from portico.resources.files.uploads import Uploads
from portico.settings import Settings

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Kept:
    """What stands behind the routes."""

    files: Files
    uploads: Uploads

    @property
    def follow(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """Work beside the road, to be started once the door opens."""
        return (self.files.run,)


@asynccontextmanager
async def keeping(
    settings: Settings, books: Books, readers: Readers, metrics: Metrics, clock: Clock
) -> AsyncIterator[Kept]:
    """Raises: CannotStart."""
    files = Files(
        await asyncio.to_thread(shelf_of, settings),
        books.writer,
        readers,
        clock,
        limits_of(settings),
        lambda: books.admission.storage_refusal,
        # Several servers share a PostgreSQL, and then what is on the shelf.
        alone=not settings.database.url,
    )
    metrics.gauge("files_kept", "Files kept, a minute ago.", lambda: files.stored.files)
    metrics.gauge(
        "files_kept_bytes",
        "Bytes of them and of parts of uploads, a minute ago.",
        lambda: files.stored.stored_bytes,
    )
    try:
        yield Kept(files, Uploads(files, books.writer, readers))
    finally:
        files.close()


def limits_of(settings: Settings) -> Limits:
    wanted = settings.files
    return Limits(
        file_bytes_max=wanted.file_bytes_max,
        upload_bytes_max=wanted.upload_bytes_max,
        part_bytes_max=wanted.part_bytes_max,
        project_bytes_max=wanted.bytes_per_project_max,
        project_files_max=wanted.files_per_project_max,
        at_once_max=wanted.at_once_max,
        keep_ms=wanted.keep_days_max * _DAY_MS or None,
        upload_ms=wanted.upload_s * 1000,
        types=wanted.types,
    )


def shelf_of(settings: Settings) -> Shelf:
    """Blocking.  Raises: CannotStart."""
    wanted = settings.files
    if wanted.bucket:
        return _bucket(settings)
    folder = Path(wanted.folder) if wanted.folder else Path(settings.server.data_dir) / "files"
    try:
        return FolderShelf(folder, settings.storage.free_bytes_min)
    except OSError as error:
        raise CannotStart(
            "data",
            f"the folder of the files, {folder}, cannot be used: {error.strerror or error}.",
            "Choose one you may write to: `files.folder`.",
        ) from error


def _bucket(settings: Settings) -> Shelf:
    wanted = settings.files
    try:
        bucket = import_module("portico.resources.files.shelves.bucket")
    except ImportError as error:
        raise CannotStart(
            "settings", "files.bucket needs the extra `s3`.", "uv sync --extra s3"
        ) from error
    try:
        client = bucket.client_of(
            wanted.bucket_url, wanted.bucket_region, wanted.bucket_key_id, wanted.bucket_secret
        )
        shelf = bucket.BucketShelf(client, wanted.bucket, wanted.bucket_prefix)
        shelf.check()
    except OSError as error:
        raise CannotStart("data", f"the bucket {wanted.bucket} cannot be used: {error}.") from error
    found: Shelf = shelf
    return found


def resources(words: Spoken, callers: Verifier, kept: Kept, repeating: Repeating) -> list[Route]:
    files = FileEndpoints(callers, kept.files, words.others, repeating)
    return [*_files(files), *_uploads(UploadEndpoints(callers, kept.uploads, repeating))]


def _files(files: FileEndpoints) -> list[Route]:
    one = "/v1/files/{id}"
    return [
        Route(
            "POST",
            "/v1/files",
            files.create,
            "Send a file, in OpenAI's words or Anthropic's; free.",
            FileForm,
            FILES,
            kind=FORM,
        ),
        Route("GET", "/v1/files", files.all, "Your project's files.", scope=FILES, query=QUERY),
        Route("GET", one, files.one, "What is known of a file.", scope=FILES),
        Route("DELETE", one, files.delete, "Delete a file.", scope=FILES),
        Route("GET", f"{one}/content", files.content, "What is in a file.", scope=FILES),
    ]


def _uploads(uploads: UploadEndpoints) -> list[Route]:
    one = "/v1/uploads/{id}"
    return [
        Route(
            "POST",
            "/v1/uploads",
            uploads.create,
            "Begin a file that comes in parts; free.",
            UploadRequest,
            FILES,
        ),
        Route("POST", f"{one}/parts", uploads.add_part, "Send a part.", PartForm, FILES, kind=FORM),
        Route(
            "POST",
            f"{one}/complete",
            uploads.complete,
            "Make a file of its parts.",
            CompletionOfUpload,
            FILES,
        ),
        Route("POST", f"{one}/cancel", uploads.cancel, "Give it up.", scope=FILES),
    ]
