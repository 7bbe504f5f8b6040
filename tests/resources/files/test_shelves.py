"""What files need of a shelf, of each there is: a folder, and a bucket of a server like S3."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from portico.db.database import Database, open_database
from portico.resources.files.shelves import bucket
from portico.resources.files.shelves.bucket import BucketFailed, BucketShelf, client_of
from portico.resources.files.shelves.folder import FolderShelf
from portico.resources.files.shelves.shelf import Shelf
from tests.resources.files.place import ADA, keeping

FIRST, SECOND = "file_" + "a" * 32, "file_" + "b" * 32
EVER_MS = 2**62 // 1_000_000


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(s3: str) -> Iterator[Any]:
    made = client_of(s3, "us-east-1", "id", "secret")
    made.create_bucket(Bucket="files")
    yield made
    for each in made.list_multipart_uploads(Bucket="files").get("Uploads", ()):
        made.abort_multipart_upload(Bucket="files", Key=each["Key"], UploadId=each["UploadId"])
    for each in made.list_objects_v2(Bucket="files").get("Contents", ()):
        made.delete_object(Bucket="files", Key=each["Key"])
    made.delete_bucket(Bucket="files")
    made.close()


@pytest.fixture(params=["folder", "bucket"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "folder":
        return FolderShelf(tmp_path / "files")
    return BucketShelf(request.getfixturevalue("client"), "files", "portico/")


def put(shelf: Shelf, name: str, *pieces: bytes) -> None:
    slot = shelf.begin(name)
    for piece in pieces:
        slot.write(piece)
    slot.keep()


def read(shelf: Shelf, name: str, start: int = 0) -> bytes:
    stream = shelf.open(name, start)
    try:
        return b"".join(iter(lambda: stream.read(100_000), b""))
    finally:
        stream.close()


def names(shelf: Shelf) -> set[str]:
    return {name for name, _ in shelf.names()}


@pytest.mark.parametrize("size", [0, 1, 300_000, 17_000_001])
def test_what_is_kept_is_what_was_written(shelf: Shelf, size: int) -> None:
    """17 MB: in a bucket, in several parts."""
    data = os.urandom(size)
    put(shelf, FIRST, *(data[at : at + 1_000_000] for at in range(0, size, 1_000_000)))
    assert read(shelf, FIRST) == data
    assert read(shelf, FIRST, size // 2) == data[size // 2 :]
    assert read(shelf, FIRST, size) == b""
    assert names(shelf) == {FIRST}


def test_nobody_sees_a_draft(shelf: Shelf) -> None:
    slot = shelf.begin(FIRST)
    slot.write(b"x" * 9_000_000)
    assert names(shelf) == set()
    with pytest.raises(OSError, match=r"."):
        shelf.open(FIRST)
    slot.drop()
    slot.drop()
    assert shelf.drop_drafts(EVER_MS, ()) == 0


def test_removed_it_is_gone_and_may_be_again(shelf: Shelf) -> None:
    put(shelf, FIRST, b"1")
    put(shelf, SECOND, b"2")
    shelf.remove(FIRST)
    shelf.remove(FIRST)
    assert names(shelf) == {SECOND}
    with pytest.raises(OSError, match=r"."):
        shelf.open(FIRST)


def test_drafts_of_the_dead_are_dropped_and_those_of_the_living_are_not(shelf: Shelf) -> None:
    for name in (FIRST, SECOND):
        shelf.begin(name).write(b"x" * 9_000_000)
    assert shelf.drop_drafts(0, ()) == 0
    assert shelf.drop_drafts(EVER_MS, {FIRST}) == 1
    assert shelf.drop_drafts(EVER_MS, ()) == 1


def test_a_folder_is_for_its_server_alone(tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path / "files")
    put(shelf, FIRST, b"x")
    for path in (tmp_path / "files").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_leaves_the_disk_its_rest(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    free_bytes = disk.f_bavail * disk.f_frsize
    with pytest.raises(OSError, match="nearly full"):
        FolderShelf(tmp_path / "full", free_bytes_min=2 * free_bytes).begin(FIRST)


def test_a_bucket_keeps_to_its_prefix(client: Any) -> None:
    client.put_object(Bucket="files", Key="other/aa/file_1", Body=b"theirs")
    shelf = BucketShelf(client, "files", "portico/")
    put(shelf, FIRST, b"ours")
    assert names(shelf) == {FIRST}
    assert client.get_object(Bucket="files", Key=f"portico/aa/{FIRST}")["Body"].read() == b"ours"


def test_a_bucket_that_is_not_there(client: Any) -> None:
    with pytest.raises(BucketFailed):
        BucketShelf(client, "nobodys").check()
    BucketShelf(client, "files").check()
    with pytest.raises(BucketFailed):
        client_of("no url", "us-east-1", "id", "secret")


def test_parts_of_a_bucket_grow(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of any size has fewer than 10,000."""
    monkeypatch.setattr(bucket, "_PARTS_AT_FIRST", 1)
    data = os.urandom(60_000_000)
    shelf = BucketShelf(client, "files")
    put(shelf, FIRST, data)
    assert read(shelf, FIRST) == data
    assert client.head_object(Bucket="files", Key=f"aa/{FIRST}")["ETag"].strip('"').endswith("-4")


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return open_database(tmp_path)


@pytest.mark.anyio
async def test_files_in_a_bucket(sqlite: Database, tmp_path: Path, client: Any) -> None:
    async with keeping(sqlite, tmp_path, shelf=BucketShelf(client, "files")) as place:
        data = os.urandom(9_000_000)
        file = await place.put(ADA, data)
        assert await place.files.read(file) == data
        place.shelf.begin("file_" + "e" * 32).write(b"x" * 9_000_000)
        assert await place.files.sweep_strays(EVER_MS) == 1
        await place.files.delete(ADA, file.id)
        assert place.names() == set()
