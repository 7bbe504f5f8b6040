"""The edge boxes of the protocol notes that concern Messages, one named test each: things that broke
other people's clients and servers."""

import json
from typing import Any

import pytest

from portico import errors
from portico.canon.delta import Delta, Event, Finished, Text, ToolArguments, ToolCallBegan
from portico.canon.prompt import Prompt
from portico.dialects.anthropic_messages.answers.writer import PING, writer_for
from portico.dialects.anthropic_messages.errors import event
from portico.errors import Refusal

from .bodies import SIGNATURES, assistant, called, encoded, parsed, read, result, text, user
from .golden import golden
from .streams import OrderMachine, check_framing, check_stream, events_in, streamed, whole


def ends(*events: Event, **more: Any) -> Delta:
    return Delta(events=(*events, Finished("stop")), last=True, **more)


def test_edge_04_indices_count_blocks_whatever_the_engine_counts() -> None:
    events = streamed(
        Delta(events=(ToolCallBegan(7, "a", "f"), ToolArguments(7, "{}"))),
        ends(ToolCallBegan(3, "b", "f"), ToolArguments(3, "{}"), Text("x")),
    )
    starts = [event["index"] for event in events if event["type"] == "content_block_start"]
    assert starts == [0, 1, 2]


@pytest.mark.parametrize("said", ["stop", "tool_calls"])
def test_edge_05_one_reason_computed_from_what_was_called(said: Any) -> None:
    deltas = (
        Delta(events=(ToolCallBegan(0, "a", "f"), Finished(said))),
        Delta(events=(Finished("stop"),), last=True),
    )
    told = [e["delta"] for e in streamed(*deltas) if e["type"] == "message_delta"]
    assert [each["stop_reason"] for each in told] == ["tool_use"]
    nothing = whole(Delta(events=(Text("a"), Finished("tool_calls")), last=True))
    assert nothing["stop_reason"] == "end_turn"


def test_edge_07_an_id_that_was_used_in_an_earlier_turn_is_made_anew() -> None:
    history = [user(text("a")), assistant(called("call_0")), user(result("x", "call_0"))]
    message = whole(ends(ToolCallBegan(0, "call_0", "f")), messages=history)
    (block,) = message["content"]
    assert block["id"] != "call_0"
    first = whole(ends(ToolCallBegan(0, "call_0", "f")))
    assert first["content"][0]["id"] == "call_0"


def test_edge_08_half_a_call_is_verbatim_in_a_stream_and_wrapped_in_a_whole_answer() -> None:
    end = Delta(
        events=(ToolCallBegan(0, "a", "f"), ToolArguments(0, '{"a": "b'), Finished("length")),
        last=True,
    )
    pieces = [e["delta"] for e in streamed(end) if e["type"] == "content_block_delta"]
    assert pieces == [{"type": "input_json_delta", "partial_json": '{"a": "b'}]
    assert whole(end)["content"][0]["input"] == {"INVALID_JSON": '{"a": "b'}


def test_edge_09_a_stream_that_fails_ends_with_an_error_event() -> None:
    writer = writer_for(parsed(stream=True), "req_7", 0, SIGNATURES)
    stream = writer.write(Delta(events=(Text("a"),)))
    stream += event(errors.UPSTREAM_FAILED("It ended too early."), "req_7")
    machine = OrderMachine()
    for each in events_in(stream):
        machine.take(each)
    assert machine.state == "over"
    check_framing([stream])


def test_edge_13_a_keep_alive_is_an_event_of_this_dialect() -> None:
    writer = writer_for(parsed(stream=True), "req_7", 0, SIGNATURES)
    writes = [writer.write(Delta(events=(Text("a"),))), writer.ping(), writer.write(ends())]
    assert writes[1] == PING
    check_stream(writes)


def test_edge_19_half_a_character_is_refused_by_name_and_never_a_500() -> None:
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\\ud83d"}]}'
    with pytest.raises(Refusal) as caught:
        read(body, {})
    assert (caught.value.code, caught.value.field) == ("lone_surrogate", "messages[0].content")


def test_edge_21_members_of_betas_never_fail_a_request() -> None:
    body = golden(
        "m",
        betas=["x"],
        fallbacks=[{"model": "n"}],
        billing_policy={},
        thread={"id": "t"},
        compaction={"type": "auto"},
        mcp_servers=[{"type": "url", "url": "https://x", "name": "n"}],
    )
    prompt = read(json.dumps(body).encode(), {})
    assert {"context_management", "fallbacks", "thread"} <= set(prompt.conversation().dropped)


def test_edge_23_history_is_taken_without_what_only_servers_write() -> None:
    messages = [
        user(text("a")),
        assistant({"type": "thinking", "thinking": "t"}, {"type": "text", "text": "b"}),
        user(text("c")),
    ]
    assert isinstance(parsed(messages=messages), Prompt)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"x"',
        encoded(messages=[]),
        encoded(messages={}),
        encoded(tool_choice=7),
        encoded(tools=[None]),
        encoded(messages=[{"role": "user", "content": [None]}]),
        encoded(messages=[{"role": "user", "content": [{"type": None}]}]),
        encoded(messages=[{"role": "user", "content": [{"type": ["_tool_result"]}]}]),
    ],
)
def test_edge_27_odd_bodies_are_400(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read(body, {})
    assert caught.value.status == 400


def test_edge_27_a_tool_choice_of_null_is_none_said() -> None:
    assert parsed(tool_choice=None, tools=None, system=None).conversation().tool_choice == "auto"
