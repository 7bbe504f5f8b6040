"""What is done about the files of a request: those named by URL are fetched here before it is read,
since an engine never fetches anything, those named by an id are read, and all are looked into before
it is routed."""

import asyncio
from base64 import b64encode

import msgspec

from portico import errors
from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.dialects import links, stored
from portico.dialects.body import json_object, without_bom
from portico.dialects.diagnosis import brief, shown
from portico.dialects.links import Link
from portico.door.intake.files import Files, Parse
from portico.door.intake.kept import KeptFiles
from portico.kit.egress import Refused
from portico.kit.fetch import Fetcher, FetchFailed
from portico.kit.leaving import Leaving, Left

LINKS_MAX = 8
"""In one request."""
_AT_ONCE = 16
"""Of all requests together; further ones wait."""


class Media:
    """fetcher: None: nothing is fetched.  kept: None: nothing is kept here.
    bytes_max: of a request and its files together, once they stand in it."""

    def __init__(
        self, fetcher: Fetcher | None, files: Files, kept: KeptFiles | None, *, bytes_max: int
    ) -> None:
        self._fetcher = fetcher
        self._files = files
        self._kept = kept
        self._bytes_max = bytes_max
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def inline(self, body: bytes, caller: Caller, leaving: Leaving) -> bytes:
        """`body` with each file in the place of its URL or id.

        Raises: Refusal: what is wrong with the body, a URL or an id; Left, when the client went.
        """
        fetcher, kept = self._fetcher, self._kept
        if not links.may_hold(body):
            return body
        document = json_object(without_bom(body))
        found = [] if fetcher is None else list(links.links_in(document))
        named = [] if kept is None else list(stored.named_in(document))
        if not found and not named:
            return body
        if len(found) > LINKS_MAX:
            raise errors.OUT_OF_RANGE(
                f"{found[LINKS_MAX].path!r} is the {LINKS_MAX + 1}th file to be fetched; a request "
                f"may name at most {LINKS_MAX} by URL.",
                field=found[LINKS_MAX].path,
                value=len(found),
                limit=LINKS_MAX,
            )
        room = self._bytes_max - len(body)
        with leaving:
            if named and kept is not None:
                room = await kept.put(named, caller, room)
            for link in found:
                assert fetcher is not None
                room -= await self._fetch(fetcher, link, room)
            return msgspec.json.encode(document)
        raise Left(leaving.reason)

    async def fit(self, prompt: Prompt, caller: Caller, parse: Parse, leaving: Leaving) -> Prompt:
        """Of a `prompt` that holds files: see `Files.fit`."""
        return await self._files.fit(prompt, caller, parse, leaving)

    async def run(self) -> None:
        """Until it is cancelled; then no decoder is left.  For the owner's task set."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self._files.close()

    async def _fetch(self, fetcher: Fetcher, link: Link, room: int) -> int:
        """Give the characters it takes in the body."""
        try:
            async with self._places:
                data = await fetcher.get(link.url)
        except Refused as refused:
            # Why exactly is not told: names and addresses inside are nobody's business.
            raise errors.MEDIA_URL_REFUSED(
                f"{link.path!r} is {shown(link.url)}; it does not lead to a file on the public "
                "Internet that may be fetched.",
                field=link.path,
                value=brief(link.url),
                limit="https, a public address",
            ) from refused
        except FetchFailed as failed:
            raise errors.MEDIA_NOT_FETCHED(
                f"{link.path!r} is {shown(link.url)}, which could not be fetched: {failed}.",
                field=link.path,
                value=brief(link.url),
            ) from failed
        kind = links.media_type(data)
        if not links.fits(link.kind, kind):
            wanted = "PNG, JPEG, GIF or WEBP" + ("" if link.kind == "image" else ", or PDF")
            raise errors.INVALID_MEDIA(
                f"{link.path!r} is {shown(link.url)}, which holds something else: it starts with "
                f"0x{data[:8].hex()}.",
                field=link.path,
                value=data[:8].hex(),
                limit=wanted,
            )
        text = b64encode(data).decode()
        if len(text) > room:
            raise errors.MEDIA_TOO_LARGE(
                f"{link.path!r} has {len(data)} bytes, with which the request is larger than "
                f"{self._bytes_max}.",
                field=link.path,
                value=len(data),
                limit=self._bytes_max,
            )
        link.put(kind, text)
        return len(text)
