"""A conversation made shorter comes back as what is left of it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import CompactedResponse

from portico.canon.conversation import Item, Message, ToolCall, ToolResult
from portico.dialects.body import PROJECT
from portico.dialects.openai_responses.compaction import Compactor
from portico.errors import Refusal

from .bodies import CLOCK, PARSER, SEALS, call, encoded, result, says

COMPACTOR = Compactor(SEALS)


def compacted(
    items: Any, context_tokens: int | None = None, project_id: str = ""
) -> dict[str, Any]:
    prompt = PARSER.create(encoded(input=items), {PROJECT: project_id})
    answer = COMPACTOR.compact(prompt, context_tokens, "req_7", CLOCK.now_s)
    CompactedResponse.model_validate(answer)
    assert answer["object"] == "response.compaction"
    (item,) = answer["output"]
    assert isinstance(item, dict)
    return item


def heard(*items: Any) -> tuple[Item, ...]:
    prompt = PARSER.create(encoded(input=list(items)), {})
    found: tuple[Item, ...] = prompt.conversation().items
    return found


def texts(items: tuple[Item, ...]) -> list[str]:
    return [item.text for item in items if isinstance(item, Message)]


def test_what_fits_stays_as_it_is() -> None:
    items = [says("Rules.", "developer"), says("Hi"), call("c1"), result("c1"), says("So?")]
    item = compacted(items)
    assert item["portico_items_left_out"] == 0
    assert "Rules" not in json.dumps(item)
    assert heard(item) == heard(*items)


def test_a_text_is_a_conversation_too() -> None:
    assert texts(heard(compacted("Hello"))) == ["Hello"]


def test_it_opens_for_its_own_project_alone() -> None:
    item = compacted("Hello", project_id="proj_a")
    body = encoded(input=[item])
    assert PARSER.create(body, {PROJECT: "proj_a"}).conversation().items
    with pytest.raises(Refusal) as caught:
        PARSER.create(body, {PROJECT: "proj_b"})
    assert (caught.value.code, caught.value.field) == (
        "sealed_item_invalid",
        "input[0].encrypted_content",
    )


def test_old_turns_are_left_out_and_said_to_be() -> None:
    items = [says("Rules.", "system"), says("Old " * 100), says("Fine.", "assistant"), says("New")]
    item = compacted(items, context_tokens=300)
    assert item["portico_items_left_out"] == 2
    assert texts(heard(item)) == [
        "Rules.",
        "(2 earlier items of this conversation were left out.)",
        "New",
    ]


def test_of_a_long_last_turn_the_question_and_the_last_steps_stay() -> None:
    steps = [item for at in range(50) for item in (call(f"c{at}"), result(f"c{at}", "x" * 20))]
    items = heard(compacted([says("Go on for long."), *steps], context_tokens=1_000))
    assert isinstance(items[1], Message)
    calls = [item.id for item in items if isinstance(item, ToolCall)]
    results = [item.call_id for item in items if isinstance(item, ToolResult)]
    assert calls == results
    assert 0 < len(calls) < 50
    assert calls[-1] == "c49"


def test_it_stands_among_other_items_and_can_be_compacted_again() -> None:
    item = compacted([says("Hi"), says("Hello", "assistant")])
    again = compacted([item, says("More")])
    assert texts(heard(again, says("And more"))) == ["Hi", "Hello", "More", "And more"]


def test_the_place_of_what_follows_it_is_told_as_it_was_sent() -> None:
    item = compacted([says("Hi"), says("Hello", "assistant"), says("Yes")])
    with pytest.raises(Refusal) as caught:
        heard(item, result("nobody"))
    assert caught.value.field == "input[1].call_id"
    assert "'input[1].call_id'" in caught.value.message


def test_what_another_server_compacted_cannot_be_read() -> None:
    prompt = PARSER.create(encoded(input=[{"type": "compaction", "encrypted_content": "gAA"}]), {})
    with pytest.raises(Refusal) as caught:
        prompt.conversation()
    assert (caught.value.code, caught.value.field) == (
        "unsupported_feature",
        "input[0].encrypted_content",
    )


PIECES = st.lists(
    st.sampled_from(
        [
            [says("Rules.", "developer")],
            [says("Hi")],
            [says("Hello", "assistant")],
            [call("c"), result("c", "x" * 30)],
            [call("c"), call("d"), result("d"), result("c")],
            [{"type": "reasoning", "summary": []}, call("c"), says("Hm"), result("c")],
        ]
    ),
    min_size=1,
    max_size=12,
)


@given(PIECES, st.integers(1, 3_000))
@settings(deadline=None)
def test_whatever_is_left_is_a_request_again(pieces: list[Any], context_tokens: int) -> None:
    items = [item for piece in pieces for item in piece]
    item = compacted(items, context_tokens)
    left = heard(item)
    instructions = sum(part == [says("Rules.", "developer")] for part in pieces)
    assert texts(left).count("Rules.") == instructions
