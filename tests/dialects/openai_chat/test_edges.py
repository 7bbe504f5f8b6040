"""The edge boxes of the protocol notes that concern Chat, one named test each: things that broke
other people's clients and servers."""

import json
from typing import Any

import pytest

from portico.canon.conversation import ToolCall
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.parse import TWO_LIMITS
from portico.dialects.openai_chat.reading.reader import StreamReader, read_answer
from portico.dialects.openai_chat.repair import RepairReader, repair_answer
from portico.dialects.openai_chat.upstream import body_for
from portico.kit.sse import PING

from .bodies import encoded, parsed, refused
from .streams import (
    CLEAN,
    DONE,
    USAGE,
    Told,
    check_framing,
    check_stream,
    choice,
    chunk,
    ends,
    event,
    role,
    said,
    text,
    usage,
)

READERS = pytest.mark.parametrize("kind", [StreamReader, RepairReader])


@READERS
@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_edge_01_events_and_characters_split_anywhere(kind: Any, size: int) -> None:
    stream = b"".join([role(), text("é🙂漢"), ends(), DONE])
    raw = [stream[at : at + size] for at in range(0, len(stream), size)]
    told = Told(kind(wants_usage=False), raw)
    check_stream(told.writes)
    assert said(told.raw) == "é🙂漢"


@READERS
def test_edge_02_several_events_in_one_read_with_crlf(kind: Any) -> None:
    told = Told(kind(wants_usage=True), [b"".join(CLEAN).replace(b"\n", b"\r\n")])
    check_stream(told.writes)
    assert said(told.raw) == "Hello é🙂"


@READERS
def test_edge_03_chunks_without_choices_come_only_when_asked_and_last(kind: Any) -> None:
    stream = [chunk(prompt_filter_results=[]), role(), usage(), text("a"), ends(), DONE]
    asked, not_asked = (Told(kind(wants_usage=w), stream) for w in (True, False))
    check_stream(asked.writes)
    check_stream(not_asked.writes)
    assert [c["choices"] for c in asked.chunks if not c["choices"]] == [[]]
    assert all(c["choices"] for c in not_asked.chunks)


def test_edge_04_tool_call_indexes_are_ours() -> None:
    """Missing, equal and drifting ones: test_repair.HABITS has them all."""
    one = {"function": {"name": "f", "arguments": "{}"}}
    stream = [role(), chunk(choice({"tool_calls": [one, one]})), ends(), DONE]
    told = Told(RepairReader(wants_usage=False), stream)
    check_stream(told.writes)
    calls = [c for p in told.chunks for c in p["choices"][0]["delta"].get("tool_calls", ())]
    assert [c["index"] for c in calls] == [0, 1]


def test_edge_05_exactly_one_finish_reason() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    stream = [role(), chunk(choice({"tool_calls": [call]})), ends("stop"), ends("stop"), DONE]
    told = Told(RepairReader(wants_usage=False), stream)
    reasons = [c["finish_reason"] for p in told.chunks for c in p["choices"] if c["finish_reason"]]
    assert reasons == ["tool_calls"]


@pytest.mark.parametrize("content", [None, "", ..., []])
@pytest.mark.parametrize("calls", [True, False])
def test_edge_06_assistant_content_null_absent_or_empty(content: Any, calls: bool) -> None:
    message: dict[str, Any] = {"role": "assistant"}
    if content is not ...:
        message["content"] = content
    if calls:
        message["tool_calls"] = [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]
    prompt = parsed(messages=[message])
    assert prompt.conversation().items == ((ToolCall("a", "f", "{}"),) if calls else ())
    assert json.loads(body_for(prompt, "other"))["messages"] == [message]


def test_edge_08_arguments_cut_off_at_the_limit_are_given_as_they_are() -> None:
    function = {"name": "f", "arguments": '{"city":"Ro'}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": function}],
    }
    choices = [{"index": 0, "message": message, "finish_reason": "length"}]
    answer = json.loads(repair_answer(json.dumps({"choices": choices}).encode()).raw)
    assert answer["choices"] == choices


@READERS
def test_edge_09_a_silent_end_is_no_success(kind: Any) -> None:
    told = Told(kind(wants_usage=False), [role(), text("half an ans")])
    assert told.broken is not None
    assert not told.ended
    assert said(told.raw) == "half an ans"


@READERS
def test_edge_10_an_error_object_in_a_200(kind: Any) -> None:
    told = Told(kind(wants_usage=False), [event({"error": {"message": "no", "code": 500}})])
    assert told.broken is not None
    assert told.raw == b""  # so that the door can still answer with a status
    with pytest.raises(BrokenAnswer):
        read_answer(b'{"error":{"message":"no"}}')


@READERS
def test_edge_13_an_upstreams_comments_are_not_passed_on(kind: Any) -> None:
    told = Told(kind(wants_usage=True), [PING, *CLEAN[:3], PING + b": x\n\n", *CLEAN[3:]])
    check_framing(told.writes)
    assert said(told.raw) == "Hello é🙂"
    assert b"ping" not in told.raw


@READERS
def test_edge_14_usage_on_every_chunk_though_nobody_asked(kind: Any) -> None:
    stream = [role(), text("a", usage=USAGE), text("b", usage=USAGE), ends(), usage(), DONE]
    told = Told(kind(wants_usage=False), stream)
    check_stream(told.writes)
    assert b"prompt_tokens" not in told.raw
    assert told.output_tokens == 3


def test_edge_14_stream_options_without_stream() -> None:
    refusal = refused(encoded(stream_options={"include_usage": True}))
    assert (refusal.status, refusal.field) == (400, "stream_options")


@pytest.mark.parametrize("half", [r"\ud83d", r"x\ude00", r"\ud83d\ud83d\ude00"])
def test_edge_19_lone_surrogates(half: str) -> None:
    body = encoded(messages=[{"role": "user", "content": "HALF"}]).replace(b"HALF", half.encode())
    refusal = refused(body)
    assert (refusal.status, refusal.code) == (400, "lone_surrogate")
    assert refusal.field == "messages[0].content"


@pytest.mark.parametrize(
    ("old", "new", "limit", "warnings"),
    [
        (5, None, 5, []),
        (None, 6, 6, []),
        (5, 5, 5, []),
        (5, 6, 6, [TWO_LIMITS]),
    ],
)
def test_edge_24_two_output_limits(
    old: int | None, new: int | None, limit: int, warnings: list[str]
) -> None:
    prompt = parsed(max_tokens=old, max_completion_tokens=new)
    assert prompt.output_tokens_max == limit
    assert prompt.warnings == warnings
    sent = json.loads(body_for(prompt, "other"))
    # Whatever the engine thinks of two, it is sent one.
    assert {sent.get("max_tokens"), sent.get("max_completion_tokens")} - {None} == {limit}


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'"x"',
        b"7",
        encoded(n=0),
        encoded(messages=[]),
        encoded(logit_bias={"x": 1}),
        encoded(logit_bias={"1": "x"}),
        encoded(tool_choice={}),
    ],
)
def test_edge_27_odd_bodies_are_400_and_never_500(body: bytes) -> None:
    assert refused(body).status == 400


def test_edge_27_tool_choice_null_is_not_said() -> None:
    assert parsed(tool_choice=None).conversation().tool_choice == "auto"
