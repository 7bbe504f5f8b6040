"""Files as a server has them: a real database with its writer, a real shelf, a clock to move."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.resources.files.model import File, Limits, Owner, Wish
from portico.resources.files.service import Files
from portico.resources.files.shelves.folder import FolderShelf
from portico.resources.files.shelves.shelf import Shelf
from portico.resources.files.uploads import Uploads
from tests.db.storage import QUICK, HandClock, Health

ADA = Owner("org_a", "proj_a", "key_a")
ADAS_OTHER = Owner("org_a", "proj_a2", "key_a2")
BOB = Owner("org_b", "proj_b", "key_b")
TEXT = Wish("user_data", "a.txt", "text/plain")
ROOMY = Limits(
    file_bytes_max=10_000_000,
    upload_bytes_max=20_000_000,
    part_bytes_max=1_000_000,
    project_bytes_max=50_000_000,
    project_files_max=1_000,
    at_once_max=16,
    keep_ms=None,
    upload_ms=3_600_000,
)


@dataclass
class Place:
    files: Files
    uploads: Uploads
    shelf: Shelf
    clock: HandClock
    database: Database
    trouble: list[Refusal]

    async def put(self, owner: Owner = ADA, data: bytes = b"hello", wish: Wish = TEXT) -> File:
        return await self.files.write(owner, wish, said(data))

    def names(self) -> set[str]:
        return {name for name, _ in self.shelf.names()}

    def count(self, table: str) -> int:
        sql = f"SELECT count(*) FROM {table}"
        return int(self.database.read(lambda c: c.exec_driver_sql(sql).scalar_one()))

    def room(self, owner: Owner = ADA) -> tuple[int, int]:
        sql = f"SELECT files, stored_bytes FROM file_room WHERE project_id = '{owner.project_id}'"
        rows = self.database.read(lambda c: c.exec_driver_sql(sql).all())
        return tuple(rows[0]) if rows else (0, 0)


@asynccontextmanager
async def keeping(
    database: Database, folder: Path, shelf: Shelf | None = None, **limits: Any
) -> AsyncIterator[Place]:
    clock = HandClock()
    writer, readers = Writer(database, clock, Health(), QUICK), Readers(database)
    writer.start()
    shelf = shelf or FolderShelf(folder / "files")
    trouble: list[Refusal] = []
    files = Files(
        shelf,
        writer,
        readers,
        clock,
        replace(ROOMY, **limits),
        lambda: trouble[-1] if trouble else None,
        alone=True,
    )
    try:
        yield Place(files, Uploads(files, writer, readers), shelf, clock, database, trouble)
    finally:
        files.close()
        readers.close()
        await writer.close()


async def said(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
