"""Answers from canon events: as events, as one array, and whole."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

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
from portico.dialects.gemini.writer import writer_for

from .bodies import SIGNATURES, parsed
from .streams import deltas, objects, parts, said, streamed, whole

METERS = Meters(input_text=3, input_cache_read=2, output_text=4, output_reasoning=5)
FRAMINGS = pytest.mark.parametrize("framing", ["events", "array"])
SHOWN = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}


def test_a_stream_of_events() -> None:
    steps = [Delta(events=(Text("Hel"),)), Delta(events=(Text("lo"),), meters=METERS)]
    steps.append(Delta(events=(Finished("stop"),), last=True))
    assert said(streamed(parsed()), steps) == snapshot(
        b"""\
data: {"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"req_1"}

data: {"candidates":[{"content":{"parts":[{"text":"lo"}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"req_1"}

data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":4,"totalTokenCount":14,"cachedContentTokenCount":2,"thoughtsTokenCount":5},"modelVersion":"m","responseId":"req_1"}

"""
    )


def test_the_same_as_one_array() -> None:
    steps = [Delta(events=(Text("Hello"),)), Delta(events=(Finished("length"),), last=True)]
    data = said(streamed(parsed(), "array"), steps)
    assert data == snapshot(
        b"""\
[{"candidates":[{"content":{"parts":[{"text":"Hello"}],"role":"model"},"index":0}],"modelVersion":"m","responseId":"req_1"},
{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"MAX_TOKENS","index":0}],"usageMetadata":{"promptTokenCount":0,"candidatesTokenCount":0,"totalTokenCount":0},"modelVersion":"m","responseId":"req_1"}]\
"""
    )
    assert len(json.loads(data)) == 2


def test_a_whole_answer() -> None:
    body = whole(Text("Hel"), Text("lo"), Finished("stop"), meters=METERS)
    assert body == snapshot(
        {
            "candidates": [
                {
                    "content": {"parts": [{"text": "Hello"}], "role": "model"},
                    "finishReason": "STOP",
                    "index": 0,
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 5,
                "candidatesTokenCount": 4,
                "totalTokenCount": 14,
                "cachedContentTokenCount": 2,
                "thoughtsTokenCount": 5,
            },
            "modelVersion": "m",
            "responseId": "req_1",
        }
    )


@FRAMINGS
def test_an_answer_without_a_word_is_one_object(framing: str) -> None:
    (only,) = objects(streamed(parsed(), framing), [Delta(last=True)])
    assert only["candidates"][0]["finishReason"] == "STOP"


def test_silence_is_said_by_a_blank_line_and_in_an_array_not_at_all() -> None:
    assert writer_for(streamed(parsed()), "req_1", 0, SIGNATURES).ping() == b"\n"
    assert writer_for(streamed(parsed(), "array"), "req_1", 0, SIGNATURES).ping() == b""
    assert writer_for(parsed(), "req_1", 0, SIGNATURES).ping() == b""


def test_bytes_of_an_engine_that_speaks_it_pass() -> None:
    for prompt in (parsed(), streamed(parsed())):
        assert (
            writer_for(prompt, "req_1", 0, SIGNATURES).write(Delta(raw=b"data: {}\n\n"))
            == b"data: {}\n\n"
        )


def called(index: int, *arguments: str, name: str = "f", choice: int = 0) -> list[Event]:
    began = ToolCallBegan(index, f"id_{index}", name, choice)
    return [began, *(ToolArguments(index, piece, choice) for piece in arguments)]


@FRAMINGS
def test_a_call_is_told_once_it_is_whole(framing: str) -> None:
    events = [*called(0, '{"a"', ":1}"), *called(1, ""), Finished("tool_calls")]
    found = objects(streamed(parsed(), framing), deltas(*events))
    assert [part["functionCall"] for part in parts(found)] == [
        {"id": "id_0", "name": "f", "args": {"a": 1}},
        {"id": "id_1", "name": "f", "args": {}},
    ]
    assert found[-1]["candidates"][0]["finishReason"] == "STOP"
    first = next(i for i, one in enumerate(found) if "functionCall" in json.dumps(one))
    assert first < len(found) - 1, "the first call does not wait for the second"


def test_text_and_calls_keep_their_order() -> None:
    body = whole(Text("a"), *called(0, "{}"), Text("b"), Finished("tool_calls"))
    kinds = [next(iter(part)) for part in body["candidates"][0]["content"]["parts"]]
    assert kinds == ["text", "functionCall", "text"]


def test_arguments_of_several_calls_may_come_mixed() -> None:
    events = [
        *called(0, '{"a":'),
        *called(1, '{"b":'),
        ToolArguments(0, "1}"),
        ToolArguments(1, "2}"),
    ]
    body = whole(*events, Finished("tool_calls"))
    args = [part["functionCall"]["args"] for part in body["candidates"][0]["content"]["parts"]]
    assert args == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("length", "MAX_TOKENS"),
        ("tool_calls", "MALFORMED_FUNCTION_CALL"),
        ("stop", "MALFORMED_FUNCTION_CALL"),
    ],
)
def test_half_a_call_is_no_call(reason: FinishReason, told: str) -> None:
    body = whole(*called(0, '{"city": "Lis'), Finished(reason))
    (candidate,) = body["candidates"]
    assert candidate["content"]["parts"] == [{"text": ""}]
    assert candidate["finishReason"] == told
    assert '{"city": "Lis' in candidate["finishMessage"]


def test_thoughts_are_shown_where_they_were_asked_for() -> None:
    events = (Reasoning("Hm"), Reasoning("."), Text("Yes"), Finished("stop"))
    hidden, shown = whole(*events), whole(*events, prompt=parsed(**SHOWN))
    assert hidden["candidates"][0]["content"]["parts"] == [{"text": "Yes"}]
    assert shown["candidates"][0]["content"]["parts"] == [
        {"text": "Hm.", "thought": True},
        {"text": "Yes"},
    ]


def test_a_seal_goes_with_what_comes_next_and_back_to_its_issuer() -> None:
    thought: list[Event] = [Reasoning("Hm."), Sealed("c2ln", "gemini")]
    shown = parsed(**SHOWN)
    cases: list[tuple[list[Event], dict[str, Any]]] = [
        ([*thought, Text("Yes")], {"text": "Yes", "thoughtSignature": "c2ln"}),
        ([*thought], {"text": "", "thoughtSignature": "c2ln"}),
        (
            [*thought, *called(0, "{}"), *called(1, "{}")],
            {"functionCall": {"id": "id_0", "name": "f", "args": {}}, "thoughtSignature": "c2ln"},
        ),
    ]
    for events, at in cases:
        body = whole(*events, Finished("stop"), prompt=shown)
        told = body["candidates"][0]["content"]["parts"]
        assert told[1] == at
        (thought_item, *_) = parsed({"role": "model", "parts": told}).conversation().items
        assert (thought_item.text, thought_item.sealed, thought_item.issuer) == (  # type: ignore[union-attr] # a Thought, or the test fails here
            "Hm.",
            "c2ln",
            "gemini",
        )


@given(st.text(), st.sampled_from(["anthropic", "openai"]))
def test_a_foreign_seal_comes_back_as_it_was(blob: str, issuer: str) -> None:
    blob = blob.encode("utf-8", "replace").decode()
    body = whole(Sealed(blob, issuer), Text("Yes"), Finished("stop"))
    told = body["candidates"][0]["content"]["parts"]
    thought = parsed({"role": "model", "parts": told}).conversation().items[0]
    assert (thought.sealed, thought.issuer) == (blob, issuer)  # type: ignore[union-attr] # a Thought, or the test fails here


@pytest.mark.parametrize(
    ("finished", "reason", "message"),
    [
        (Finished("stop"), "STOP", None),
        (Finished("stop_sequence", sequence="END"), "STOP", None),
        (Finished("length"), "MAX_TOKENS", None),
        (
            Finished("context", native="model_context_window_exceeded"),
            "MAX_TOKENS",
            "model_context_window_exceeded",
        ),
        (Finished("content_filter"), "SAFETY", None),
        (Finished("content_filter", native="RECITATION"), "RECITATION", None),
        (Finished("refused"), "OTHER", "refused"),
        (Finished("paused", native="pause_turn"), "STOP", "pause_turn"),
    ],
)
def test_why_it_ended(finished: Finished, reason: str, message: str | None) -> None:
    (candidate,) = whole(Text("x"), finished)["candidates"]
    assert (candidate["finishReason"], candidate.get("finishMessage")) == (reason, message)


def test_a_refusal_in_words_is_seen_and_counted_as_one() -> None:
    (candidate,) = whole(Refused("I cannot."), Finished("stop"))["candidates"]
    assert candidate["content"]["parts"] == [{"text": "I cannot."}]
    assert candidate["finishReason"] == "OTHER"


def test_what_we_cut_off_ourselves_says_so() -> None:
    body = whole(Text("x"), Finished("length"), cut="credit_balance_exhausted")
    assert body["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert body["candidates"][0]["finishMessage"] == "credit_balance_exhausted"


def test_an_engine_that_ends_twice_has_ended_once() -> None:
    steps = deltas(Text("x"), Finished("length"), Finished("stop"))
    found = objects(streamed(parsed()), steps)
    assert found[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"


@FRAMINGS
def test_candidates_stay_apart(framing: str) -> None:
    prompt = streamed(parsed(generationConfig={"candidateCount": 3}), framing)
    events = [
        Text("b", 1),
        Text("a"),
        Finished("stop", 1),
        *called(0, "{}", choice=0),
        Finished("length"),
    ]
    found = objects(prompt, deltas(*events))
    assert parts(found, 1) == [{"text": "b"}]
    assert [candidate["finishReason"] for candidate in found[-1]["candidates"]] == [
        "MAX_TOKENS",
        "STOP",
        "STOP",
    ]
    assert "functionCall" in parts(found, 0)[1]


def test_log_probabilities() -> None:
    def entry(token: str, logprob: float) -> dict[str, Any]:
        top = {"token": token, "logprob": logprob, "bytes": None}
        return {**top, "top_logprobs": [top]}

    events = (
        Text("a", 0, (entry("a", -1.0),)),
        Text("b", 0, (entry("b", -2.0),)),
        Finished("stop"),
    )
    (candidate,) = whole(*events)["candidates"]
    assert candidate["avgLogprobs"] == -1.5
    result = candidate["logprobsResult"]
    assert [one["token"] for one in result["chosenCandidates"]] == ["a", "b"]
    assert result["topCandidates"][1] == {"candidates": [{"token": "b", "logProbability": -2.0}]}
    found = objects(streamed(parsed()), deltas(*events))
    assert [
        one["candidates"][0].get("logprobsResult", {}).get("chosenCandidates") for one in found
    ] == [
        [{"token": "a", "logProbability": -1.0}],
        [{"token": "b", "logProbability": -2.0}],
        None,
    ]


WORDS = st.text(max_size=5)
EVENTS = st.lists(
    st.one_of(
        WORDS.map(Text),
        WORDS.map(Reasoning),
        WORDS.map(Refused),
        st.just(Sealed("c2ln", "gemini")),
        st.integers(0, 2).map(lambda index: ToolCallBegan(index, f"id_{index}", "f")),
        st.sampled_from(['{"a":1}', "{", "}", "[]", '"x"']).map(
            lambda json: ToolArguments(0, json)
        ),
    ),
    max_size=8,
)
METER = st.integers(0, 1_000)


@given(EVENTS, st.builds(Meters, METER, METER, METER, METER, METER, METER, METER, METER, METER))
@settings(deadline=None, max_examples=200)
def test_any_events_make_the_same_answer_in_every_form(events: list[Event], meters: Meters) -> None:
    began = [ToolCallBegan(0, "id", "f"), *events, Finished("stop")]
    body = whole(*began, prompt=parsed(**SHOWN), meters=meters)
    wanted = _joined(body["candidates"][0]["content"]["parts"])
    for framing in ("events", "array"):
        found = objects(streamed(parsed(**SHOWN), framing), deltas(*began, meters=meters))
        assert _joined(parts(found)) == wanted
        assert found[-1]["usageMetadata"] == body["usageMetadata"]
        assert found[-1]["candidates"][0]["finishReason"] == body["candidates"][0]["finishReason"]
    used = body["usageMetadata"]
    assert used["promptTokenCount"] == meters.input_tokens
    assert used["candidatesTokenCount"] + used.get("thoughtsTokenCount", 0) == meters.output_tokens
    assert used["totalTokenCount"] == meters.input_tokens + meters.output_tokens
    for name, total in (
        ("promptTokensDetails", "promptTokenCount"),
        ("candidatesTokensDetails", "candidatesTokenCount"),
    ):
        if name in used:
            assert sum(one["tokenCount"] for one in used[name]) == used[total]


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Text that was only cut where a stream was, as one."""
    found: list[dict[str, Any]] = []
    for part in parts:
        if part == {"text": ""}:
            continue
        last = found[-1] if found else {}
        if "text" in last and set(part) == {"text"} | ({"thought"} & set(last)):
            found[-1] = {**last, "text": last["text"] + part["text"]}
        else:
            found.append(part)
    return found
