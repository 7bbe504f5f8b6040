"""All kinds of what a project keeps, and the sweep that ends it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, update

from portico.background.expiring import Expiring
from portico.callers.model import Caller
from portico.db.database import Database
from portico.db.tables import idempotency_key, project, response_event
from portico.resources.batches import store as batches
from portico.resources.batches.model import Batch, NewLine
from portico.resources.files.model import Owner, Wish
from portico.resources.files.service import Files
from portico.resources.files.shelves.folder import FolderShelf
from portico.resources.files.uploads import Uploads
from tests.resources.attic import DAY_MS, MINE, Attic, attic, number
from tests.resources.files.place import ROOMY, said

TABLES = (
    *("response", "response_event", "conversation", "conversation_item", "batch", "batch_line"),
    *("file", "upload", "upload_part"),
)


@dataclass
class Store:
    """words: what is in everything that `fill` keeps."""

    attic: Attic
    files: Files
    uploads: Uploads
    expiring: Expiring
    folder: Path

    async def fill(self, of: Caller = MINE, words: str = "kept", at: int = 1) -> None:
        """One of each kind, whole."""
        now_ms, text = self.attic.clock.now_ms, words.encode()
        item = {"type": "message", "role": "user", "content": words}
        response_id = self.attic.keep(f"resp_{number(at)}", given=[item], made=[item], by=of)
        made = await self.attic.conversations.make(of, [item], {"note": words})
        for name in ("file", "part"):
            await self._file(of, name, text)
        lines = [NewLine(place, words, text) for place in range(1, 6)]

        def rows(connection: Connection) -> None:
            connection.execute(
                insert(response_event).values(
                    response_id=response_id,
                    organisation_id=of.organisation_id,
                    sequence=0,
                    events=text,
                )
            )
            new = _batch(f"batch_{number(at)}", of, words, now_ms)
            batches.add(connection, new)
            batches.add_lines(connection, new, lines)
            connection.execute(
                insert(idempotency_key).values(
                    project_id=of.project_id,
                    key=f"key {at}",
                    fingerprint=b"f",
                    request_id=f"req_{number(at)}",
                    owner="inst",
                    state="done",
                    status=200,
                    head=b"",
                    stream=0,
                    answer=text,
                    created_at_ms=now_ms,
                    expires_at_ms=now_ms + 7 * DAY_MS,
                )
            )

        assert made.id
        self.attic.database.write(rows)

    async def _file(self, of: Caller, name: str, text: bytes) -> None:
        wish = Wish("user_data", text.decode(), "text/plain")
        if name == "file":
            await self.files.write(Owner.of(of), wish, said(text))
            return
        begun = await self.uploads.begin(Owner.of(of), wish, 100)
        async with await self.uploads.draft(Owner.of(of), begun.id) as draft:
            await draft.add(text)
            await self.uploads.add_part(draft, Owner.of(of), begun.id)

    def counts(self, of: Caller) -> dict[str, int]:
        """Rows of its organisation and project, where there are any."""

        def read(connection: Connection) -> dict[str, int]:
            found = {}
            for table in TABLES:
                sql = f"SELECT count(*) FROM {table} WHERE {_whose(table, of)}"
                found[table] = int(connection.exec_driver_sql(sql).scalar_one())
            return {name: count for name, count in found.items() if count}

        return self.attic.database.read(read)

    def until(self, of: Caller) -> dict[str, int | None]:
        """In days from now, by table, of what has ended."""

        def read(connection: Connection) -> dict[str, int | None]:
            found: dict[str, int | None] = {}
            for table in ("response", "conversation", "batch", "file", "idempotency_key"):
                sql = f"SELECT expires_at_ms FROM {table} WHERE project_id = '{of.project_id}'"
                until_ms = connection.exec_driver_sql(sql).scalar_one()
                found[table] = until_ms and (until_ms - self.attic.clock.now_ms) // DAY_MS
            return found

        return self.attic.database.read(read)

    def says(self, of: Caller, **values: object) -> None:
        """The project's settings, as somebody else changes them."""
        change = update(project).where(project.c.id == of.project_id).values(**values)
        self.attic.database.write(lambda connection: connection.execute(change))

    def names(self) -> list[str]:
        """On the shelf."""
        return [path.name for path in self.folder.rglob("*") if path.is_file()]


def _whose(table: str, of: Caller) -> str:
    if table in ("response_event", "conversation_item", "batch_line"):
        return f"organisation_id = '{of.organisation_id}'"
    return f"project_id = '{of.project_id}'"


def _batch(batch_id: str, of: Caller, words: str, now_ms: int) -> Batch:
    owned = (of.organisation_id, of.project_id, of.key_id, of.credential_id)
    return Batch(
        *(batch_id, *owned, "openai", "/v1/responses", "completed", None, None, None),
        *({"note": words}, None, 5, now_ms, now_ms + DAY_MS, now_ms, now_ms, None, now_ms),
        *(None, now_ms + 30 * DAY_MS),
    )


@asynccontextmanager
async def store(database: Database, folder: Path) -> AsyncIterator[Store]:
    async with attic(database) as kept:
        shelf = FolderShelf(folder / "files")
        files = Files(
            *(shelf, kept.writer, kept.readers, kept.clock, ROOMY, lambda: None), alone=True
        )
        uploads = Uploads(files, kept.writer, kept.readers)
        expiring = Expiring(kept.readers, kept.writer, files, kept.clock)
        try:
            yield Store(kept, files, uploads, expiring, folder / "files")
        finally:
            files.close()
