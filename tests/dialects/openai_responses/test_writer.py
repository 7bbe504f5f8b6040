"""Answers written from canon events."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from portico import errors
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
from portico.dialects.openai_responses.answers.answer import SUPPRESSED
from portico.dialects.openai_responses.answers.writer import StreamWriter, WholeWriter, Writers
from portico.dialects.writing import PING
from portico.errors import Refusal

from .bodies import CLOCK, NAMESPACE, PATCH, SEALS, TOOL, parsed
from .streams import check_response, check_stream

METERS = Meters(input_text=5, input_cache_read=2, output_text=3, output_reasoning=1)
LOGPROB = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
WRITERS = Writers(SEALS, CLOCK)
BROKEN = errors.UPSTREAM_FAILED("The engine fell over.")


def last(*events: Event, reason: FinishReason = "stop", **fields: Any) -> Delta:
    return Delta(events=(*events, Finished(reason)), meters=METERS, last=True, **fields)


def writer(**fields: Any) -> StreamWriter:
    made = WRITERS.of(parsed(stream=True, **fields), "req_7", 1_700_000_000)
    assert isinstance(made, StreamWriter)
    return made


def streamed(*deltas: Delta, **fields: Any) -> list[dict[str, Any]]:
    """The events of a whole stream, each checked on its way."""
    made = writer(**fields)
    return check_stream(b"".join(made.write(delta) for delta in deltas))


def whole(*deltas: Delta, **fields: Any) -> dict[str, Any]:
    made = WRITERS.of(parsed(**fields), "req_7", 1_700_000_000)
    assert isinstance(made, WholeWriter)
    *before, body = [made.write(delta) for delta in deltas]
    assert not any(before)
    answer: dict[str, Any] = json.loads(body)
    check_response(answer)
    return answer


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_a_stream_byte_for_byte() -> None:
    made = writer()
    writes = [made.write(Delta(events=(Text("Hi"), Text(" é")))).decode()]
    writes.append(made.write(last()).decode())
    check_stream("".join(writes))
    assert writes[0].partition("event: response.output_item.added")[2] == snapshot(
        """\

data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_70","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.content_part.added
data: {"type":"response.content_part.added","sequence_number":3,"item_id":"msg_70","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_70","output_index":0,"content_index":0,"delta":"Hi","logprobs":[]}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_70","output_index":0,"content_index":0,"delta":" é","logprobs":[]}

"""
    )
    assert writes[1] == snapshot("""\
event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":6,"item_id":"msg_70","output_index":0,"content_index":0,"text":"Hi é","logprobs":[]}

event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":7,"item_id":"msg_70","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Hi é","annotations":[],"logprobs":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{"id":"msg_70","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi é","annotations":[],"logprobs":[]}]}}

event: response.completed
data: {"type":"response.completed","sequence_number":9,"response":{"id":"resp_7","object":"response","created_at":1700000000,"completed_at":1700000000,"status":"completed","error":null,"incomplete_details":null,"output":[{"id":"msg_70","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi é","annotations":[],"logprobs":[]}]}],"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"model":"m","parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},"safety_identifier":null,"service_tier":"default","store":false,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"truncation":"disabled","background":false,"user":null,"metadata":{},"usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":2,"cache_write_tokens":0},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":11}}}

data: [DONE]

""")


def test_edge_22_text_is_opened_told_and_closed() -> None:
    events = streamed(Delta(events=(Text("Hi"),)), last(Text(" there")))
    assert kinds(events) == snapshot(
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
    )
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hi there"


def test_a_whole_answer() -> None:
    assert whole(Delta(events=(Text("Hi"),)), last(), metadata={"a": "b"}) == snapshot(
        {
            "id": "resp_7",
            "object": "response",
            "created_at": 1700000000,
            "completed_at": 1700000000,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "output": [
                {
                    "id": "msg_70",
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}
                    ],
                }
            ],
            "instructions": None,
            "max_output_tokens": None,
            "max_tool_calls": None,
            "model": "m",
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "prompt_cache_key": None,
            "reasoning": {"effort": None, "summary": None},
            "safety_identifier": None,
            "service_tier": "default",
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_logprobs": 0,
            "top_p": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "truncation": "disabled",
            "background": False,
            "user": None,
            "metadata": {"a": "b"},
            "usage": {
                "input_tokens": 7,
                "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
                "output_tokens": 4,
                "output_tokens_details": {"reasoning_tokens": 1},
                "total_tokens": 11,
            },
        }
    )


def test_the_whole_answer_is_what_the_stream_ends_with() -> None:
    deltas = [
        Delta(events=(Reasoning("Hm."), Text("Hi", logprobs=(LOGPROB,)))),
        Delta(events=(ToolCallBegan(0, "c1", "get_weather"), ToolArguments(0, "{}"))),
        last(reason="tool_calls"),
    ]
    fields = {"tools": [TOOL], "include": ["reasoning.encrypted_content"]}
    assert whole(*deltas, **fields) == streamed(*deltas, **fields)[-1]["response"]


def test_logprobs_are_with_their_text() -> None:
    events = streamed(Delta(events=(Text("Hi", logprobs=(LOGPROB,)),)), last(), top_logprobs=1)
    told = [event["logprobs"] for event in events if "logprobs" in event]
    assert told == [[LOGPROB], [LOGPROB]]


def test_a_refusal_is_a_part_of_its_own() -> None:
    events = streamed(Delta(events=(Text("Well."), Refused("I"), Refused(" will not."))), last())
    (message,) = events[-1]["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "I will not."


@pytest.mark.parametrize(
    ("asked", "shown"), [({"summary": "auto"}, "summary"), ({}, "content"), (None, "content")]
)
def test_thoughts_are_summarised_where_a_summary_was_asked_for(asked: Any, shown: str) -> None:
    events = streamed(Delta(events=(Reasoning("Let"), Reasoning(" me"))), last(), reasoning=asked)
    (item,) = events[-1]["response"]["output"]
    assert item[shown][0]["text"] == "Let me"
    assert "encrypted_content" not in item


def test_a_summary_of_the_engines_own_stays_one() -> None:
    events = streamed(Delta(events=(Reasoning("Raw."), Reasoning("Told.", summary=True))), last())
    (item,) = events[-1]["response"]["output"]
    assert (item["content"][0]["text"], item["summary"][0]["text"]) == ("Raw.", "Told.")


def test_what_openai_sealed_is_passed_on_as_it_is() -> None:
    thought = (Reasoning("Hm.", summary=True), Sealed("gAAAA=", "openai"), Text("Hi"))
    include = ["reasoning.encrypted_content"]
    events = streamed(Delta(events=thought), last(), include=include)
    assert events[-1]["response"]["output"][0]["encrypted_content"] == "gAAAA="
    unasked = streamed(Delta(events=thought), last())
    assert "encrypted_content" not in unasked[-1]["response"]["output"][0]


def test_calls_of_every_kind() -> None:
    calls = (
        *(ToolCallBegan(0, "c1", "get_weather"), ToolArguments(0, '{"a"'), ToolArguments(0, ":1}")),
        *(ToolCallBegan(1, "c2", "apply_patch", custom=True), ToolArguments(1, "*** Begin")),
        *(ToolCallBegan(2, "c3", "agents__get_weather"),),
    )
    tools = [TOOL, PATCH, NAMESPACE]
    events = streamed(Delta(events=calls), last(reason="tool_calls"), tools=tools)
    output = events[-1]["response"]["output"]
    assert [(item["type"], item["call_id"], item["name"]) for item in output] == [
        ("function_call", "c1", "get_weather"),
        ("custom_tool_call", "c2", "apply_patch"),
        ("function_call", "c3", "get_weather"),
    ]
    assert [item.get("arguments", item.get("input")) for item in output] == [
        '{"a":1}',
        "*** Begin",
        "{}",
    ]
    assert [item.get("namespace") for item in output] == [None, None, "agents"]
    assert events[-1]["response"]["status"] == "completed"


def test_a_call_that_is_not_allowed_is_suppressed() -> None:
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [PATCH]}
    calls = (
        *(Text("Well."), ToolCallBegan(0, "c1", "get_weather"), ToolArguments(0, "{}")),
        *(ToolCallBegan(1, "c2", "apply_patch", custom=True), ToolArguments(1, "x")),
    )
    fields: dict[str, Any] = {"tools": [TOOL, PATCH], "tool_choice": allowed}
    response = streamed(Delta(events=calls), last(), **fields)[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["message", "custom_tool_call"]
    assert response["warnings"] == [SUPPRESSED]
    fields["tool_choice"] = "none"
    response = whole(Delta(events=calls), last(), **fields)
    assert [item["type"] for item in response["output"]] == ["message"]


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("refused", "completed", None),
        ("paused", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("context", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_why_it_ended(reason: FinishReason, status: str, details: Any) -> None:
    events = streamed(Delta(events=(Text("Hi"),)), last(reason=reason))
    response = events[-1]["response"]
    assert (events[-1]["type"], response["status"]) == (f"response.{status}", status)
    assert response["incomplete_details"] == details
    assert response["output"][0]["status"] == status
    assert (response["completed_at"] is None) == (status == "incomplete")


def test_edge_08_arguments_cut_off_are_told_as_they_are() -> None:
    calls = (ToolCallBegan(0, "c1", "get_weather"), ToolArguments(0, '{"a'))
    (item,) = whole(Delta(events=calls), last(reason="length"), tools=[TOOL])["output"]
    assert (item["arguments"], item["status"]) == ('{"a', "incomplete")


def test_why_we_ended_it_is_said() -> None:
    cut = Delta(events=(Finished("length"),), last=True, cut="credit_balance_exhausted")
    response = streamed(Delta(events=(Text("Hi"),)), cut)[-1]["response"]
    assert response["portico_stop_reason"] == "credit_balance_exhausted"


def test_edge_05_what_comes_twice_or_too_late_does_no_harm() -> None:
    events = streamed(
        Delta(events=(Text("Hi"), Finished("stop"), Finished("stop"), Text(" more"))), last()
    )
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hi more"


def test_edge_19_half_a_character_becomes_a_sign_for_it() -> None:
    events = streamed(Delta(events=(Text("\ud83d"),)), last())
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "\ufffd"


def test_another_choice_is_nobodys() -> None:
    events = streamed(Delta(events=(Text("?", 97), Text("Hi"))), last())
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hi"


def test_a_call_that_goes_on_after_it_was_done_breaks_the_stream_off() -> None:
    made = writer(tools=[TOOL])
    mixed = (ToolCallBegan(0, "c1", "f"), ToolCallBegan(1, "c2", "f"), ToolArguments(0, "{}"))
    said = made.write(Delta(events=(Text("Hi"),)))
    with pytest.raises(Refusal) as caught:
        made.write(Delta(events=mixed))
    check_stream(said + made.fail(caught.value))


def test_warnings_are_in_the_response() -> None:
    assert whole(last(), store=True)["warnings"] == ['not_stored; field="store"; action=dropped']
    assert "warnings" not in whole(last())


# Keep-alive and failure
def test_edge_13_keep_alives_are_events_with_numbers_of_their_own() -> None:
    made = writer()
    stream = made.ping() + made.ping() + made.write(Delta(events=(Text("Hi"),))) + made.ping()
    stream += made.write(last())
    events = check_stream(stream)
    assert kinds(events)[:3] == ["created", "in_progress", "in_progress"]
    assert kinds(events).count("in_progress") == 3


def test_after_the_end_is_written_a_keep_alive_is_a_comment() -> None:
    made = writer()
    end = made.write(last(Text("Hi")))
    assert made.ping() == PING
    check_stream(PING + end)


@pytest.mark.parametrize("before", [[], [Delta(events=(Text("Hi"),))], [Delta(), Delta()]])
def test_edge_09_a_failure_is_told_in_both_shapes(before: list[Delta]) -> None:
    made = writer()
    stream = b"".join(made.write(delta) for delta in before) + made.fail(BROKEN)
    *_, error, failed = check_stream(stream)
    assert (error["code"], error["error"]["code"]) == ("upstream_failed", "upstream_failed")
    assert error["error"]["type"] == "server_error"
    assert failed["response"]["error"]["code"] == "server_error"


def test_what_was_said_until_it_failed_is_in_the_response() -> None:
    made = writer()
    stream = made.write(Delta(events=(Reasoning("Hm."), Text("Hi")), output_tokens=2))
    failed = check_stream(stream + made.fail(BROKEN))[-1]["response"]
    assert [item["status"] for item in failed["output"]] == ["completed", "incomplete"]
    assert failed["usage"]["output_tokens"] == 2


def test_a_failure_after_the_end_was_written_and_not_sent() -> None:
    made = writer()
    stream = made.write(Delta(events=(Text("Hi"),)))
    made.write(last(Text(" there")))
    check_stream(stream + made.fail(BROKEN))


def test_a_failure_after_an_engines_own_events_goes_on_with_its_numbers() -> None:
    made = writer()
    raw = b'event: response.created\ndata: {"type":"response.created","sequence_number": 41}\n\n'
    assert made.write(Delta(raw=raw)) == raw
    assert made.ping() == PING
    assert b'"sequence_number":42' in made.fail(BROKEN)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (errors.CONCURRENCY("Too many."), "rate_limit_exceeded"),
        (errors.CONTEXT_LENGTH("Too long."), "invalid_prompt"),
        (errors.INTERNAL("Oh."), "server_error"),
    ],
)
def test_the_response_object_knows_a_few_codes(refusal: Refusal, code: str) -> None:
    failed = check_stream(writer().fail(refusal))[-1]["response"]
    assert failed["error"]["code"] == code


# Laws
def test_usage_counts_what_was_cached_and_thought() -> None:
    usage = whole(last(Text("Hi")))["usage"]
    assert usage == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 11,
    }


@given(st.builds(Meters, *[st.integers(0, 9)] * 9))
def test_usage_adds_up(meters: Meters) -> None:
    usage = whole(Delta(events=(Finished("stop"),), meters=meters, last=True))["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (
        meters.input_tokens,
        meters.output_tokens,
    )


WORD = st.text(st.characters(), max_size=3)
SAYING = st.one_of(
    st.builds(Text, WORD),
    st.builds(Refused, WORD),
    st.builds(Reasoning, WORD, st.just(0), st.booleans()),
    st.builds(Sealed, st.just("b"), st.sampled_from(["openai", "anthropic"])),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Events in an order that canon allows: arguments follow their call."""
    events: list[Event] = []
    calls = 0
    for _ in range(draw(st.integers(0, 8))):
        if draw(st.booleans()):
            events.append(draw(SAYING))
            continue
        custom = draw(st.booleans())
        events.append(ToolCallBegan(calls, f"c{calls}", "f", custom=custom))
        events += [ToolArguments(calls, draw(WORD)) for _ in range(draw(st.integers(0, 2)))]
        calls += 1
    return events


@given(answers(), st.lists(st.integers(0, 8), max_size=4), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_answer_is_in_order(
    events: list[Event], cuts: list[int], seals: bool, fails: bool
) -> None:
    include = ["reasoning.encrypted_content"] if seals else []
    made = writer(include=include)
    places = sorted({0, *cuts, len(events)})
    parts = [Delta(events=tuple(events[a:b])) for a, b in pairwise(places)]
    stream = b"".join(made.write(part) + made.ping() for part in parts)
    check_stream(stream + (made.fail(BROKEN) if fails else made.write(last())))
