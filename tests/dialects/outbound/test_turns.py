"""Histories as the strict dialects want them."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from portico.canon.conversation import Item, Message, TextPart, ToolCall, ToolResult
from portico.dialects.outbound.turns import history_of, with_legal_ids

from .asked import HI


def ids(items: list[Item]) -> list[str]:
    return [
        item.id if isinstance(item, ToolCall) else item.call_id
        for item in items
        if isinstance(item, ToolCall | ToolResult)
    ]


def call(id: str) -> ToolCall:
    return ToolCall(id, "look", "{}")


def result(id: str) -> ToolResult:
    return ToolResult(id, ())


def test_ids_that_can_be_kept_are_kept() -> None:
    history = [HI, call("toolu_01-a"), result("toolu_01-a"), call("b"), result("b")]
    assert with_legal_ids(history) == history


def test_edge_07_an_id_of_every_turn_is_used_once() -> None:
    history = [HI, call("call_0"), result("call_0"), call("call_0"), result("call_0")]
    assert ids(with_legal_ids(history)) == ["call_0", "call_0", "call_3", "call_3"]


def test_edge_07_calls_made_at_once_with_one_id_are_paired_by_position() -> None:
    history = [HI, call("x"), call("x"), result("x"), result("x")]
    assert ids(with_legal_ids(history)) == ["x", "call_2", "x", "call_2"]


def test_edge_07_empty_and_strange_ids_are_changed() -> None:
    history = [HI, call(""), call("a b|c"), result(""), result("a b|c")]
    assert ids(with_legal_ids(history)) == ["call_1", "call_2", "call_1", "call_2"]


def test_a_signature_behind_an_id_is_not_shown_to_a_provider() -> None:
    """Other gateways append Gemini's to the id, and pass 64 characters with it."""
    id = "call_1__thought__" + "A" * 200
    assert ids(with_legal_ids([HI, call(id), result(id)])) == ["call_1", "call_1"]


def test_a_call_that_nobody_answered_does_not_take_a_later_result() -> None:
    history = [HI, call("x"), HI, call("x"), result("x")]
    assert ids(with_legal_ids(history)) == ["x", "call_3", "call_3"]


def test_a_fresh_id_is_never_one_that_is_taken() -> None:
    history = [HI, call("call_2"), call("")]
    assert ids(with_legal_ids(history)) == ["call_2", "call_2_"]


histories = st.lists(
    st.one_of(
        st.just(HI),
        st.just(Message("assistant", (TextPart("x"),))),
        st.just(Message("system", (TextPart("s"),))),
        st.sampled_from(["", "a", "b", "call_3", "é"]).map(call),
        st.sampled_from(["", "a", "b", "call_3", "é"]).map(result),
    ),
    max_size=12,
)


@given(histories)
def test_calls_have_different_ids_and_turns_alternate(items: list[Item]) -> None:
    named = with_legal_ids(items)
    calls = [item.id for item in named if isinstance(item, ToolCall)]
    assert len(calls) == len(set(calls))
    assert len(named) == len(items)
    assert with_legal_ids(items) == named, "the same every time"
    sides = [turn.side for turn in history_of(items).turns]
    assert all(one != other for one, other in itertools.pairwise(sides))


@given(histories)
def test_results_stand_first_in_their_turn(items: list[Item]) -> None:
    for turn in history_of(items).turns:
        if turn.side == "user":
            kinds = [isinstance(item, ToolResult) for item in turn.ordered()]
            assert kinds == sorted(kinds, reverse=True)
            assert len(kinds) == len(turn.items)
