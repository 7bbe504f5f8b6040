"""The edge boxes of the protocol notes that concern Gemini, one named test each."""

import json
from typing import Any

import pytest

from portico.canon.conversation import Message, TextPart, ToolCall, ToolResult
from portico.canon.delta import Delta, Finished, FinishReason, Text, ToolArguments, ToolCallBegan
from portico.errors import Refusal

from .bodies import (
    HINTS,
    b64,
    call,
    conversed,
    model,
    parse,
    parsed,
    refused,
    request,
    response,
    user,
)
from .streams import deltas, objects, streamed, whole


@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_edge_05_calls_end_with_stop_and_exactly_one_reason(reason: FinishReason) -> None:
    events = (
        ToolCallBegan(0, "id", "f"),
        ToolArguments(0, "{}"),
        Finished(reason),
        Finished("stop"),
    )
    found = objects(streamed(parsed()), deltas(*events))
    reasons = [c["finishReason"] for one in found for c in one["candidates"] if "finishReason" in c]
    assert reasons == ["STOP"]


@pytest.mark.parametrize("turn", [{"role": "model"}, model(), model(""), model({})])
def test_edge_06_a_turn_of_the_model_may_be_empty(turn: dict[str, Any]) -> None:
    said = [i for i in conversed(user("a"), turn, user("b")).items if isinstance(i, Message)]
    assert [item.text for item in said] == ["a", "b"]


def test_edge_07_missing_and_repeated_ids_are_told_apart_by_position() -> None:
    items = conversed(
        model(call(id="call_0"), call(id="call_0"), call(id="")),
        user(response(id="call_0"), response(id="call_0"), response()),
    ).items
    ids = [item.id for item in items if isinstance(item, ToolCall)]
    assert ids == ["call_0", "call_2", "call_3"]
    assert [item.call_id for item in items if isinstance(item, ToolResult)] == ids


def test_edge_08_arguments_cut_off_at_the_cap_are_no_call() -> None:
    events = (ToolCallBegan(0, "id", "f"), ToolArguments(0, '{"a": [1, '), Finished("length"))
    (candidate,) = whole(*events)["candidates"]
    assert candidate["finishReason"] == "MAX_TOKENS"
    assert '{"a": [1, ' in candidate["finishMessage"]
    assert "functionCall" not in json.dumps(candidate)


def test_edge_14_usage_comes_once_asked_for_or_not() -> None:
    steps = [Delta(events=(Text("a"),), output_tokens=1), Delta(events=(Text("b"),), last=True)]
    found = objects(streamed(parsed()), steps)
    assert ["usageMetadata" in one for one in found] == [False, True]


def test_edge_19_half_a_surrogate_pair_is_refused_on_the_way_in_and_replaced_on_the_way_out() -> (
    None
):
    with pytest.raises(Refusal) as refusal:
        parse(rb'{"contents":[{"parts":[{"text":"\ud83d"}]}]}', HINTS)
    assert refusal.value.code == "lone_surrogate"
    assert refusal.value.field == "contents[0].parts[0].text"
    (candidate,) = whole(Text("a\ud83d"), Finished("stop"))["candidates"]
    assert candidate["content"]["parts"][0]["text"] == "a\ufffd"


def test_edge_21_fields_nobody_knows_never_fail_a_request() -> None:
    assert conversed(
        {"role": "user", "parts": [{"text": "a", "new": 1}], "new": {}},
        new=[1],
        generationConfig={"seed": 1, "new": {"a": 1}},
        toolConfig={"retrievalConfig": {}, "functionCallingConfig": {"new": 1}},
    ).items == (Message("user", (TextPart("a"),)),)


def test_edge_25_no_address_is_ever_fetched() -> None:
    for uri in ("http://169.254.169.254/", "file:///etc/passwd", "gs://a/b", "https://x/a.png"):
        refusal = refused(user({"fileData": {"fileUri": uri, "mimeType": "image/png"}}))
        assert refusal.code == "media_url_not_supported"
        assert "inlineData" in refusal.remedy
    for uri in ("files/abc-123", "https://generativelanguage.googleapis.com/v1beta/files/abc-123"):
        assert "POST /v1/files" in refused(user({"fileData": {"fileUri": uri}})).remedy
    smuggled = {"inlineData": {"mimeType": "application/pdf", "data": "http://x/"}}
    assert refused(user(smuggled)).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"contents": {}},
        request(toolConfig=None),
        request(toolConfig={"functionCallingConfig": None}),
        request(user(""), {"parts": []}),
    ],
)
def test_edge_27_odd_bodies_that_say_enough(body: Any) -> None:
    items = parse(json.dumps(body).encode(), HINTS).conversation().items
    assert all(isinstance(item, Message) for item in items)
    assert items


@pytest.mark.parametrize(
    "body",
    [
        {"contents": None},
        {"contents": [None]},
        {"contents": [[]]},
        request(generationConfig={"candidateCount": 0}),
        request(generationConfig=[]),
        request(tools=[None]),
        request(tools=[{"functionDeclarations": [{}]}]),
        request(systemInstruction="Be kind."),
        request({"parts": [{"inlineData": {"mimeType": "a,b;c", "data": b64(b"x")}}]}),
    ],
)
def test_edge_27_odd_bodies_that_are_refused(body: Any) -> None:
    with pytest.raises(Refusal) as refusal:
        parse(json.dumps(body).encode(), HINTS)
    assert refusal.value.status == 400
    assert refusal.value.field
