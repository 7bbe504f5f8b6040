"""Uploads: parts in any order become one file, once; nothing of them stays behind."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from portico.db.database import Database
from portico.errors import Refusal
from portico.resources.files import store, uploads
from portico.resources.files.model import Part, Upload
from tests.resources.files.place import ADA, ADAS_OTHER, BOB, TEXT, Place, keeping

pytestmark = pytest.mark.anyio


async def refused(work: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        await work
    return found.value


async def send(place: Place, upload: Upload, data: bytes) -> Part:
    async with await place.uploads.draft(ADA, upload.id) as draft:
        await draft.add(data)
        return await place.uploads.add_part(draft, ADA, upload.id)


async def begun(place: Place, *parts: bytes) -> tuple[Upload, list[str]]:
    upload = await place.uploads.begin(ADA, TEXT, sum(map(len, parts)))
    sent = await asyncio.gather(*(send(place, upload, part) for part in parts))
    return upload, [part.id for part in sent]


async def test_parts_become_a_file_in_the_order_that_was_said(
    database: Database, tmp_path: Path
) -> None:
    async with keeping(database, tmp_path) as place:
        pieces = [b"c" * 300_000, b"a", b"b" * 70_000]
        upload, ids = await begun(place, *pieces)
        assert place.room() == (0, 370_001)
        whole = pieces[1] + pieces[2] + pieces[0]
        md5 = hashlib.md5(whole).hexdigest().upper()
        done, file = await place.uploads.complete(ADA, upload.id, [ids[1], ids[2], ids[0]], md5)
        assert file is not None
        assert (done.state, done.file_id) == ("completed", file.id)
        assert await place.files.read(file) == whole
        assert place.names() == {file.id}
        assert place.room() == (1, 370_001)
        assert place.count("upload_part") == 0


async def test_completed_again_it_is_what_it_was(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        upload, ids = await begun(place, b"abc")
        first = await place.uploads.complete(ADA, upload.id, ids, None)
        assert await place.uploads.complete(ADA, upload.id, ids, None) == first
        assert (await refused(place.uploads.cancel(ADA, upload.id))).code == "conflict"
        assert (await refused(send(place, upload, b"more"))).code == "conflict"
        assert place.room() == (1, 3)


async def test_completed_twice_at_once_it_is_one_file(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        upload, ids = await begun(place, b"abc" * 100_000)
        done = await asyncio.gather(
            *(place.uploads.complete(ADA, upload.id, ids, None) for _ in range(4))
        )
        assert len({(told.id, told.state, file and file.id) for told, file in done}) == 1
        assert len(place.names()) == place.count("file") == 1
        assert place.room() == (1, 300_000)


async def test_cancelled_while_it_is_completed_it_is_one_or_the_other(
    database: Database, tmp_path: Path
) -> None:
    """Never told that the storage is away, because the parts are."""
    async with keeping(database, tmp_path) as place:
        ends = set()
        for _ in range(4):
            upload, ids = await begun(place, b"abc" * 100_000)
            done = await asyncio.gather(
                place.uploads.complete(ADA, upload.id, ids, None),
                place.uploads.cancel(ADA, upload.id),
                return_exceptions=True,
            )
            (refusal,) = [each for each in done if isinstance(each, Refusal)]
            ends.add(refusal.code)
        assert ends == {"conflict"}


class Meanwhile:
    """A connection that lets something happen after its first statement."""

    def __init__(self, connection: Connection, happens: Callable[[], object]) -> None:
        self._connection = connection
        self._happens = [happens]

    def execute(self, statement: Any) -> Any:
        done = self._connection.execute(statement)
        while self._happens:
            self._happens.pop()()
        return done


async def test_read_while_it_is_completed_it_is_begun_with_parts_or_ended(
    database: Database, tmp_path: Path
) -> None:
    """Never begun without parts: then whoever completes it twice at once would be told that its
    parts are none of it."""
    async with keeping(database, tmp_path) as place:
        upload, ids = await begun(place, b"abc")
        loop = asyncio.get_running_loop()

        def complete() -> None:
            completing = place.uploads.complete(ADA, upload.id, ids, None)
            asyncio.run_coroutine_threadsafe(completing, loop).result(30)

        def read(connection: Connection) -> tuple[Upload, list[Part]] | None:
            between: Any = Meanwhile(connection, complete)
            return store.upload_of(between, ADA, upload.id, place.clock.wall_ms())

        found = await asyncio.to_thread(database.read, read)
        assert found is not None
        assert (found[0].state, len(found[1])) in {("pending", 1), ("completed", 1)}


async def test_cancelled_its_parts_go(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        upload, ids = await begun(place, b"abc")
        assert (await place.uploads.cancel(ADA, upload.id)).state == "cancelled"
        assert (await place.uploads.cancel(ADA, upload.id)).state == "cancelled"
        assert (place.names(), place.room()) == (set(), (0, 0))
        again = place.uploads.complete(ADA, upload.id, ids, None)
        assert (await refused(again)).code == "conflict"


async def test_its_time_over_it_is_gone_parts_and_all(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path, upload_ms=60_000) as place:
        upload, _ = await begun(place, b"abc")
        done, ids = await begun(place, b"defg")
        _, file = await place.uploads.complete(ADA, done.id, ids, None)
        assert file is not None
        place.clock.pass_s(60)
        assert (await refused(place.uploads.cancel(ADA, upload.id))).code == "resource_not_found"
        assert await place.files.sweep() == 1
        assert place.names() == {file.id}
        assert (place.room(), place.count("upload")) == ((1, 4), 0)


async def test_nobody_else_has_it(database: Database, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as place:
        upload, ids = await begun(place, b"abc")
        answers = set()
        for owner in (BOB, ADAS_OTHER):
            for work in (
                place.uploads.draft(owner, upload.id),
                place.uploads.complete(owner, upload.id, ids, None),
                place.uploads.cancel(owner, upload.id),
                place.uploads.cancel(owner, "upload_0"),
            ):
                refusal = await refused(work)
                said = refusal.message.replace(upload.id, "X").replace("upload_0", "X")
                answers.add((refusal.code, said))
        assert answers == {("resource_not_found", 'There is no such upload "X".')}


@pytest.mark.parametrize(
    ("chosen", "md5", "field"),
    [
        ([0], None, "part_ids"),
        ([0, 1, 1], None, "part_ids[2]"),
        ([0, "part_0"], None, "part_ids[1]"),
        ([0, 1], "0" * 32, "md5"),
    ],
)
async def test_what_does_not_come_to_what_was_announced_is_refused(
    database: Database, tmp_path: Path, chosen: list[Any], md5: str | None, field: str
) -> None:
    async with keeping(database, tmp_path) as place:
        upload, ids = await begun(place, b"abc", b"def")
        wanted = [ids[each] if isinstance(each, int) else each for each in chosen]
        refusal = await refused(place.uploads.complete(ADA, upload.id, wanted, md5))
        assert (refusal.code, refusal.field) == ("invalid_value", field)
        _, file = await place.uploads.complete(ADA, upload.id, ids, None)
        assert file is not None
        assert await place.files.read(file) == b"abcdef"


async def test_limits(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PARTS_MAX", 2)
    async with keeping(
        database, tmp_path, upload_bytes_max=100, part_bytes_max=10, project_bytes_max=25
    ) as place:
        refusal = await refused(place.uploads.begin(ADA, TEXT, 101))
        assert (refusal.code, refusal.field, refusal.limit) == ("file_too_large", "bytes", 100)
        assert "/v1/uploads" not in refusal.remedy, "that is what it was sent to"
        upload = await place.uploads.begin(ADA, TEXT, 20)
        refusal = await refused(send(place, upload, b"x" * 11))
        assert (refusal.code, refusal.field, refusal.limit) == ("file_too_large", "data", 10)
        assert refusal.remedy == "Send it in more, smaller parts."
        small = await place.uploads.begin(ADA, TEXT, 3)
        refusal = await refused(send(place, small, b"x" * 4))
        assert (refusal.code, refusal.limit) == ("file_too_large", 3), "nothing could come of it"
        ids = [(await send(place, upload, b"x" * 10)).id for _ in range(2)]
        assert (await refused(send(place, upload, b"x"))).code == "conflict"
        other = await place.uploads.begin(ADA, TEXT, 20)
        assert (await refused(send(place, other, b"x" * 6))).code == "storage_quota_exceeded"
        _, file = await place.uploads.complete(ADA, upload.id, ids, None)
        assert file is not None, "the room of its parts is its own"
        assert place.room() == (1, 20)
