"""/v1/uploads: OpenAI's Uploads API: files that come in parts."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from portico.dialects.body import checked, json_object, without_bom
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.resources.receiving import announced, form_of, receive
from portico.door.resources.repeating import Repeating, Weighed, answer_again, claiming
from portico.door.resources.shapes import openai_part, openai_upload
from portico.replay.model import Replayed
from portico.resources.files.model import Owner, Wish
from portico.resources.files.rules import (
    OPENAI_KEEP_S,
    check_purpose,
    check_type,
    filename_of,
    keep_ms,
    media_type_of,
)
from portico.resources.files.uploads import PARTS_MAX, Uploads

_BODY_BYTES_MAX = 1_048_576
"""10,000 ids of parts are half of it."""


class ExpiresAfter(Struct):
    anchor: Literal["created_at"]
    seconds: int


class UploadRequest(Struct):
    bytes: Annotated[int, Meta(ge=1)]
    filename: Annotated[str, Meta(min_length=1)]
    mime_type: str
    purpose: str
    expires_after: ExpiresAfter | None = None


class CompletionOfUpload(Struct):
    part_ids: Annotated[list[str], Meta(min_length=1, max_length=PARTS_MAX)]
    md5: str | None = None


class PartForm(Struct):
    """The form of a part, for the OpenAPI document."""

    data: str


class UploadEndpoints:
    def __init__(self, callers: Verifier, uploads: Uploads, repeating: Repeating) -> None:
        self._callers = callers
        self._repeating = repeating
        self._uploads = uploads

    async def create(self, exchange: Exchange, _: str) -> None:
        owner = Owner.of(await identify(self._callers, exchange))
        body = await _body(exchange)
        asked = checked(json_object(without_bom(body)), UploadRequest)
        check_purpose(asked.purpose)
        keep = None
        if asked.expires_after is not None:
            seconds = asked.expires_after.seconds
            keep = keep_ms("expires_after.seconds", seconds, OPENAI_KEEP_S)
        name, kind = filename_of(asked.filename) or "file", media_type_of(asked.mime_type)
        check_type(kind, name, self._uploads.limits)
        once = await self._repeating.of_body(exchange, owner.project_id, body)
        wish = Wish(asked.purpose, name, kind, keep)
        try:
            upload = await self._uploads.begin(
                owner, wish, asked.bytes, claiming(once, openai_upload)
            )
        except Replayed as again:
            answer_again(exchange, again)
            return
        answer_json(exchange, 200, openai_upload(upload))

    async def add_part(self, exchange: Exchange, upload_id: str) -> None:
        owner = Owner.of(await identify(self._callers, exchange))
        form = form_of(exchange, "data", self._uploads.limits.part_bytes_max)
        weighed = Weighed(exchange, form)
        try:
            async with await self._uploads.draft(owner, upload_id, announced(exchange)) as draft:
                await receive(exchange, form, draft, lambda fields, begun: None, weighed)
                once = self._repeating.of_form(exchange, owner.project_id, weighed)
                part = await self._uploads.add_part(
                    draft, owner, upload_id, claiming(once, openai_part)
                )
        except Replayed as again:
            answer_again(exchange, again)
            return
        answer_json(exchange, 200, openai_part(part))

    async def complete(self, exchange: Exchange, upload_id: str) -> None:
        owner = Owner.of(await identify(self._callers, exchange))
        document = json_object(without_bom(await _body(exchange)))
        asked = checked(document, CompletionOfUpload)
        upload, file = await self._uploads.complete(owner, upload_id, asked.part_ids, asked.md5)
        answer_json(exchange, 200, openai_upload(upload, file))

    async def cancel(self, exchange: Exchange, upload_id: str) -> None:
        owner = Owner.of(await identify(self._callers, exchange))
        await exchange.body(_BODY_BYTES_MAX)
        answer_json(exchange, 200, openai_upload(await self._uploads.cancel(owner, upload_id)))


async def _body(exchange: Exchange) -> bytes:
    return await body_of(exchange, _BODY_BYTES_MAX, compression=True)
