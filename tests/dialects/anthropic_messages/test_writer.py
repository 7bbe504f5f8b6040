"""Answers written from canon events, streamed and whole."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from portico.canon.conversation import Thought
from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Refused,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.usage import Meters
from portico.dialects.anthropic_messages.answers.writer import PING, StreamWriter, writer_for

from .bodies import SIGNATURES, WEATHER, assistant, called, parsed, result, text, user
from .streams import assembled, check_stream, events_in, streamed, whole

METERS = Meters(
    input_text=5,
    input_image=3,
    input_cache_read=2,
    input_cache_write_5m=7,
    input_cache_write_1h=11,
    output_text=3,
    output_reasoning=1,
)
ADAPTIVE = {"thinking": {"type": "adaptive"}}
OMITTED = {"thinking": {"type": "adaptive", "display": "omitted"}}
CALLS = (
    ToolCallBegan(0, "call_a", "f"),
    ToolArguments(0, '{"a":'),
    ToolArguments(0, "1}"),
    ToolCallBegan(1, "call_b", "g"),
)


def said(*events: Event, reason: FinishReason = "stop", **more: Any) -> tuple[Delta, Delta]:
    return Delta(events=events), Delta(
        events=(Finished(reason, **more),), meters=METERS, last=True, finish=reason
    )


def both(*deltas: Delta, **fields: Any) -> dict[str, Any]:
    """The message as a whole answer; checks that the stream, put together, says the same."""
    message = whole(*deltas, **fields)
    events = streamed(*deltas, **fields)
    assert assembled(events) == message["content"]
    end = next(event for event in events if event["type"] == "message_delta")
    assert end["delta"] == {name: message[name] for name in end["delta"]}
    assert end["usage"] == {name: message["usage"][name] for name in end["usage"]}
    return message


def test_a_stream_byte_for_byte() -> None:
    writer = writer_for(parsed(stream=True), "req_7", 0, SIGNATURES)
    written = [
        writer.write(Delta(events=(Text("Hi"),), output_tokens=1)),
        writer.write(Delta(events=(Text(" é"), Text("\n")), output_tokens=2)),
        writer.write(Delta(events=(Finished("stop"),), meters=METERS, last=True)),
    ]
    check_stream(written)
    assert [write.decode() for write in written] == snapshot(
        [
            """\
event: message_start
data: {"type":"message_start","message":{"id":"msg_7","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1,"output_tokens_details":{"thinking_tokens":0},"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"server_tool_use":null,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

""",
            """\
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" é"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\n"}}

""",
            """\
event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null},"usage":{"input_tokens":8,"cache_creation_input_tokens":18,"cache_read_input_tokens":2,"output_tokens":4,"output_tokens_details":{"thinking_tokens":1}}}

event: message_stop
data: {"type":"message_stop"}

""",
        ]
    )


def test_a_message() -> None:
    assert both(
        *said(Reasoning("Let me"), Reasoning(" see."), Text("Hi"), Text(" there")), **ADAPTIVE
    ) == snapshot(
        {
            "id": "msg_7",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [
                {
                    "type": "thinking",
                    "thinking": "Let me see.",
                    "signature": "pt1.xQrbI3M1_jg5gYkistnivQFgmgkKUt4IMqi90VfuBTqeGcqGeMl0lH3KMqtOLkhJrDoB1bch0gJX0XkXqqoJ8t987ZBlGT5IUX8pEEnSJXodZg==",
                },
                {"type": "text", "text": "Hi there"},
            ],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "stop_details": None,
            "usage": {
                "input_tokens": 8,
                "cache_creation_input_tokens": 18,
                "cache_read_input_tokens": 2,
                "output_tokens": 4,
                "output_tokens_details": {"thinking_tokens": 1},
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 7,
                    "ephemeral_1h_input_tokens": 11,
                },
                "server_tool_use": None,
                "service_tier": "standard",
            },
        }
    )


@pytest.mark.parametrize(
    ("events", "reason", "sequence", "expected", "told"),
    [
        ((Text("a"),), "stop", "", "end_turn", None),
        ((Text("a"),), "stop_sequence", "END", "stop_sequence", "END"),
        ((Text("a"),), "stop", "END", "stop_sequence", "END"),
        ((Text("a"),), "stop_sequence", "", "stop_sequence", None),
        ((Text("a"),), "length", "", "max_tokens", None),
        ((Text("a"),), "context", "", "model_context_window_exceeded", None),
        ((Text("a"),), "paused", "", "pause_turn", None),
        ((Text("a"),), "content_filter", "", "refusal", None),
        ((Text("a"),), "refused", "", "refusal", None),
        ((Refused("No."),), "stop", "", "refusal", None),
        (CALLS, "stop", "", "tool_use", None),
        (CALLS, "tool_calls", "", "tool_use", None),
        (CALLS, "length", "", "max_tokens", None),
        (CALLS, "content_filter", "", "refusal", None),
        ((Text("a"),), "tool_calls", "", "end_turn", None),
        ((), "stop", "", "end_turn", None),
    ],
)
def test_every_reason_is_computed_from_what_was_said(
    events: Any, reason: FinishReason, sequence: str, expected: str, told: str | None
) -> None:
    message = both(*said(*events, reason=reason, sequence=sequence))
    assert (message["stop_reason"], message["stop_sequence"]) == (expected, told)
    assert (message["stop_details"] is not None) == (expected == "refusal")


def test_the_first_reason_counts() -> None:
    deltas = (
        Delta(events=(Text("a"), Finished("length"))),
        Delta(events=(Finished("stop"), Text("b")), last=True),
    )
    message = both(*deltas)
    assert message["stop_reason"] == "max_tokens"
    assert message["content"] == [{"type": "text", "text": "ab"}]


def test_an_end_without_a_reason_is_an_end() -> None:
    assert both(Delta(events=(Text("a"),), last=True))["stop_reason"] == "end_turn"


def test_a_refusal_says_what_the_model_said() -> None:
    message = both(*said(Refused("I can"), Refused("not.")))
    assert message["content"] == [{"type": "text", "text": "I cannot."}]
    assert message["stop_details"] == {
        "type": "refusal",
        "category": None,
        "explanation": "I cannot.",
    }


def test_calls_are_blocks_and_one_without_arguments_has_an_empty_input() -> None:
    message = both(*said(Text("So."), *CALLS))
    assert message["content"] == [
        {"type": "text", "text": "So."},
        {"type": "tool_use", "id": "call_a", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_b", "name": "g", "input": {}},
    ]


def test_calls_that_come_entangled_are_parted() -> None:
    events = (
        ToolCallBegan(0, "call_a", "f"),
        ToolCallBegan(1, "call_b", "g"),
        ToolCallBegan(2, "call_c", "h"),
        ToolArguments(1, '{"b":'),
        ToolArguments(0, '{"a":'),
        ToolArguments(1, "2}"),
        ToolArguments(0, "1}"),
        ToolArguments(2, "{}"),
    )
    message = both(*said(*events))
    assert [block["input"] for block in message["content"]] == [{"a": 1}, {"b": 2}, {}]


def test_arguments_go_out_as_they_come_while_nothing_is_entangled() -> None:
    writer = writer_for(parsed(stream=True), "req_7", 0, SIGNATURES)
    writer.write(Delta(events=CALLS[:2]))
    assert b'"partial_json":"1}"' in writer.write(Delta(events=(CALLS[2],)))
    assert b'"name":"g"' in writer.write(Delta(events=(CALLS[3],)))


def test_thinking_is_for_those_who_asked() -> None:
    events = (Reasoning("Hm."), Sealed("EqQB", "anthropic"), Text("a"))
    for fields in ({}, {"thinking": {"type": "disabled"}}, {"output_config": {"effort": "low"}}):
        message = both(*said(*events), **fields)
        assert message["content"] == [{"type": "text", "text": "a"}]
        assert message["usage"]["output_tokens_details"] == {"thinking_tokens": 1}


def test_our_own_thoughts_are_signed() -> None:
    (thinking, _) = both(*said(Reasoning("Hm."), Text("a")), **ADAPTIVE)["content"]
    assert thinking["thinking"] == "Hm."
    assert SIGNATURES.read("Hm.", thinking["signature"]) == Thought("Hm.", issuer="portico")


def test_a_thought_that_is_not_shown_is_in_its_signature() -> None:
    (thinking, _) = both(*said(Reasoning("Hm"), Reasoning("."), Text("a")), **OMITTED)["content"]
    assert thinking["thinking"] == ""
    assert "Hm" not in thinking["signature"]
    assert SIGNATURES.read("", thinking["signature"]) == Thought("Hm.", issuer="portico")


@pytest.mark.parametrize("fields", [ADAPTIVE, OMITTED])
def test_a_providers_signature_passes_as_it_is(fields: dict[str, Any]) -> None:
    events = (Reasoning("Hm."), Sealed("EqQB", "anthropic"), Text("a"))
    (thinking, _) = both(*said(*events), **fields)["content"]
    assert thinking["signature"] == "EqQB"


def test_what_another_issuer_sealed_comes_back_to_it() -> None:
    events = (Reasoning("Hm.", summary=True), Sealed("gAAA", "openai"), Sealed("gBBB", "openai"))
    first, second = both(*said(*events), **ADAPTIVE)["content"]
    assert SIGNATURES.read("Hm.", first["signature"]) == Thought("Hm.", "gAAA", "openai")
    assert SIGNATURES.read("", second["signature"]) == Thought("", "gBBB", "openai")


def test_a_redacted_thought_is_a_block_of_its_own() -> None:
    events = (Reasoning("Hm."), Sealed("redacted_thinking:Emw", "anthropic"), Text("a"))
    content = both(*said(*events), **ADAPTIVE)["content"]
    assert content[1] == {"type": "redacted_thinking", "data": "Emw"}
    assert [block["type"] for block in content] == ["thinking", "redacted_thinking", "text"]


def test_another_answer_is_nobodys() -> None:
    message = both(*said(Text("a"), Text("b", 1), ToolCallBegan(0, "c", "f", 1)))
    assert message["content"] == [{"type": "text", "text": "a"}]


def test_half_a_character_does_not_cost_the_answer() -> None:
    events = (Text("\ud83d"), ToolCallBegan(0, "c", "f"), ToolArguments(0, '{"\ud83d"'))
    streamed(*said(*events))
    message = whole(*said(*events))
    assert message["content"][0]["text"] == "\ufffd"


@pytest.mark.parametrize("cut", ['{"a": 1, "b": "tw', "[1]", "null", "5", "[" * 100_000, "{} {}"])
def test_arguments_that_are_no_object_are_wrapped(cut: str) -> None:
    deltas = said(ToolCallBegan(0, "c", "f"), ToolArguments(0, cut), reason="length")
    (block,) = whole(*deltas)["content"]
    assert block["input"] == {"INVALID_JSON": cut}
    verbatim = [event for event in streamed(*deltas) if event["type"] == "content_block_delta"]
    assert [event["delta"]["partial_json"] for event in verbatim] == [cut]


def test_a_cut_says_whose_it_was() -> None:
    end = Delta(events=(Finished("length"),), last=True, cut="credit_balance_exhausted")
    message = whole(Delta(events=(Text("a"),)), end)
    assert message["stop_reason"] == "max_tokens"
    assert message["portico_stop_reason"] == "credit_balance_exhausted"


def test_usage_counts_every_token_once() -> None:
    usage = both(*said(Text("a")))["usage"]
    assert usage == snapshot(
        {
            "input_tokens": 8,
            "cache_creation_input_tokens": 18,
            "cache_read_input_tokens": 2,
            "output_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 1},
            "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 11},
            "server_tool_use": None,
            "service_tier": "standard",
        }
    )
    cached = usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]
    assert usage["input_tokens"] + cached == METERS.input_tokens
    assert usage["output_tokens"] == METERS.output_tokens
    assert sum(usage["cache_creation"].values()) == usage["cache_creation_input_tokens"]


def test_a_ping_before_anything_else_begins_the_message() -> None:
    writer = writer_for(parsed(stream=True), "req_7", 0, SIGNATURES)
    first, second = writer.ping(), writer.ping()
    assert [event["type"] for event in events_in(first)] == ["message_start", "ping"]
    assert second == PING
    rest = writer.write(Delta(events=(Text("a"),), last=True))
    check_stream([first, second, rest])


def test_bytes_of_an_engine_of_this_dialect_pass_through() -> None:
    for stream in (True, False):
        writer = writer_for(parsed(stream=stream), "req_7", 0, SIGNATURES)
        assert writer.write(Delta(raw=b"anything", last=True)) == b"anything"


def test_a_message_that_was_begun_for_a_ping_is_not_begun_again_by_the_engine() -> None:
    sender = writer_for(parsed(stream=True), "req_1", 0, SIGNATURES)
    raw = [sender.write(Delta(events=(Text("a"),))), sender.write(Delta(last=True))]
    writer = writer_for(parsed(stream=True), "req_7", 0, SIGNATURES)
    check_stream([writer.ping(), *(writer.write(Delta(raw=each)) for each in raw)])


def test_a_stream_that_is_cut_while_bytes_pass_through_is_closed() -> None:
    deltas = [Delta(events=(Text("a"), *CALLS[:2])), Delta(last=True)]
    sender = writer_for(parsed(stream=True), "req_1", 0, SIGNATURES)
    raw = sender.write(deltas[0])
    writer = writer_for(parsed(stream=True), "req_7", 0, SIGNATURES)
    assert isinstance(writer, StreamWriter)
    passed = writer.write(Delta(raw=raw, output_tokens=3))
    cut = writer.write(Delta(events=(Finished("length"),), last=True, cut="x"))
    *_, stop, delta, _ = check_stream([passed, cut])
    assert stop == {"type": "content_block_stop", "index": 1}
    assert delta["usage"]["output_tokens"] == 3


EVENTS = st.one_of(
    st.builds(Text, st.sampled_from(["", "a", "é🙂"])),
    st.builds(Reasoning, st.sampled_from(["", "t"])),
    st.builds(Refused, st.just("no")),
    st.builds(
        Sealed, st.sampled_from(["x", "redacted_thinking:y"]), st.sampled_from(["anthropic", "o"])
    ),
    st.builds(
        ToolCallBegan, st.integers(0, 3), st.sampled_from(["", "a", "b c", "call_0"]), st.just("f")
    ),
    st.builds(ToolArguments, st.integers(0, 3), st.sampled_from(["", "{", "}", "{}", '"', "1"])),
    st.builds(Finished, st.sampled_from(["stop", "length", "tool_calls"])),
)


@given(
    st.lists(st.lists(EVENTS, max_size=6), max_size=6),
    st.sampled_from([{}, ADAPTIVE, OMITTED]),
)
@settings(deadline=None, max_examples=150)
def test_any_events_make_a_stream_in_order(runs: list[list[Event]], fields: dict[str, Any]) -> None:
    deltas = [Delta(events=tuple(run), output_tokens=1) for run in runs]
    end = Delta(events=(Finished("stop"),), meters=METERS, last=True)
    events = streamed(*deltas, end, **fields)
    message = whole(*deltas, end, **fields)
    assert len(message["content"]) == sum(e["type"] == "content_block_start" for e in events)
    ids = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    assert len(set(ids)) == len(ids)


def test_ids_are_kept_unless_clients_trip_over_them() -> None:
    history = [user(text("a")), assistant(called("call_0")), user(result("x", "call_0"))]
    events = [
        ToolCallBegan(at, call_id, "f")
        for at, call_id in enumerate(["call_0", "fine_1", "fine_1", "", "a b", "tööl"])
    ]
    message = both(*said(*events), messages=history, tools=[WEATHER])
    ids = [block["id"] for block in message["content"]]
    assert ids == ["toolu_700", "fine_1", "toolu_702", "toolu_703", "toolu_704", "toolu_705"]
    assert json.dumps(ids)
