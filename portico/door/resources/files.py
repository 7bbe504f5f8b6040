"""/v1/files: OpenAI's Files API, and Anthropic's on the same paths, told apart by their headers."""

import mimetypes
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
import structlog
from msgspec import Struct

from portico import errors
from portico.dialects.diagnosis import brief, not_one_of, shown
from portico.door.dialect import Dialect
from portico.door.endpoints.answering import Verifier, answer_json, identify
from portico.door.exchange import Exchange
from portico.door.lines import line
from portico.door.resources.forms import Begun
from portico.door.resources.ranges import OFFERED, etag_of, line_of, part_of
from portico.door.resources.receiving import announced, form_of, receive
from portico.door.resources.repeating import Repeating, Weighed, answer_again, claiming
from portico.door.resources.shapes import anthropic_file, openai_file
from portico.door.speech import Speech, speech_of
from portico.kit.leaving import Left
from portico.replay.model import Replayed
from portico.resources.files.model import File, Owner, Wish
from portico.resources.files.rules import (
    ANTHROPIC_KEEP_S,
    BINARY,
    OPENAI_KEEP_S,
    check_purpose,
    check_type,
    filename_of,
    keep_ms,
    media_type_of,
)
from portico.resources.files.service import Files
from portico.resources.pages import Window, anthropic_window, openai_window, page_of, told

QUERY = (
    *("after", "before", "limit", "order", "purpose"),
    *("page", "ids", "scope_id", "after_id", "before_id"),
)
"""Of a list: OpenAI's words, and from `page` on Anthropic's."""
_LIST_MAX = 10_000
_IDS_MAX = 100
_PAGE = "page_"
_UNSEEN = b"content-security-policy: default-src 'none'; sandbox\r\ncache-control: no-store\r\n"
"""Whatever it is, a browser that is led here shows nothing of it."""
log = structlog.get_logger("portico.door")


class FileForm(Struct):
    """The form of a file, for the OpenAPI document: what counts is read by `forms`."""

    file: str
    purpose: str | None = None
    expires_in_seconds: int | None = None


class FileEndpoints:
    def __init__(
        self,
        callers: Verifier,
        files: Files,
        dialects: Mapping[Speech, Dialect],
        repeating: Repeating,
    ) -> None:
        self._callers = callers
        self._repeating = repeating
        self._files = files
        self._dialects = dialects

    async def create(self, exchange: Exchange, _: str) -> None:
        owner, speech = await self._asked(exchange)
        most = self._files.limits.file_bytes_max
        form = form_of(exchange, "file", most)
        wish_of = _anthropic_wish if speech == "anthropic" else _openai_wish

        def look(fields: Mapping[str, str], begun: Begun) -> None:
            if speech != "anthropic" and "purpose" in fields:
                check_purpose(fields["purpose"])
            kind = media_type_of(begun.media_type)
            check_type(kind, filename_of(begun.filename), self._files.limits)

        shape = anthropic_file if speech == "anthropic" else openai_file
        weighed = Weighed(exchange, form)
        try:
            async with await self._files.draft(owner, most, "file", announced(exchange)) as draft:
                begun = await receive(exchange, form, draft, look, weighed)
                wish = wish_of(form.fields, begun)
                once = self._repeating.of_form(exchange, owner.project_id, weighed)
                file = await self._files.add_file(draft, owner, wish, claiming(once, shape))
        except Replayed as again:
            answer_again(exchange, again, self._dialects.get(speech))
            return
        self._answer(exchange, shape(file), speech)

    async def all(self, exchange: Exchange, _: str) -> None:
        owner, speech = await self._asked(exchange)
        if speech == "anthropic":
            await self._all_of_anthropic(exchange, owner)
            return
        window = openai_window(exchange.query, limit_max=_LIST_MAX, limit=_LIST_MAX)
        purpose = dict(parse_qsl(exchange.query.decode("latin-1"))).get("purpose", "")

        def show(found: Sequence[File]) -> msgspec.Raw:
            return msgspec.Raw(msgspec.json.encode(told(found, window, openai_file)))

        answer_json(exchange, 200, await self._files.page(owner, window, purpose, show))

    async def one(self, exchange: Exchange, file_id: str) -> None:
        owner, speech = await self._asked(exchange)
        file = await self._files.get(owner, file_id)
        shape = anthropic_file if speech == "anthropic" else openai_file
        self._answer(exchange, shape(file), speech)

    async def delete(self, exchange: Exchange, file_id: str) -> None:
        owner, speech = await self._asked(exchange)
        await self._files.delete(owner, file_id)
        if speech == "anthropic":
            self._answer(exchange, {"id": file_id, "type": "file_deleted"}, speech)
        else:
            self._answer(exchange, {"id": file_id, "object": "file", "deleted": True}, speech)

    async def content(self, exchange: Exchange, file_id: str) -> None:
        """Raises: Left; Refusal, also where the bytes end too early: the answer does, too."""
        owner, speech = await self._asked(exchange)
        file = await self._files.get(owner, file_id)
        part = _part_wanted(exchange, file)
        status, told = (200, b"") if part is None else (206, line_of(part, file.size_bytes))
        part = range(file.size_bytes) if part is None else part
        async with await self._files.open(file, part.start) as reading:
            lines = told + self._content_lines(exchange, file, speech)
            exchange.open(status, lines, len(part))
            left_bytes = len(part) if exchange.method != "HEAD" else 0
            while left_bytes and not exchange.leaving.left:
                piece = (await reading.piece())[:left_bytes]
                if not piece:
                    log.error("bytes of a file are missing", file=file.id, bytes=left_bytes)
                    raise errors.INTERNAL("Bytes of this file are missing.")
                left_bytes -= len(piece)
                await exchange.write(piece)
        if exchange.leaving.left:
            raise Left(exchange.leaving.reason)
        exchange.end()

    async def _asked(self, exchange: Exchange) -> tuple[Owner, Speech]:
        caller = await identify(self._callers, exchange)
        return Owner.of(caller), speech_of(exchange.path, exchange.headers, exchange.query)

    async def _all_of_anthropic(self, exchange: Exchange, owner: Owner) -> None:
        said = parse_qsl(exchange.query.decode("latin-1"))
        ids = [
            each for name, value in said if name in ("ids", "ids[]") for each in value.split(",")
        ]
        if ids:
            found = await self._files.some(owner, _some_ids(ids))
            data = [anthropic_file(found[each]) for each in dict.fromkeys(ids) if each in found]
            self._answer(exchange, _page(data, more=False), "anthropic")
            return
        window = anthropic_window(exchange.query)
        page = dict(said).get("page", "")
        if page:
            window = Window(_behind(page), "", window.limit)
        if dict(said).get("scope_id"):  # no file belongs to a session here
            self._answer(exchange, _page([], more=False), "anthropic")
            return

        def show(found: Sequence[File]) -> msgspec.Raw:
            files, more = page_of(found, window)
            answer = _page([anthropic_file(file) for file in files], more=more)
            return msgspec.Raw(msgspec.json.encode(answer))

        self._answer(exchange, await self._files.page(owner, window, "", show), "anthropic")

    def _answer(self, exchange: Exchange, content: Any, speech: Speech) -> None:
        answer_json(exchange, 200, content, self._dialects.get(speech))

    def _content_lines(self, exchange: Exchange, file: File, speech: Speech) -> bytes:
        request_id = exchange.request_id.encode("ascii")
        dialect = self._dialects.get(speech)
        named = line("x-request-id", exchange.request_id)
        return b"".join(
            (
                line("content-type", file.media_type),
                line("content-disposition", _disposition(file.filename)),
                line("etag", etag_of(file.id)),
                OFFERED,
                _UNSEEN,
                named if dialect is None else dialect.named(request_id),
            )
        )


def _openai_wish(fields: Mapping[str, str], begun: Begun) -> Wish:
    """Raises: Refusal."""
    purpose = fields.get("purpose")
    if purpose is None:
        raise errors.MISSING_FIELD(
            "'purpose' is missing: say what the file is for.", field="purpose", limit="required"
        )
    check_purpose(purpose)
    anchor = fields.get("expires_after[anchor]")
    seconds = fields.get("expires_after[seconds]")
    if anchor not in (None, "created_at"):
        raise not_one_of("expires_after.anchor", anchor, ["created_at"])
    if seconds is None and anchor is not None:
        raise errors.MISSING_FIELD(
            "'expires_after.seconds' is missing: 'expires_after' needs it.",
            field="expires_after.seconds",
            limit="required",
        )
    keep = None
    if seconds is not None:
        keep = keep_ms("expires_after.seconds", seconds, OPENAI_KEEP_S)
    return Wish(
        purpose, filename_of(begun.filename) or "file", media_type_of(begun.media_type), keep
    )


def _anthropic_wish(fields: Mapping[str, str], begun: Begun) -> Wish:
    """Raises: Refusal."""
    media_type = media_type_of(begun.media_type)
    seconds = fields.get("expires_in_seconds")
    keep = None
    if seconds is not None:
        keep = keep_ms("expires_in_seconds", seconds, ANTHROPIC_KEEP_S)
    ending = "" if media_type == BINARY else mimetypes.guess_extension(media_type) or ""
    return Wish("user_data", filename_of(begun.filename) or f"unnamed{ending}", media_type, keep)


def _some_ids(ids: Sequence[str]) -> Sequence[str]:
    """Raises: Refusal: out_of_range."""
    if len(set(ids)) > _IDS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'ids' names {len(set(ids))} files; it must be at most {_IDS_MAX}.",
            field="ids",
            value=len(set(ids)),
            limit=_IDS_MAX,
        )
    return ids


def _behind(page: str) -> str:
    """The id in a cursor.  Raises: Refusal: invalid_value."""
    if not page.startswith(_PAGE):
        raise errors.INVALID_VALUE(
            f"'page' is {shown(page)}; it must be the `next_page` of an earlier answer.",
            field="page",
            value=brief(page),
            limit=f"{_PAGE}...",
        )
    return page.removeprefix(_PAGE)


def _page(data: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """As the SDK pages now, and as it did."""
    return {
        "data": data,
        "has_more": more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "next_page": f"{_PAGE}{data[-1]['id']}" if more else None,
    }


def _part_wanted(exchange: Exchange, file: File) -> range | None:
    """Raises: Refusal: range_not_satisfiable."""
    if exchange.method == "HEAD":  # of which a range is not defined
        return None
    said = exchange.headers.get(b"range", b"").decode("latin-1")
    only_if = exchange.headers.get(b"if-range", b"").decode("latin-1")
    return part_of(said, only_if, etag_of(file.id), file.size_bytes)


def _disposition(filename: str) -> str:
    """A name of any characters, and one for whoever knows only ASCII (RFC 6266)."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
