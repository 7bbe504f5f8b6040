"""One request at a time adds to a conversation, however each ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from portico import errors
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.keeping import service as keeping
from portico.resources.conversations.model import Lock
from portico.resources.pages import Window
from portico.resources.responses.keeper import Keeper
from tests.resources.attic import MINE, NEIGHBOUR, Attic, attic, number, said, text_of
from tests.resources.responses.test_keeper import Tells, response

pytestmark = pytest.mark.anyio
LEASE_MS = 60_000
ALL = Window("", "", 20, newest_first=False)


@pytest.fixture
async def mine(database: Database) -> AsyncIterator[Attic]:
    async with attic(database) as made:
        yield made


async def begun(mine: Attic, *texts: str) -> str:
    made = await mine.conversations.make(MINE, [said(text) for text in texts], {})
    return made.id


def body(conversation_id: str, text: str = "x", **more: Any) -> bytes:
    told = {"model": "m", "input": text, "conversation": conversation_id, **more}
    return json.dumps(told).encode()


async def code(mine: Attic, conversation_id: str, caller: Any = MINE) -> str:
    """Of a second request's refusal; "" where it may enter, and it ends at once."""
    try:
        turn = await mine.states.open(body(conversation_id), caller, "req_other")
    except errors.Refusal as refusal:
        return refusal.code
    mine.states.close(turn)
    await settled(mine)
    return ""


async def settled(mine: Attic) -> None:
    """Whatever is on its way to the database is in it."""
    await mine.writer.run(lambda _: None)


async def test_409_a_second_request_until_the_first_has_ended(mine: Attic) -> None:
    conversation_id = await begun(mine, "a")
    turn = await mine.states.open(body(conversation_id), MINE, "req_1")
    with pytest.raises(errors.Refusal) as refused:
        await mine.states.open(body(conversation_id), MINE, "req_2")
    told = refused.value
    assert (told.code, told.status, told.field) == ("conversation_locked", 409, "conversation")
    assert told.retry_after_ms
    assert told.entry.retryable
    mine.states.close(turn)
    await settled(mine)
    assert await code(mine, conversation_id) == ""


async def test_of_many_at_once_one_enters(mine: Attic) -> None:
    conversation_id = await begun(mine)
    asked = [mine.states.open(body(conversation_id), MINE, f"req_{number(at)}") for at in range(20)]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    refused = [each.code for each in ends if isinstance(each, errors.Refusal)]
    assert refused == ["conversation_locked"] * 19


async def test_what_is_refused_after_it_has_entered_leaves_it_free(mine: Attic) -> None:
    conversation_id = await begun(mine)
    reference = [{"type": "item_reference", "id": "msg_none"}]
    asked = json.dumps({"model": "m", "input": reference, "conversation": conversation_id})
    with pytest.raises(errors.Refusal):
        await mine.states.open(asked.encode(), MINE, "req_1")
    await settled(mine)
    assert await code(mine, conversation_id) == ""


async def test_a_request_that_is_cancelled_while_it_enters_leaves_it_free(mine: Attic) -> None:
    conversation_id = await begun(mine)
    entering = asyncio.ensure_future(mine.states.open(body(conversation_id), MINE, "req_1"))
    await asyncio.sleep(0)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    await settled(mine)
    assert await code(mine, conversation_id) == ""


async def test_whose_process_dies_loses_it_within_a_minute(mine: Attic) -> None:
    conversation_id = await begun(mine)
    await mine.states.open(body(conversation_id), MINE, "req_1")
    mine.clock.now_ms += LEASE_MS - 1
    assert await code(mine, conversation_id) == "conversation_locked"
    mine.clock.now_ms += 1
    assert await code(mine, conversation_id) == ""


async def test_who_lives_keeps_it_for_as_long_as_it_takes(mine: Attic) -> None:
    conversation_id = await begun(mine)
    turn = await mine.states.open(body(conversation_id), MINE, "req_1")
    for _ in range(10):
        mine.clock.now_ms += LEASE_MS - 1
        mine.locks.prolong()
        await settled(mine)
        assert await code(mine, conversation_id) == "conversation_locked"
    mine.states.close(turn)
    mine.locks.prolong()
    await settled(mine)
    assert await code(mine, conversation_id) == ""


async def test_a_lock_that_was_lost_is_not_given_back_twice(mine: Attic) -> None:
    """Who was too slow neither frees it for others nor adds to it."""
    conversation_id = await begun(mine)
    slow = await mine.states.open(body(conversation_id, "slow"), MINE, "req_slow")
    mine.clock.now_ms += LEASE_MS
    quick = await mine.states.open(body(conversation_id, "quick"), MINE, "req_quick")
    mine.states.close(slow)
    await settled(mine)
    assert await code(mine, conversation_id) == "conversation_locked"
    ended(mine, slow, number(1))
    ended(mine, quick, number(2))
    words = await mine.words(conversation=conversation_id)
    assert words == ["quick", "answered"]
    assert mine.count("response") == 2


def ended(mine: Attic, turn: Any, at: str, outcome: str = "completed") -> None:
    """As the commit does that settles it."""
    keeper = turn.keeper
    assert isinstance(keeper, Keeper)
    output = [said("answered", "assistant", id=f"msg_{at}0")]
    keeper.follow(Tells(response(id=f"resp_{at}", output=output)), "m")
    if outcome == "completed":
        keeper.compose(b"")
    kept = keeper.end(outcome)
    assert kept is not None
    mine.database.write(lambda c: keeping.write(Transaction(c), [kept], mine.clock.now_ms))


async def test_the_commit_that_settles_adds_what_was_said_and_frees_it(mine: Attic) -> None:
    conversation_id = await begun(mine, "a")
    turn = await mine.states.open(body(conversation_id, "b"), MINE, f"req_{number(1)}")
    told = json.loads(turn.body)
    assert [text_of(item) for item in told["input"]] == ["a", "b"]
    ended(mine, turn, number(1))
    assert await mine.words(conversation=conversation_id, input="c") == ["a", "b", "answered", "c"]
    assert await code(mine, conversation_id) == ""
    page = await mine.conversations.page(MINE, conversation_id, ALL)
    assert [entry.id for entry in page][1:] == [f"msg_{number(1)}i0", f"msg_{number(1)}0"]


@pytest.mark.parametrize("outcome", ["client_gone", "upstream_failed"])
async def test_what_broke_off_is_kept_but_not_added_and_frees_it(mine: Attic, outcome: str) -> None:
    conversation_id = await begun(mine, "a")
    turn = await mine.states.open(body(conversation_id, "b"), MINE, f"req_{number(1)}")
    ended(mine, turn, number(1), outcome)
    assert await mine.words(conversation=conversation_id, input="c") == ["a", "c"]
    assert mine.count("response") == 1
    assert await code(mine, conversation_id) == ""


async def test_store_false_reads_it_and_adds_nothing(mine: Attic) -> None:
    """It is said that it does; and nobody has to wait for it."""
    conversation_id = await begun(mine, "a")
    await mine.states.open(body(conversation_id, "b"), MINE, "req_1")
    turn = await mine.states.open(body(conversation_id, "b", store=False), MINE, "req_2")
    assert [text_of(item) for item in json.loads(turn.body)["input"]] == ["a", "b"]
    assert (turn.keeper, turn.lock) == (None, None)
    assert turn.warnings == ('not_added; field="conversation"; action=dropped',)


async def test_a_conversation_deleted_meanwhile_stays_deleted(mine: Attic) -> None:
    conversation_id = await begun(mine, "a")
    turn = await mine.states.open(body(conversation_id, "b"), MINE, f"req_{number(1)}")
    await mine.conversations.delete(MINE, conversation_id)
    ended(mine, turn, number(1))
    assert (mine.count("conversation"), mine.count("conversation_item")) == (0, 0)
    assert mine.count("response") == 1


async def test_what_was_made_there_is_followed_there_only(mine: Attic) -> None:
    conversation_id = await begun(mine, "a")
    turn = await mine.states.open(body(conversation_id, "b"), MINE, f"req_{number(1)}")
    ended(mine, turn, number(1))
    with pytest.raises(errors.Refusal) as refused:
        await mine.about(previous_response_id=f"resp_{number(1)}", input="c")
    assert refused.value.field == "previous_response_id"
    assert conversation_id in refused.value.message


async def test_404_somebody_elses_is_as_one_that_never_was(mine: Attic) -> None:
    conversation_id = await begun(mine, "a")
    told = []
    for asked, caller in ((conversation_id, NEIGHBOUR), (f"conv_{number(9)}", MINE)):
        for open_ in (
            mine.states.open(body(asked), caller, "req_1"),
            mine.states.about(body(asked), caller),
        ):
            with pytest.raises(errors.Refusal) as refused:
                await open_
            refusal = refused.value
            told.append((refusal.code, refusal.field, refusal.message.replace(asked, "ID")))
    assert len(set(told)) == 1
    turn = await mine.states.open(body(conversation_id), MINE, "req_1")
    assert turn.lock == Lock(conversation_id, "req_1", "org_a", "proj_a")
