"""Bytes in a bucket of S3, or of whatever speaks as it does.  Needs the extra `s3`."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import boto3  # type: ignore[import-untyped]  # ships no types, as botocore
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
)

PART_BYTES = 8 * 1_048_576
"""What is larger goes in parts; S3 takes 10,000 of at least 5 MiB: see `_part_bytes`."""
_PARTS_AT_FIRST = 1_000
_ABANDONED_AFTER_MS = 86_400_000
"""Only the time at which a multipart upload began is known, not when its last part came."""
_MISSING = frozenset({"NoSuchKey", "NoSuchUpload", "404"})


class BucketFailed(OSError):
    """In the words of whoever runs the bucket: for logs."""


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise BucketFailed(str(error)) from error


def client_of(endpoint_url: str, region: str, key_id: str, secret: str) -> Any:
    """endpoint_url, region, key_id, secret: "" leaves it to what boto3 finds by itself.

    Raises: BucketFailed."""
    with _failing():
        config = Config(
            connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}
        )
        try:
            return boto3.client(
                "s3",
                endpoint_url=endpoint_url or None,
                region_name=region or None,
                aws_access_key_id=key_id or None,
                aws_secret_access_key=secret or None,
                config=config,
            )
        except ValueError as error:  # an endpoint that is no URL
            raise BucketFailed(str(error)) from error


class BucketShelf:
    """prefix: what its keys begin with; another server's files have another one.

    client: boto3's, which threads may share."""

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    def check(self) -> None:
        """Raises: BucketFailed: where it cannot be reached, or is somebody else's."""
        self._call("head_bucket")

    def begin(self, name: str) -> "_Slot":
        return _Slot(self, self._key(name))

    def open(self, name: str, start: int = 0) -> "_Stream":
        how = {"Range": f"bytes={start}-"} if start else {}
        try:
            return _Stream(self._call("get_object", Key=self._key(name), **how)["Body"])
        except BucketFailed as error:
            if _code(error) == "InvalidRange":  # behind its end
                return _Stream(None)
            raise

    def remove(self, name: str) -> None:
        self._call("delete_object", Key=self._key(name))

    def names(self) -> Iterator[tuple[str, int]]:
        for page in self._pages("list_objects_v2"):
            for each in page.get("Contents", ()):
                yield self._name(each["Key"]), _ms(each["LastModified"])

    def drop_drafts(self, before_ms: int, spared: Collection[str]) -> int:
        dropped = 0
        before_ms -= _ABANDONED_AFTER_MS
        for page in self._pages("list_multipart_uploads"):
            for each in page.get("Uploads", ()):
                if _ms(each["Initiated"]) < before_ms and self._name(each["Key"]) not in spared:
                    self._abort(each["Key"], each["UploadId"])
                    dropped += 1
        return dropped

    def _abort(self, key: str, upload_id: str) -> None:
        try:
            self._call("abort_multipart_upload", Key=key, UploadId=upload_id)
        except BucketFailed as error:
            if _code(error) not in _MISSING:
                raise

    def _pages(self, what: str) -> Iterator[Any]:
        with _failing():
            yield from self._client.get_paginator(what).paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )

    def _call(self, what: str, **how: Any) -> Any:
        with _failing():
            return getattr(self._client, what)(Bucket=self._bucket, **how)

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name[-2:]}/{name}"

    def _name(self, key: str) -> str:
        return key.rpartition("/")[2]


class _Slot:
    def __init__(self, shelf: BucketShelf, key: str) -> None:
        self._shelf, self._key = shelf, key
        self._waiting = bytearray()
        self._upload_id = ""
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= self._part_bytes():
            self._send(self._part_bytes())

    def keep(self) -> None:
        if not self._upload_id:
            self._shelf._call("put_object", Key=self._key, Body=bytes(self._waiting))
            return
        if self._waiting:
            self._send(len(self._waiting))
        self._shelf._call(
            "complete_multipart_upload",
            Key=self._key,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._parts},
        )
        self._upload_id = ""

    def drop(self) -> None:
        self._waiting.clear()
        if self._upload_id:
            self._shelf._abort(self._key, self._upload_id)

    def _part_bytes(self) -> int:
        """Larger ones after a while, so that a file of any size has few enough."""
        return PART_BYTES * (1 + len(self._parts) // _PARTS_AT_FIRST)

    def _send(self, size_bytes: int) -> None:
        if not self._upload_id:
            begun = self._shelf._call("create_multipart_upload", Key=self._key)
            self._upload_id = begun["UploadId"]
        number = len(self._parts) + 1
        body = bytes(self._waiting[:size_bytes])
        sent = self._shelf._call(
            "upload_part", Key=self._key, UploadId=self._upload_id, PartNumber=number, Body=body
        )
        del self._waiting[:size_bytes]
        self._parts.append({"ETag": sent["ETag"], "PartNumber": number})


class _Stream:
    def __init__(self, body: Any) -> None:
        """body: None: there is nothing behind where it begins."""
        self._body = body

    def read(self, size_bytes: int) -> bytes:
        if self._body is None:
            return b""
        try:
            return bytes(self._body.read(size_bytes))
        except (BotoCoreError, ClientError) as error:
            raise BucketFailed(str(error)) from error

    def close(self) -> None:
        if self._body is not None:
            with suppress(BotoCoreError, OSError):
                self._body.close()


def _code(error: BucketFailed) -> str:
    cause = error.__cause__
    return str(cause.response["Error"]["Code"]) if isinstance(cause, ClientError) else ""


def _ms(moment: Any) -> int:
    return int(moment.timestamp() * 1000)
