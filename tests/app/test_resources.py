"""Where files are kept: a folder that can be used, or a bucket that can be reached; or no start."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from portico.app.failure import CannotStart
from portico.app.resources import limits_of, shelf_of
from portico.resources.files.shelves.bucket import BucketShelf, client_of
from portico.resources.files.shelves.folder import FolderShelf
from portico.settings import Settings, load


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client_of(url, "us-east-1", "id", "secret").create_bucket(Bucket="there")
    yield url
    server.stop()


def said(**files: str) -> Settings:
    return load(environment={f"PORTICO_FILES_{name.upper()}": it for name, it in files.items()})


def in_bucket(s3: str, bucket: str) -> Settings:
    return said(
        bucket=bucket,
        bucket_url=s3,
        bucket_region="us-east-1",
        bucket_key_id="id",
        bucket_secret="secret",
    )


def test_a_folder(tmp_path: Path) -> None:
    assert isinstance(shelf_of(said(folder=str(tmp_path / "a" / "b"))), FolderShelf)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="cannot be used"):
        shelf_of(said(folder=str(tmp_path / "file" / "below")))


def test_a_bucket(s3: str) -> None:
    assert isinstance(shelf_of(in_bucket(s3, "there")), BucketShelf)


def test_a_bucket_that_cannot_be_used(s3: str) -> None:
    with pytest.raises(CannotStart, match="the bucket nowhere cannot be used") as found:
        shelf_of(in_bucket(s3, "nowhere"))
    assert "secret" not in str(found.value)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "portico.resources.files.shelves.bucket", raising=False)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(CannotStart, match="needs the extra `s3`"):
        shelf_of(said(bucket="b"))


def test_days_without_an_end() -> None:
    assert limits_of(said()).keep_ms is None
    assert limits_of(said(keep_days_max="2")).keep_ms == 2 * 86_400_000
