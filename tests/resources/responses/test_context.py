"""What a request follows: found, whole, of nobody else; and put in front of its input."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from portico import errors
from portico.db.database import Database
from tests.resources.attic import (
    KEEPING,
    MINE,
    NEIGHBOUR,
    NOTHING_KEPT,
    STRANGER,
    Attic,
    attic,
    number,
    said,
)

pytestmark = pytest.mark.anyio
FIRST, SECOND, THIRD = (f"resp_{number(at)}" for at in (1, 2, 3))


@pytest.fixture
async def mine(database: Database) -> AsyncIterator[Attic]:
    async with attic(database) as made:
        yield made


def answer(text: str, **more: Any) -> dict[str, Any]:
    return said(text, "assistant", **more)


def three(mine: Attic) -> None:
    mine.keep(FIRST, given=[said("a")], made=[answer("b")])
    mine.keep(SECOND, given=[said("c")], made=[answer("d")], previous_id=FIRST)
    mine.keep(THIRD, given=[said("e")], made=[answer("f")], previous_id=SECOND)


async def refusal(mine: Attic, caller: Any = MINE, **fields: Any) -> errors.Refusal:
    with pytest.raises(errors.Refusal) as refused:
        await mine.about(caller, **fields)
    return refused.value


async def test_inputs_and_outputs_come_oldest_first_and_then_the_new_input(mine: Attic) -> None:
    three(mine)
    assert await mine.words(previous_response_id=THIRD, input="g") == list("abcdefg")
    assert await mine.words(previous_response_id=SECOND, input=[said("x"), said("y")]) == [
        *"abcd",
        *"xy",
    ]
    assert await mine.words(previous_response_id=FIRST) == ["a", "b"]


async def test_nothing_else_is_inherited_and_nothing_else_is_changed(mine: Attic) -> None:
    """Instructions, tools, metadata: each request says its own.  What is strange is passed on."""
    mine.keep(FIRST, given=[said("a")], made=[])
    own: dict[str, Any] = {
        "instructions": "Be brief.",
        "strange": {"a": [1, 2.5, None]},
        "temperature": 0.5,
    }
    turn = await mine.about(previous_response_id=FIRST, input="b", **own)
    told = json.loads(turn.body)
    assert {name: told[name] for name in own} == own
    assert told.keys() == {"model", "previous_response_id", "input", *own}
    bare = json.loads((await mine.about(previous_response_id=FIRST, input="b")).body)
    assert bare.keys() == {"model", "previous_response_id", "input"}


async def test_a_request_that_follows_nothing_stays_as_it_was_sent(mine: Attic) -> None:
    body = b' {"model":"m","input":[{"role":"user","content":"a","id":"msg_1"}],  "x":1e2}'
    assert (await mine.states.about(body, MINE)).body == body


async def test_items_come_back_as_they_were(mine: Attic) -> None:
    """Calls with their results, thoughts, what is sealed, files by their ids."""
    given = [
        said("", content=[{"type": "input_file", "file_id": "file_1"}], id="msg_1"),
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
    ]
    made = [
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"text": "hm"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    mine.keep(FIRST, given=given, made=made)
    result = {"type": "function_call_output", "call_id": "c", "output": "1"}
    assert await mine.context(previous_response_id=FIRST, input=[result]) == [
        *given,
        *made,
        result,
    ]


async def test_a_seal_that_has_expired_leaves_the_words_of_a_thought(mine: Attic) -> None:
    now_s = mine.clock.now_ms // 1000
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"text": "hm"}]}
    sealed = {"encrypted_content": "x", "portico_expires_at": now_s + 10}
    mine.keep(FIRST, made=[{**thought, **sealed}])
    assert await mine.context(previous_response_id=FIRST) == [{**thought, **sealed}]
    mine.clock.pass_s(10)
    assert await mine.context(previous_response_id=FIRST) == [
        {**thought, "portico_expires_at": now_s + 10}
    ]


@pytest.mark.parametrize("state", ["failed", "cancelled", "queued", "in_progress"])
async def test_409_what_was_not_answered_cannot_be_followed(mine: Attic, state: str) -> None:
    mine.keep(FIRST, state=state)
    mine.keep(SECOND, previous_id=FIRST)
    for followed in (FIRST, SECOND):
        refused = await refusal(mine, previous_response_id=followed, input="x")
        assert (refused.code, refused.field) == ("conflict", "previous_response_id")
        assert state in refused.message


async def test_an_incomplete_one_can_be_followed(mine: Attic) -> None:
    mine.keep(FIRST, made=[answer("half")], state="incomplete")
    assert await mine.words(previous_response_id=FIRST, input="go on") == ["half", "go on"]


async def test_400_what_is_gone_cannot_be_followed_nor_what_follows_it(mine: Attic) -> None:
    three(mine)
    await mine.responses.delete(MINE, FIRST)
    for followed in (FIRST, SECOND, THIRD):
        refused = await refusal(mine, previous_response_id=followed, input="x")
        assert refused.code == "previous_response_not_found"
        assert FIRST in refused.message


async def test_400_what_has_expired_is_gone_at_that_very_moment(mine: Attic) -> None:
    mine.keep(FIRST, made=[answer("b")], keep_ms=1_000)
    mine.keep(SECOND, previous_id=FIRST)
    mine.clock.now_ms += 999
    assert await mine.words(previous_response_id=SECOND, input="x") == ["b", "x"]
    mine.clock.now_ms += 1
    for followed in (FIRST, SECOND):
        refused = await refusal(mine, previous_response_id=followed, input="x")
        assert refused.code == "previous_response_not_found"


@pytest.mark.parametrize("other", [NEIGHBOUR, STRANGER], ids=["project", "organisation"])
async def test_400_somebody_elses_is_as_one_that_never_was(mine: Attic, other: Any) -> None:
    mine.keep(FIRST, given=[said("secret")])
    mine.keep(SECOND, previous_id=FIRST, by=other)  # whatever its row says
    told = []
    for asked in (FIRST, THIRD):
        refused = await refusal(mine, other, previous_response_id=asked, input="x")
        told.append((refused.code, refused.field, refused.message.replace(asked, "ID")))
    assert told[0] == told[1]
    refused = await refusal(mine, other, previous_response_id=SECOND, input="x")
    assert refused.code == "previous_response_not_found"


async def test_a_thousand_can_be_followed_and_not_one_more(mine: Attic) -> None:
    ids = [f"resp_{number(at)}" for at in range(1_001)]
    for at, each in enumerate(ids):
        mine.keep(each, given=[said(str(at))], previous_id=ids[at - 1] if at else None)
    words = await mine.words(previous_response_id=ids[999], input="x")
    assert words == [*map(str, range(1_000)), "x"]
    refused = await refusal(mine, previous_response_id=ids[1_000], input="x")
    assert (refused.code, refused.limit) == ("out_of_range", 1_000)


async def test_413_more_bytes_than_may_come_before(database: Database) -> None:
    async with attic(database, replace(KEEPING, context_bytes_max=4_000)) as mine:
        mine.keep(FIRST, given=[said("x" * 3_000)])
        mine.keep(SECOND, given=[said("x" * 3_000)], previous_id=FIRST)
        assert await mine.context(previous_response_id=FIRST, input="x")
        refused = await refusal(mine, previous_response_id=SECOND, input="x")
        assert (refused.status, refused.field) == (413, "previous_response_id")


async def test_400_two_ways_to_say_what_came_before(mine: Attic) -> None:
    refused = await refusal(mine, previous_response_id=FIRST, conversation="conv_1", input="x")
    assert (refused.code, refused.field) == ("invalid_value", "conversation")


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "background"])
async def test_403_where_nothing_is_kept_nothing_is_followed(mine: Attic, field: str) -> None:
    mine.keep(FIRST)
    refused = await refusal(mine, NOTHING_KEPT, **{field: FIRST}, input="x")
    assert (refused.code, refused.field) == ("zero_retention", field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"conversation": 5}, "conversation"),
        ({"conversation": {}}, "conversation.id"),
        ({"conversation": {"id": 5}}, "conversation.id"),
    ],
)
async def test_400_a_conversation_that_is_no_name(
    mine: Attic, fields: dict[str, Any], field: str
) -> None:
    assert (await refusal(mine, **fields, input="x")).field == field


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"input":5}', b'{"input":[5]}', b'{"previous_response_id":5}', b"\xff"],
)
async def test_what_is_no_request_is_left_to_its_dialect(mine: Attic, body: bytes) -> None:
    turn = await mine.states.about(body, MINE)
    assert (turn.body, turn.keeper) == (body, None)


# -- items that are referred to ----------------------------------------------------------------


def own(at: int, response: int, kind: str = "msg") -> str:
    return f"{kind}_{number(response)}{at:x}"


def reference(item_id: str) -> dict[str, str]:
    return {"type": "item_reference", "id": item_id}


async def test_a_reference_is_replaced_by_the_item_of_its_response(mine: Attic) -> None:
    call = {"type": "function_call", "id": own(0, 1, "fc"), "call_id": "c", "name": "f"}
    mine.keep(FIRST, given=[said("a", id=f"msg_{number(1)}i0")], made=[{**call, "arguments": "1"}])
    result = {"type": "function_call_output", "call_id": "c", "output": "1"}
    given = [reference(f"msg_{number(1)}i0"), {"id": call["id"]}, result]  # a type may be left out
    assert await mine.context(input=given) == [
        said("a", id=f"msg_{number(1)}i0"),
        {**call, "arguments": "1"},
        result,
    ]


async def test_a_reference_to_what_stands_there_anyway_is_said_once(mine: Attic) -> None:
    """A second copy of a call would have no result."""
    mine.keep(FIRST, given=[said("a")], made=[answer("b", id="my own")])
    given = [reference("my own"), said("c")]
    assert await mine.words(previous_response_id=FIRST, input=given) == ["a", "b", "c"]


async def test_404_a_reference_to_nothing_names_its_place(mine: Attic) -> None:
    mine.keep(FIRST, made=[answer("b", id=own(0, 1))], keep_ms=1_000)
    mine.keep(SECOND, made=[answer("b", id=own(0, 2))], by=NEIGHBOUR)
    mine.clock.now_ms += 1_000
    told = []
    for missing in (own(0, 1), own(0, 2), own(1, 1), own(0, 9), "no name of ours"):
        refused = await refusal(mine, input=[said("a"), reference(missing)])
        assert (refused.code, refused.field) == ("resource_not_found", "input[1].id")
        told.append(refused.message.replace(missing, "ID"))
    assert len(set(told)) == 1


async def test_what_is_wrong_is_told_by_its_place_in_the_request_as_it_was_sent(
    mine: Attic,
) -> None:
    mine.keep(FIRST, given=[said("a")], made=[answer("b", id="b")])
    turn = await mine.about(previous_response_id=FIRST, input=[reference("b"), said("c")])
    for at, field in ((0, "previous_response_id"), (1, "previous_response_id"), (2, "input[1].x")):
        refused = turn.as_sent(
            errors.INVALID_VALUE(f"'input[{at}].x' is odd.", field=f"input[{at}].x")
        )
        assert (refused.field, refused.message) == (field, f"'{field}' is odd.")
