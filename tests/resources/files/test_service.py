"""Files are whole or not there, belong to one project, and take no more room than it has."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from portico import errors
from portico.db.database import Database, open_database
from portico.errors import Refusal
from portico.resources.files import store
from portico.resources.files.model import Wish
from portico.resources.files.shelves.folder import FolderShelf
from portico.resources.pages import Window
from tests.resources.files.place import ADA, ADAS_OTHER, BOB, TEXT, keeping, said

pytestmark = pytest.mark.anyio


async def refused(work: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        await work
    return found.value


async def test_a_file_is_what_was_written(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        pieces = [os.urandom(n) for n in (0, 1, 300_000, 17, 262_144)]
        file = await place.files.write(ADA, TEXT, said(*pieces))
        assert await place.files.get(ADA, file.id) == file
        assert await place.files.read(file) == b"".join(pieces)
        assert file.size_bytes == len(b"".join(pieces))
        assert place.room() == (1, file.size_bytes)
        async with await place.files.open(file, start=300_000) as reading:
            assert await reading.piece() == b"".join(pieces)[300_000:][:262_144]


async def test_nobody_else_sees_it(database: Database, tmp_path: Path) -> None:
    """By any way: what is another project's, what is deleted, what has expired and what never was
    are answered with the same words."""
    async with keeping(database, tmp_path) as place:
        theirs, mine = await place.put(BOB), await place.put(ADA)
        other, gone = await place.put(ADAS_OTHER), await place.put(ADA)
        late = await place.put(ADA, wish=replace(TEXT, keep_ms=1_000))
        await place.files.delete(ADA, gone.id)
        place.clock.pass_s(1)
        assert set(await place.files.some(ADA, [theirs.id, other.id, late.id, mine.id])) == {
            mine.id
        }
        listed = await place.files.page(ADA, Window("", "", 10), "", list)
        assert [file.id for file in listed] == [mine.id]
        answers = set()
        for file_id in (theirs.id, other.id, gone.id, late.id, "file_" + "0" * 32):
            for ask in (place.files.get, place.files.delete):
                refusal = await refused(ask(ADA, file_id))
                answers.add((refusal.code, refusal.message.replace(file_id, "X")))
        assert answers == {("resource_not_found", 'There is no such file "X".')}
        assert await place.files.read(theirs) == b"hello"


async def test_a_foreign_file_is_not_even_looked_at(tmp_path: Path) -> None:
    """Or it would take longer to say no to it than to one that never was."""
    database = open_database(tmp_path)
    said: list[str] = []

    def explained(connection: Connection) -> None:
        def explain(_: Any, __: Any, sql: str, parameters: Any, *___: Any) -> None:
            if not sql.startswith("EXPLAIN") and " file" in sql and "file_room" not in sql:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()
                said.extend(row[-1] for row in plan)

        event.listen(connection, "before_cursor_execute", explain)
        assert store.some(connection, ADA, ["file_1"], 0) == []
        assert store.remove(connection, ADA, "file_1", 0) is None
        assert store.page(connection, ADA, Window("", "", 10), "", 0) == []

    database.write(explained)
    assert len(said) == 3
    assert all("USING INDEX file_project (project_id=?" in each for each in said), said


async def test_the_bytes_go_with_the_file(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        file = await place.put()
        await place.files.delete(ADA, file.id)
        assert place.names() == set()
        assert place.room() == (0, 0)
        assert (await refused(place.files.read(file))).code == "resource_not_found"


async def test_what_is_not_kept_leaves_nothing(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path, file_bytes_max=1_000) as place:

        async def breaks_off() -> AsyncIterator[bytes]:
            yield b"x" * 400_000
            assert any((tmp_path / "files" / "drafts").iterdir()), "they are on the disk by now"
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await place.files.write(ADA, TEXT, breaks_off())
        async with await place.files.draft(ADA, 1_000) as draft:
            assert (await refused(draft.add(b"x" * 1_001))).code == "file_too_large"
        async with await place.files.draft(ADA, 1_000):
            pass
        assert place.names() == set()
        assert list((tmp_path / "files" / "drafts").iterdir()) == []
        assert (place.count("file"), place.room()) == (0, (0, 0))


async def test_a_cancelled_write_leaves_nothing(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        begun = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 262_144
                begun.set()
                await asyncio.sleep(0)

        writing = asyncio.get_running_loop().create_task(place.files.write(ADA, TEXT, endless()))
        await begun.wait()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert list((tmp_path / "files" / "drafts").iterdir()) == []
        await place.put()


class Slow(FolderShelf):
    """Takes its time to open anything.  opened: all it has."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked, self.goes_on = threading.Semaphore(0), threading.Event()
        self.opened: list[Any] = []

    def begin(self, name: str) -> Any:
        return self._slowly(super().begin(name))

    def open(self, name: str, start: int = 0) -> Any:
        return self._slowly(super().open(name, start))

    def _slowly(self, opened: Any) -> Any:
        self.opened.append(opened)
        self.asked.release()
        self.goes_on.wait(30)
        return opened


async def test_what_is_opened_for_somebody_who_left_is_closed_again(
    database: Database, tmp_path: Path
) -> None:
    """A peer that asks and hangs up, again and again, would use up all files a server may open."""
    shelf = Slow(tmp_path / "files")
    shelf.goes_on.set()
    async with keeping(database, tmp_path, shelf) as place:
        kept = await place.put()
        shelf.opened.clear()
        for work in (place.put(), place.files.read(kept)):
            shelf.goes_on.clear()
            asked = asyncio.ensure_future(work)
            while shelf.asked.acquire(blocking=False):
                pass
            await asyncio.to_thread(shelf.asked.acquire)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            shelf.goes_on.set()
    slot, stream = shelf.opened
    assert (slot._file, stream.closed) == (-1, True)
    assert not list((tmp_path / "files" / "drafts").iterdir())


async def test_two_at_once_do_not_exceed_the_room(database: Database, tmp_path: Path) -> None:
    """Also where neither knew of the other: another server, the same database."""
    async with (
        keeping(database, tmp_path / "one", project_bytes_max=100) as here,
        keeping(database, tmp_path / "two", project_bytes_max=100) as there,
    ):
        done = await asyncio.gather(
            *(place.put(ADA, b"x" * 30) for place in (here, there) for _ in range(4)),
            return_exceptions=True,
        )
        kept = [each for each in done if not isinstance(each, BaseException)]
        codes = {each.code for each in done if isinstance(each, Refusal)}
        assert len(kept) == 3
        assert codes == {"storage_quota_exceeded"}
        assert here.room() == (3, 90)
        assert len(here.names() | there.names()) == 3
        await here.put(BOB, b"x" * 100)


async def test_the_room_is_kept_while_bytes_come(database: Database, tmp_path: Path) -> None:
    """Or a hundred drafts would fill the disk with what is then refused."""
    async with keeping(database, tmp_path, project_bytes_max=100) as place:
        await place.put(ADA, b"x" * 40)
        async with (
            await place.files.draft(ADA, 100) as one,
            await place.files.draft(ADA, 100) as two,
        ):
            await one.add(b"x" * 40)
            refusal = await refused(two.add(b"x" * 40))
            assert (refusal.code, refusal.limit) == ("storage_quota_exceeded", 100)
        await place.put(ADA, b"x" * 60)


async def test_so_many_files_and_no_more(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path, project_files_max=2) as place:
        first, _ = await place.put(), await place.put()
        refusal = await refused(place.put())
        assert (refusal.code, refusal.value, refusal.limit) == ("storage_quota_exceeded", 2, 2)
        await place.files.delete(ADA, first.id)
        await place.put()


async def test_so_many_at_once_and_no_more(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path, at_once_max=1) as place:
        async with await place.files.draft(ADA, 10):
            refusal = await refused(place.files.draft(ADA, 10))
            assert (refusal.code, refusal.limit) == ("concurrency_exceeded", 1)
            await place.put(BOB)
        await place.put()


@pytest.mark.parametrize(
    ("purpose", "asked_ms", "project_ms", "server_ms", "kept_ms"),
    [
        ("user_data", None, None, None, None),
        ("user_data", 5_000, None, None, 5_000),
        ("user_data", 5_000, 2_000, None, 2_000),
        ("user_data", None, 2_000, 9_000, 2_000),
        ("user_data", 5_000, None, 1_000, 1_000),
        ("batch", None, None, None, 30 * 86_400_000),
        ("batch", 1_000, None, None, 1_000),
    ],
)
async def test_how_long_a_file_is_kept(
    database: Database,
    tmp_path: Path,
    purpose: str,
    asked_ms: int | None,
    project_ms: int | None,
    server_ms: int | None,
    kept_ms: int | None,
) -> None:
    async with keeping(database, tmp_path, keep_ms=server_ms) as place:
        owner = replace(ADA, content_ms_max=project_ms)
        file = await place.put(owner, wish=Wish(purpose, "a", "text/plain", asked_ms))
        assert file.expires_at_ms == (None if kept_ms is None else place.clock.now_ms + kept_ms)


async def test_where_nothing_is_kept_no_file_is(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        zero = replace(ADA, content_ms_max=0)
        assert (await refused(place.put(zero))).code == "zero_retention"
        assert (await refused(place.uploads.begin(zero, TEXT, 5))).code == "zero_retention"


async def test_what_has_expired_goes(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        kept = await place.put()
        await place.put(BOB, b"12345", replace(TEXT, keep_ms=60_000))
        await place.put(ADA, b"123", replace(TEXT, keep_ms=120_000))
        place.clock.pass_s(60)
        assert await place.files.sweep() == 1
        assert place.room(BOB) == (0, 0)
        place.clock.pass_s(60)
        assert await place.files.sweep() == 1
        assert place.names() == {kept.id}
        assert place.room() == (1, 5)
        assert place.files.stored.stored_bytes == 5
        assert await place.files.sweep() == 0


async def test_all_that_a_project_has(database: Database, tmp_path: Path) -> None:
    """Goes at once, and nobody else's."""
    async with keeping(database, tmp_path) as place:
        for owner in (ADA, BOB):
            await place.put(owner)
            upload = await place.uploads.begin(owner, TEXT, 5)
            async with await place.uploads.draft(owner, upload.id) as draft:
                await draft.add(b"part")
                await place.uploads.add_part(draft, owner, upload.id)
        assert await place.files.empty(ADA) == 2
        assert (place.room(ADA), place.room(BOB)) == ((0, 0), (1, 9))
        assert len(place.names()) == 2


async def test_two_who_sweep_at_once_count_once(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as here, keeping(database, tmp_path) as there:
        for number in range(20):
            await here.put(wish=replace(TEXT, keep_ms=None if number % 2 else 1_000))
            upload = await here.uploads.begin(ADA, TEXT, 5)
            async with await here.uploads.draft(ADA, upload.id) as draft:
                await draft.add(b"part")
                await here.uploads.add_part(draft, ADA, upload.id)
        for place in (here, there):
            place.clock.pass_s(3_600)
        swept = await asyncio.gather(here.files.sweep(), there.files.sweep())
        assert sum(swept) == 10 + 20
        assert here.room() == (10, 50)
        assert len(here.names()) == 10


async def test_strays_go_and_nothing_else(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        file = await place.put()
        upload = await place.uploads.begin(ADA, TEXT, 5)
        async with await place.uploads.draft(ADA, upload.id) as draft:
            await draft.add(b"part")
            part = await place.uploads.add_part(draft, ADA, upload.id)
        stray = place.shelf.begin("file_" + "e" * 32)
        stray.write(b"its row never came")
        stray.keep()
        place.shelf.begin("file_" + "d" * 32).write(b"killed in the middle")
        async with await place.files.draft(ADA, 100) as under_way:
            await under_way.add(b"x")
            assert await place.files.sweep_strays(2**62 // 1_000_000) == 2
            late = await place.files.add_file(under_way, ADA, TEXT)
        assert place.names() == {file.id, part.id, late.id}
        assert await place.files.read(late) == b"x"


async def test_bytes_whose_row_is_on_its_way_are_no_strays(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with keeping(database, tmp_path) as place:
        commit = place.files._drafts.commit

        async def later(change: Any) -> Any:
            assert len(place.names()) == 1
            assert await place.files.sweep_strays(2**62 // 1_000_000) == 0
            return await commit(change)

        monkeypatch.setattr(place.files._drafts, "commit", later)
        assert await place.files.read(await place.put()) == b"hello"


async def test_while_the_books_are_closed_nothing_is_taken(
    database: Database, tmp_path: Path
) -> None:
    async with keeping(database, tmp_path) as place:
        file = await place.put()
        place.trouble.append(errors.STORAGE_UNAVAILABLE("The disk is nearly full."))
        assert (await refused(place.put())).code == "storage_unavailable"
        assert await place.files.read(file) == b"hello"


async def test_a_full_disk_leaves_nothing(tmp_path: Path, database: Database) -> None:
    class Full(FolderShelf):
        def _check_space(self, more_bytes: int) -> None:
            if more_bytes > 100_000:
                raise OSError(ENOSPC, "No space left on device")

    async with keeping(database, tmp_path, shelf=Full(tmp_path / "files")) as place:
        refusal = await refused(place.put(data=b"x" * 300_000))
        assert (refusal.code, refusal.retry_after_ms) == ("storage_unavailable", 2_000)
        assert "space" not in refusal.message
        assert list((tmp_path / "files" / "drafts").iterdir()) == []
        assert place.count("file") == 0


async def test_a_row_is_there_only_after_its_bytes_are_safe(
    database: Database, tmp_path: Path
) -> None:
    seen: list[int] = []

    class Slow(FolderShelf):
        def _settle(self, draft: Path, name: str) -> None:
            seen.append(place.count("file"))
            super()._settle(draft, name)
            seen.append(place.count("file"))

    async with keeping(database, tmp_path, shelf=Slow(tmp_path / "files")) as place:
        await place.put()
        assert seen == [0, 0]
        assert place.count("file") == 1


class Broken(Exception):
    pass


async def test_a_commit_that_nobody_knows_of_keeps_the_bytes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke while it was made, or whoever waited for it was cancelled."""
    async with keeping(database, tmp_path) as place:
        commit = place.files._drafts.commit
        lost: list[BaseException] = [
            errors.STORAGE_UNAVAILABLE("The connection was lost during the commit."),
            asyncio.CancelledError(),
        ]

        async def done_but_lost(change: Any) -> Any:
            await commit(change)
            raise lost.pop()

        monkeypatch.setattr(place.files._drafts, "commit", done_but_lost)
        for error in (asyncio.CancelledError, Refusal):
            with pytest.raises(error):
                await place.put()
        monkeypatch.undo()
        listed = await place.files.page(ADA, Window("", "", 10), "", list)
        assert [await place.files.read(file) for file in listed] == [b"hello"] * 2


async def test_a_commit_that_fails_takes_the_bytes_with_it(
    database: Database, tmp_path: Path
) -> None:
    async with keeping(database, tmp_path) as place:

        def fails(_: Any) -> None:
            raise Broken

        async with await place.files.draft(ADA, 100) as draft:
            await draft.add(b"x")
            with pytest.raises(Broken):
                await draft.keep(fails)
        assert place.names() == set()
