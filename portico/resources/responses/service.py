"""Responses that are kept, for those they belong to: found, read and deleted."""

from typing import Any

import msgspec
from sqlalchemy import Connection

from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.dialects.openai_responses.answers.output import UNSHOWN
from portico.keeping.room import Room
from portico.kit.clock import Clock
from portico.resources.items import shown_items, shown_thought
from portico.resources.responses import store
from portico.resources.responses.model import Response
from portico.resources.responses.rules import not_found


class _Named(msgspec.Struct):
    id: str


_named = msgspec.json.Decoder(_Named)


def id_in(body: bytes) -> str:
    """Of a response object."""
    return _named.decode(body).id


def one(connection: Connection, caller: Caller, response_id: str, now_ms: int) -> Response | None:
    """None where there is none in the caller's project, or its time is over."""
    return store.one(connection, caller.project_id, response_id, now_ms)


async def find(readers: Readers, caller: Caller, response_id: str, now_ms: int) -> Response:
    """Raises: Refusal: resource_not_found."""
    found = await readers.run(
        lambda connection: one(connection, caller, response_id, now_ms),
        tenant=caller.organisation_id,
    )
    if found is None:
        raise not_found(response_id)
    return found


def shown(body: bytes, *, sealed: bool) -> bytes:
    """A response object as clients read it.  sealed: they ask for sealed thoughts."""
    if UNSHOWN.encode() not in body:  # nearly always
        return body
    response = msgspec.json.decode(body)
    output = [shown_thought(item, sealed=sealed) for item in response["output"]]
    return msgspec.json.encode({**response, "output": output})


def told(found: Response, *, sealed: bool) -> bytes:
    """As `shown`, of one that may be on its way: it stands in line as it was written when it came."""
    if found.state != "in_progress":
        return shown(found.body, sealed=sealed)
    return msgspec.json.encode({**msgspec.json.decode(found.body), "status": found.state})


class Responses:
    """Raises, all of it: Refusal: resource_not_found."""

    def __init__(self, writer: Writer, readers: Readers, clock: Clock, room: Room) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._room = room

    async def get(self, caller: Caller, response_id: str) -> Response:
        return await find(self._readers, caller, response_id, self._clock.wall_ms())

    async def input_items(self, caller: Caller, response_id: str) -> list[dict[str, Any]]:
        """Those it was sent with, in their order."""
        found = await self.get(caller, response_id)
        return list(shown_items(msgspec.json.decode(found.input)))

    async def delete(self, caller: Caller, response_id: str) -> None:
        now_ms = self._clock.wall_ms()
        removed = await self._writer.run(
            lambda connection: store.remove(connection, caller, response_id, now_ms)
        )
        if not removed:
            raise not_found(response_id)
        self._room.shrank(caller.project_id)
