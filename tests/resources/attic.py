"""A real database with what callers keep in it, written as settled requests write it."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import insert

from portico.callers.model import Caller
from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.tables import organisation, project
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.keeping import service as keeping
from portico.keeping.model import KeptResponse
from portico.keeping.room import Room
from portico.resources.conversations.locks import Locks
from portico.resources.conversations.service import Conversations, Limits
from portico.resources.responses.model import Keeping
from portico.resources.responses.service import Responses
from portico.resources.responses.states import States, Turn
from tests.db.storage import QUICK, HandClock, Health

DAY_MS = 86_400_000
KEEPING = Keeping(True, 30 * DAY_MS, 1_000, 33_554_432, 16_777_216)
LIMITS = Limits(None, 1_000, 1_000_000)
MINE = Caller("key_a", "proj_a", "org_a", "live", 8)
NEIGHBOUR = Caller("key_n", "proj_n", "org_a", "live", 8)
"""Another project of the same organisation."""
STRANGER = Caller("key_b", "proj_b", "org_b", "live", 8)


def said(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text, **more}


def number(at: int) -> str:
    """What an id of ours has behind its kind."""
    return f"{at:032x}"


class Attic:
    """states, responses, conversations: as served."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        locks: Locks,
        clock: HandClock,
        keeping: Keeping = KEEPING,
        limits: Limits = LIMITS,
        room_bytes: int = 2**60,
    ) -> None:
        self.database = database
        self.clock = clock
        self.readers = Readers(database)
        self.writer = writer
        self.locks = locks
        self.room = room = Room(room_bytes, clock)
        self.states = States(self.readers, locks, clock, keeping, room)
        self.responses = Responses(writer, self.readers, clock, room)
        self.conversations = Conversations(writer, self.readers, clock, limits, room)

    def keep(
        self,
        response_id: str,
        *,
        given: Sequence[Any] = (),
        made: Sequence[Any] = (),
        previous_id: str | None = None,
        state: str = "completed",
        keep_ms: int | None = None,
        by: Caller = MINE,
        conversation_id: str | None = None,
        locked_by: str = "",
    ) -> str:
        body = {"id": response_id, "object": "response", "status": state, "output": list(made)}
        added = [*given, *made] if conversation_id and state in ("completed", "incomplete") else ()
        kept = KeptResponse(
            *(response_id, by.organisation_id, by.project_id, by.key_id, by.credential_id),
            *("m", state, False, previous_id, msgspec.json.encode(list(given))),
            *(msgspec.json.encode(body), self.clock.now_ms, keep_ms, None, conversation_id),
            tuple(msgspec.json.encode(each) for each in added),
            locked_by,
        )
        self.database.write(lambda c: keeping.write(Transaction(c), [kept], self.clock.now_ms))
        return response_id

    async def about(self, caller: Caller = MINE, **fields: Any) -> Turn:
        body = json.dumps({"model": "m", **fields}).encode()
        return await self.states.about(body, caller)

    async def context(self, caller: Caller = MINE, **fields: Any) -> list[Any]:
        """The input of such a request, with what came before it."""
        given: list[Any] = json.loads((await self.about(caller, **fields)).body)["input"]
        return given

    async def words(self, caller: Caller = MINE, **fields: Any) -> list[str]:
        return [text_of(item) for item in await self.context(caller, **fields)]

    def rows_locked(self) -> int:
        sql = "SELECT count(*) FROM conversation WHERE locked_by IS NOT NULL"
        return int(self.database.read(lambda c: c.exec_driver_sql(sql).scalar_one()))

    def count(self, table: str) -> int:
        sql = f"SELECT count(*) FROM {table}"
        return int(self.database.read(lambda c: c.exec_driver_sql(sql).scalar_one()))


def text_of(item: dict[str, Any]) -> str:
    content = item.get("content", "")
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@asynccontextmanager
async def attic(
    database: Database,
    keeping: Keeping = KEEPING,
    limits: Limits = LIMITS,
    room_bytes: int = 2**60,
) -> AsyncIterator[Attic]:
    clock = HandClock()
    writer = Writer(database, clock, Health(), QUICK)
    locks = Locks(writer, clock)
    writer.start()
    database.write(_people)
    made = Attic(database, writer, locks, clock, keeping, limits, room_bytes)
    try:
        yield made
    finally:
        made.readers.close()
        await writer.close()


def _people(connection: Any) -> None:
    for caller in (MINE, NEIGHBOUR, STRANGER):
        if caller is not NEIGHBOUR:
            connection.execute(
                insert(organisation).values(id=caller.organisation_id, name="O", created_at_ms=0)
            )
        connection.execute(
            insert(project).values(
                id=caller.project_id,
                organisation_id=caller.organisation_id,
                name="P",
                created_at_ms=0,
            )
        )


def of_days(days: int) -> Caller:
    """The same caller, whose project keeps what it is asked so long."""
    return replace(MINE, retention="days", retention_days=days)


NOTHING_KEPT = replace(MINE, retention="zero")
