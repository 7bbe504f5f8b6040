"""Responses that only a connection remembers: followed, bounded, and gone with it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico import errors
from portico.callers.model import Caller
from portico.db.database import Database
from portico.resources.responses.keeper import Keeper
from portico.resources.responses.states import Turn
from portico.resources.responses.unstored import Link, Memory, Recalling, Remembering, Room
from tests.resources.attic import MINE, NOTHING_KEPT, Attic, attic, number, said, text_of

pytestmark = pytest.mark.anyio
STORED = f"resp_{number(1)}"


class Connection:
    """One that remembers."""

    def __init__(self, attic: Attic, bytes_max: int = 100_000) -> None:
        self.attic = attic
        self.room = Room(1_000_000)
        self.memory = Memory(bytes_max, 100, self.room)
        self.recalling = Recalling(attic.states, self.memory, attic.clock)
        self.count = 0

    async def opened(self, given: Any, caller: Caller = MINE, **fields: Any) -> Turn:
        body = json.dumps({"model": "m", "input": given, "store": False, **fields}).encode()
        return await self.recalling.open(body, caller, f"req_{number(9)}")

    async def answered(self, given: Any, made: str = "", **fields: Any) -> str:
        """A whole turn; gives the id of its response."""
        turn = await self.opened(given, **fields)
        self.count += 1
        response_id = f"resp_{number(100 + self.count)}"
        assert isinstance(turn.keeper, Remembering)
        output = [said(made, "assistant", id=f"msg_{number(100 + self.count)}o0")]
        turn.keeper.follow(Teller({"id": response_id, "output": output}), "m")
        turn.keeper.compose(b"")
        turn.keeper.end("completed")
        self.recalling.ended(fields.get("previous_response_id", ""))
        self.recalling.close(turn)
        return response_id


class Teller:
    def __init__(self, response: dict[str, Any]) -> None:
        self._response = response

    def whole(self) -> bytes:
        return msgspec.json.encode(self._response)

    def broken(self, status: str) -> bytes:
        return b""

    def queued(self) -> bytes:
        return b""


def words(turn: Turn) -> list[str]:
    return [text_of(item) for item in json.loads(turn.body)["input"]]


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Connection]:
    async with attic(database) as made:
        yield Connection(made)


async def test_what_came_before_is_told_oldest_first(here: Connection) -> None:
    first = await here.answered("a", "b")
    second = await here.answered([said("c")], "d", previous_response_id=first)
    turn = await here.opened("e", previous_response_id=second)
    assert words(turn) == ["a", "b", "c", "d", "e"]
    assert json.loads(turn.body)["previous_response_id"] == second
    assert (turn.before, turn.follows, turn.kept) == (4, "previous_response_id", False)
    assert here.attic.count("response") == 0


async def test_it_may_begin_behind_what_is_stored(here: Connection) -> None:
    here.attic.keep(STORED, given=[said("a")], made=[said("b", "assistant")])
    local = await here.answered("c", "d", previous_response_id=STORED)
    turn = await here.opened("e", previous_response_id=local)
    assert words(turn) == ["a", "b", "c", "d", "e"]
    assert turn.before == 4
    await here.attic.responses.delete(MINE, STORED)
    with pytest.raises(errors.Refusal) as refused:
        await here.opened("e", previous_response_id=local)
    assert refused.value.code == "previous_response_not_found"


async def test_what_is_stored_is_followed_and_kept_as_over_http(here: Connection) -> None:
    here.attic.keep(STORED, given=[said("a")], made=[said("b", "assistant")])
    turn = await here.opened("c", previous_response_id=STORED, store=True)
    assert words(turn) == ["a", "b", "c"]
    assert isinstance(turn.keeper, Keeper)


@pytest.mark.parametrize("store", [True, None])
async def test_what_follows_it_is_stored_neither(here: Connection, store: bool | None) -> None:
    local = await here.answered("a", "b")
    if store is None:
        turn = await here.opened("c", previous_response_id=local, store=None)
        assert isinstance(turn.keeper, Remembering)
        return
    with pytest.raises(errors.Refusal) as refused:
        await here.opened("c", previous_response_id=local, store=True)
    assert (refused.value.code, refused.value.field) == ("invalid_value", "store")


async def test_nobody_else_and_no_other_connection_finds_it(here: Connection) -> None:
    local = await here.answered("a", "b")
    with pytest.raises(errors.Refusal) as refused:
        await Connection(here.attic).opened("c", previous_response_id=local)
    assert refused.value.code == "previous_response_not_found"


async def test_a_project_of_which_nothing_is_kept_can_follow_it(here: Connection) -> None:
    local = await here.answered("a", "b", caller=NOTHING_KEPT)
    turn = await here.opened("c", caller=NOTHING_KEPT, previous_response_id=local)
    assert words(turn) == ["a", "b", "c"]
    here.recalling.ended(local)  # it was not answered
    with pytest.raises(errors.Refusal) as refused:
        await here.opened("c", caller=NOTHING_KEPT, previous_response_id=local)
    assert refused.value.code == "previous_response_not_found"


async def test_a_conversation_is_not_remembered_without_what_came_before(here: Connection) -> None:
    made = await here.attic.conversations.make(MINE, [said("a")], {})
    turn = await here.opened("b", conversation=made.id)
    assert turn.keeper is None


async def test_a_refusal_names_the_item_as_it_was_sent(here: Connection) -> None:
    local = await here.answered("a", "b")
    turn = await here.opened([said("c"), said("d")], previous_response_id=local)
    late = errors.INVALID_TYPE("'input[3].content' is odd.", field="input[3].content")
    assert turn.as_sent(late).field == "input[1].content"
    before = errors.INVALID_TYPE("'input[1].content' is odd.", field="input[1].content")
    assert turn.as_sent(before).field == "previous_response_id"


async def test_a_reference_to_what_stands_before_is_not_said_twice(here: Connection) -> None:
    local = await here.answered("a", "b")
    reference = {"type": "item_reference", "id": f"msg_{number(101)}o0"}
    turn = await here.opened([reference, said("c")], previous_response_id=local)
    assert words(turn) == ["a", "b", "c"]
    late = errors.INVALID_TYPE("'input[2].content' is odd.", field="input[2].content")
    assert turn.as_sent(late).field == "input[1].content"


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 40), st.booleans())))
def test_memory_stays_within_its_room(steps: list[tuple[str, int, bool]]) -> None:
    room = Room(120)
    memories = [Memory(80, 3, room), Memory(80, 3, room)]
    for name, size, which in steps:
        memories[which].put(name, Link((), None, size))
        assert room.held_bytes <= 120
        for memory in memories:
            held = [name for name in "abcdef" if name in memory]
            assert len(held) <= 3
    for memory in memories:
        memory.clear()
    assert room.held_bytes == 0
