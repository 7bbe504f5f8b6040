"""Uploads: a file that comes in parts, in any order, several at once."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from portico import errors
from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.dialects.diagnosis import brief, shown
from portico.kit.ids import new_id
from portico.resources.files import store
from portico.resources.files.drafts import Draft
from portico.resources.files.model import File, Owner, Part, Upload, Wish
from portico.resources.files.rules import check_kept, no_upload, too_large, upload_ended
from portico.resources.files.service import Files

PARTS_MAX = 10_000


class Uploads:
    def __init__(self, files: Files, writer: Writer, readers: Readers) -> None:
        self.limits = files.limits
        self._files = files
        self._clock = files.clock
        self._writer = writer
        self._readers = readers

    async def begin(
        self, owner: Owner, wish: Wish, size_bytes: int, before: store.Before[Upload] | None = None
    ) -> Upload:
        """before: see `Files.add_file`.

        Raises: Refusal: zero_retention, file_too_large, storage_unavailable."""
        check_kept(owner)
        if size_bytes > self.limits.upload_bytes_max:
            raise too_large("bytes", size_bytes, self.limits.upload_bytes_max)
        now_ms = self._clock.wall_ms()
        begun = Upload(
            new_id("upload"),
            owner.organisation_id,
            owner.project_id,
            owner.key_id,
            wish.purpose,
            wish.filename,
            wish.media_type,
            size_bytes,
            now_ms,
            now_ms + self.limits.upload_ms,
            wish.keep_ms,
        )

        def begin(connection: Connection) -> None:
            if before is not None:
                before(connection, begun)
            store.begin(connection, begun)

        await self._writer.run(begin)
        return begun

    async def draft(self, owner: Owner, upload_id: str, counted_bytes: int = 0) -> Draft:
        """Where the bytes of a part go.  counted_bytes: see `Draft`.

        Raises: Refusal: resource_not_found, conflict; as `Files.draft`."""
        upload, _ = await self._find(owner, upload_id)
        if upload.state != "pending":
            raise upload_ended(upload_id, f"is {upload.state}")
        most = min(self.limits.part_bytes_max, upload.size_bytes)  # of more nothing could be made
        return await self._files.draft(owner, most, "part", counted_bytes, "data")

    async def add_part(
        self, draft: Draft, owner: Owner, upload_id: str, before: store.Before[Part] | None = None
    ) -> Part:
        """before: see `Files.add_file`.

        Raises: Refusal: conflict, storage_quota_exceeded, storage_unavailable."""
        part = Part(
            draft.name,
            upload_id,
            owner.organisation_id,
            owner.project_id,
            draft.size_bytes,
            self._clock.wall_ms(),
        )

        def add(connection: Connection) -> None:
            if before is not None:
                before(connection, part)
            store.add_part(connection, part, self.limits, PARTS_MAX)

        await draft.keep(add)
        return part

    async def complete(
        self, owner: Owner, upload_id: str, part_ids: Sequence[str], md5: str | None
    ) -> tuple[Upload, File | None]:
        """The upload and its file.  Completed once already, also while this goes on, it is what it
        was: whoever lost the answer asks again; the file is None where it is gone since.

        md5: of the whole, in hexadecimal digits.
        Raises: Refusal: resource_not_found, conflict, invalid_value, storage_unavailable.
        """
        upload, parts = await self._find(owner, upload_id)
        if upload.state == "completed":
            return await self._again(owner, upload)
        if upload.state != "pending":
            raise upload_ended(upload_id, f"is {upload.state}")
        chosen = _chosen(upload, parts, part_ids)
        try:
            return await self._complete(owner, upload, parts, chosen, md5)
        except errors.Refusal as refusal:
            # Whoever was faster took the parts away, perhaps in the middle.
            upload, _ = await self._find(owner, upload_id)
            if upload.state == "completed":
                return await self._again(owner, upload)
            if upload.state != "pending":
                raise upload_ended(upload_id, f"is {upload.state}") from refusal
            raise

    async def _complete(
        self,
        owner: Owner,
        upload: Upload,
        parts: Sequence[Part],
        chosen: Sequence[Part],
        md5: str | None,
    ) -> tuple[Upload, File]:
        """parts: all of them.  Raises: Refusal."""
        wish = Wish(upload.purpose, upload.filename, upload.media_type, upload.keep_ms)
        freed_bytes = sum(part.size_bytes for part in parts)
        drafting = self._files.draft(owner, upload.size_bytes, counted_bytes=-freed_bytes)
        async with await drafting as draft:
            await self._join(draft, chosen, md5)
            made = self._files.made_of(draft, owner, wish)
            removed = await draft.keep(
                partial(store.complete, begun=upload, made=made, limits=self.limits)
            )
        await self._files.forget(removed)
        return replace(upload, state="completed", file_id=made.id), made

    async def cancel(self, owner: Owner, upload_id: str) -> Upload:
        """Cancelled already, it stays so.  Raises: Refusal: resource_not_found, conflict."""
        upload, _ = await self._find(owner, upload_id)
        if upload.state == "pending":
            await self._files.forget(await self._writer.run(partial(store.cancel, begun=upload)))
            return replace(upload, state="cancelled")
        if upload.state == "completed":
            raise upload_ended(upload_id, "is completed")
        return upload

    async def _find(self, owner: Owner, upload_id: str) -> tuple[Upload, list[Part]]:
        now_ms = self._clock.wall_ms()
        found = await self._readers.run(
            partial(store.upload_of, owner=owner, upload_id=upload_id, now_ms=now_ms),
            tenant=owner.organisation_id,
        )
        if found is None:
            raise no_upload(upload_id)
        return found

    async def _again(self, owner: Owner, upload: Upload) -> tuple[Upload, File | None]:
        file_id = upload.file_id or ""
        found = await self._files.some(owner, (file_id,))
        return upload, found.get(file_id)

    async def _join(self, draft: Draft, parts: Sequence[Part], md5: str | None) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        for part in parts:
            await self._copy(part, draft, digest.update if md5 else None)
        if md5 and digest.hexdigest() != md5.lower():
            raise errors.INVALID_VALUE(
                f"'md5' is {shown(md5)}; the parts together have {digest.hexdigest()}.",
                field="md5",
                value=brief(md5),
                limit=digest.hexdigest(),
            )

    async def _copy(self, part: Part, draft: Draft, also: Callable[[bytes], None] | None) -> None:
        async with await self._files.open_named(part.id) as reading:
            while piece := await reading.piece():
                if also is not None:
                    also(piece)
                await draft.add(piece)


def _chosen(upload: Upload, parts: Sequence[Part], part_ids: Sequence[str]) -> list[Part]:
    """In the order of `part_ids`.  Raises: Refusal: invalid_value."""
    left = {part.id: part for part in parts}
    chosen = []
    for at, part_id in enumerate(part_ids):
        if part_id in left:
            chosen.append(left.pop(part_id))
        else:
            raise errors.INVALID_VALUE(
                f"'part_ids[{at}]' is {shown(part_id)}; it must be a part of this upload, once.",
                field=f"part_ids[{at}]",
                value=brief(part_id),
                limit="a part of this upload",
            )
    size_bytes = sum(part.size_bytes for part in chosen)
    if size_bytes != upload.size_bytes:
        raise errors.INVALID_VALUE(
            f"'part_ids' come to {size_bytes} bytes; the upload was begun with {upload.size_bytes}.",
            field="part_ids",
            value=size_bytes,
            limit=upload.size_bytes,
        )
    return chosen
