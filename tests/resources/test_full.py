"""A project that keeps as much as it may: what asks for more is refused, what does not is answered."""

import json
from typing import Any

import pytest

from portico.db.database import Database
from portico.errors import Refusal
from portico.resources.responses.rules import NO_ROOM
from portico.resources.responses.states import Turn
from tests.resources.attic import MINE, NEIGHBOUR, Attic, attic, number, said

pytestmark = pytest.mark.anyio
LIMIT = 100_000
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("store", {"store": True}),
    ("background", {"background": True}),
    ("conversation", {"conversation": "conv_1"}),
    ("previous_response_id", {"previous_response_id": f"resp_{number(1)}"}),
    ("store", {"store": True, "previous_response_id": f"resp_{number(1)}"}),
]


async def opened(mine: Attic, caller: Any = MINE, **fields: Any) -> Turn:
    body = json.dumps({"model": "m", "input": "Hello", **fields}).encode()
    return await mine.states.open(body, caller, "req_1")


def fill(mine: Attic) -> None:
    mine.room.weigh(MINE.project_id)(LIMIT)


async def test_what_did_not_ask_to_be_kept_is_answered_and_told(database: Database) -> None:
    async with attic(database, room_bytes=LIMIT) as mine:
        before = await opened(mine)
        assert before.kept
        assert before.warnings == ()
        fill(mine)
        after = await opened(mine)
        assert not after.kept
        assert after.warnings == (NO_ROOM,)
        assert (await opened(mine, NEIGHBOUR)).kept, "another project"


@pytest.mark.parametrize(("field", "fields"), ASKED)
async def test_403_what_asked_to_be_kept(
    database: Database, field: str, fields: dict[str, Any]
) -> None:
    async with attic(database, room_bytes=LIMIT) as mine:
        fill(mine)
        with pytest.raises(Refusal) as refused:
            await opened(mine, **fields)
        assert (refused.value.code, refused.value.field) == ("storage_quota_exceeded", field)
        assert "'store': false" in refused.value.remedy
        assert mine.rows_locked() == 0, "and its conversation is free"


async def test_what_says_that_it_is_not_to_be_kept_goes_on(database: Database) -> None:
    async with attic(database, room_bytes=LIMIT) as mine:
        before = mine.keep(f"resp_{number(1)}", given=[said("One")], made=[])
        fill(mine)
        turn = await opened(mine, store=False, previous_response_id=before)
        assert (turn.kept, turn.warnings, turn.before) == (False, (), 1)


async def test_what_stands_in_line_was_given_room_then(database: Database) -> None:
    async with attic(database, room_bytes=LIMIT) as mine:
        fill(mine)
        body = json.dumps({"model": "m", "input": "Hello", "background": True}).encode()
        assert (await mine.states.resume(body, MINE, "req_1")).kept


async def test_conversations_are_not_begun_or_added_to_and_what_is_deleted_makes_room(
    database: Database,
) -> None:
    async with attic(database, room_bytes=LIMIT) as mine:
        made = await mine.conversations.make(MINE, [said("Hello")], {})
        fill(mine)
        mine.room.due()
        with pytest.raises(Refusal) as refused:
            await mine.conversations.make(MINE, [], {})
        assert refused.value.code == "storage_quota_exceeded"
        with pytest.raises(Refusal) as refused:
            await mine.conversations.add(MINE, made.id, [said("More")])
        assert refused.value.code == "storage_quota_exceeded"
        assert mine.room.due() == []
        await mine.conversations.delete(MINE, made.id)
        assert mine.room.due() == [MINE.project_id]


async def test_what_is_said_in_a_conversation_counts(database: Database) -> None:
    async with attic(database, room_bytes=10_000) as mine:
        made = await mine.conversations.make(MINE, [], {})
        assert not mine.room.is_full(MINE.project_id)
        await mine.conversations.add(MINE, made.id, [said("x" * 10_000)])
        assert mine.room.is_full(MINE.project_id)
