"""Answers written from canon events."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from msgspec.structs import replace
from openai.types.chat import ChatCompletion

from portico.canon.delta import (
    Delta,
    Event,
    Finished,
    Reasoning,
    Refused,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.usage import Meters
from portico.dialects.openai_chat.writer import AnswerWriter, StreamWriter, writer_for

from .bodies import parsed
from .streams import check_stream, chunks_in, said

METERS = Meters(input_text=5, input_cache_read=2, output_text=3, output_reasoning=1)
LOGPROB = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}


def streamed(*deltas: Delta, **fields: Any) -> list[bytes]:
    writer = writer_for(parsed(stream=True, **fields), "req_7", 1_700_000_000)
    assert isinstance(writer, StreamWriter)
    written = [writer.write(delta) for delta in deltas]
    writes = [write for write in written if write]
    check_stream(writes)
    return writes


def whole(*deltas: Delta, **fields: Any) -> dict[str, Any]:
    writer = writer_for(parsed(**fields), "req_7", 1_700_000_000)
    assert isinstance(writer, AnswerWriter)
    *before, body = [writer.write(delta) for delta in deltas]
    assert not any(before)
    ChatCompletion.model_validate_json(body, strict=True)
    answer = json.loads(body)
    assert isinstance(answer, dict)
    return answer


def test_a_stream_byte_for_byte() -> None:
    writes = streamed(
        Delta(events=(Text("Hi"),), output_tokens=1),
        Delta(events=(Text(" é"),), output_tokens=1),
        Delta(events=(Finished("stop"),), meters=METERS, last=True),
        stream_options={"include_usage": True},
    )
    assert [write.decode() for write in writes] == snapshot(
        [
            """\
data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],"usage":null}

""",
            """\
data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{"content":" é"},"logprobs":null,"finish_reason":null}],"usage":null}

""",
            """\
data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":4,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":2,"cache_write_tokens":0,"audio_tokens":0,"image_tokens":0},"completion_tokens_details":{"reasoning_tokens":1,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}

data: [DONE]

""",
        ]
    )


def test_a_stream_without_usage_does_not_mention_it() -> None:
    writes = streamed(Delta(events=(Text("Hi"),), meters=METERS, last=True))
    assert b"usage" not in b"".join(writes)


def test_an_answer() -> None:
    answer = whole(
        Delta(events=(Reasoning("Let me"), Reasoning(" see."))),
        Delta(events=(Text("Hi", logprobs=(LOGPROB,)), Text(" there", logprobs=(LOGPROB,)))),
        Delta(events=(Finished("length"),), meters=METERS, last=True),
    )
    assert answer == snapshot(
        {
            "id": "chatcmpl-7",
            "object": "chat.completion",
            "created": 1700000000,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "Hi there",
                        "refusal": None,
                        "reasoning_content": "Let me see.",
                    },
                    "logprobs": {
                        "content": [
                            {
                                "token": "Hi",
                                "logprob": -0.5,
                                "bytes": [72, 105],
                                "top_logprobs": [],
                            },
                            {
                                "token": "Hi",
                                "logprob": -0.5,
                                "bytes": [72, 105],
                                "top_logprobs": [],
                            },
                        ],
                        "refusal": None,
                    },
                    "finish_reason": "length",
                }
            ],
            "usage": {
                "prompt_tokens": 7,
                "completion_tokens": 4,
                "total_tokens": 11,
                "prompt_tokens_details": {
                    "cached_tokens": 2,
                    "cache_write_tokens": 0,
                    "audio_tokens": 0,
                    "image_tokens": 0,
                },
                "completion_tokens_details": {
                    "reasoning_tokens": 1,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
        }
    )


CALLS = (
    ToolCallBegan(0, "call_a", "f"),
    ToolArguments(0, '{"a":'),
    ToolArguments(0, "1}"),
    ToolCallBegan(1, "call_b", "g"),
    ToolArguments(1, "{}"),
)


def test_tool_calls_streamed() -> None:
    stream = b"".join(streamed(Delta(events=(*CALLS, Finished("stop")), last=True)))
    deltas = [c["choices"][0]["delta"] for c in chunks_in(stream)]
    assert deltas == snapshot(
        [
            {"role": "assistant", "content": "", "refusal": None},
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_a",
                        "type": "function",
                        "function": {"name": "f", "arguments": ""},
                    }
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
            {
                "tool_calls": [
                    {
                        "index": 1,
                        "id": "call_b",
                        "type": "function",
                        "function": {"name": "g", "arguments": ""},
                    }
                ]
            },
            {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
            {},
        ]
    )
    assert chunks_in(stream)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_tool_calls_whole() -> None:
    choice = whole(Delta(events=(*CALLS, Finished("stop")), last=True))["choices"][0]
    assert choice == snapshot(
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "tool_calls": [
                    {
                        "id": "call_a",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a":1}'},
                    },
                    {
                        "id": "call_b",
                        "type": "function",
                        "function": {"name": "g", "arguments": "{}"},
                    },
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    )


def test_the_model_declines() -> None:
    choice = whole(Delta(events=(Refused("I will"), Refused(" not.")), last=True))["choices"][0]
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "I will not.")


def test_an_empty_answer_is_still_whole() -> None:
    writes = streamed(Delta(last=True))
    assert chunks_in(b"".join(writes))[-1]["choices"][0]["finish_reason"] == "stop"
    assert whole(Delta(last=True))["choices"][0]["message"]["content"] == ""


def test_choices_interleave() -> None:
    events = (Text("a"), Text("x", 1), Text("b"), Finished("stop", 1), Finished("length", 0))
    stream = b"".join(streamed(Delta(events=events, last=True), n=2))
    assert (said(stream, 0), said(stream, 1)) == ("ab", "x")
    answer = whole(Delta(events=events, last=True), n=2)
    assert [c["message"]["content"] for c in answer["choices"]] == ["ab", "x"]
    assert [c["finish_reason"] for c in answer["choices"]] == ["length", "stop"]


def test_a_choice_that_said_nothing_ends_too() -> None:
    answer = whole(Delta(events=(Text("a"), Finished("stop")), last=True), n=3)
    assert [c["index"] for c in answer["choices"]] == [0, 1, 2]
    streamed(Delta(events=(Text("a"), Finished("stop")), last=True), n=3)


def test_bytes_of_the_dialect_go_through_untouched() -> None:
    raw = b'{"any": "bytes"}'
    for stream in (False, True):
        writer = writer_for(parsed(stream=stream), "req_7", 1)
        assert writer.write(Delta(raw=raw, last=True)) is raw


def test_tokens_counted_after_the_engines_figures_are_added() -> None:
    answer = whole(
        Delta(events=(Text("a"),), output_tokens=1),
        Delta(events=(Text("b"),), meters=METERS),
        Delta(events=(Text("c"),), output_tokens=1),
        Delta(last=True),
    )
    assert answer["usage"]["completion_tokens"] == METERS.output_tokens + 1
    assert answer["usage"]["prompt_tokens"] == METERS.input_tokens


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
EVENTS = st.lists(
    st.builds(Text, WORDS, st.integers(0, 1))
    | st.builds(Reasoning, WORDS, st.integers(0, 1))
    | st.builds(Refused, WORDS, st.integers(0, 1)),
    max_size=10,
)


@given(EVENTS, st.lists(st.integers(0, 10), max_size=4), st.booleans())
@settings(deadline=None)
def test_every_stream_is_in_order_and_says_what_was_said(
    events: list[Event], cuts: list[int], wants: bool
) -> None:
    edges = [0, *sorted(cuts), len(events)]
    pieces = [tuple(events[a:b]) for a, b in pairwise(edges)]
    deltas = [Delta(events=piece, output_tokens=1) for piece in pieces]
    deltas.append(Delta(events=(Finished("stop", 0), Finished("length", 1)), last=True))
    options = {"stream_options": {"include_usage": True}} if wants else {}
    stream = b"".join(streamed(*deltas, n=2, **options))
    answer = whole(*deltas, n=2)
    for index in (0, 1):
        words = "".join(e.text for e in events if isinstance(e, Text) and e.choice == index)
        assert said(stream, index) == words
        assert (answer["choices"][index]["message"]["content"] or "") == words
    if wants:
        assert chunks_in(stream)[-1]["usage"] == answer["usage"]


def test_the_model_is_the_name_the_developer_used() -> None:
    prompt = replace(parsed(), model="my-model")
    body = AnswerWriter(prompt, "req_7", 1).write(Delta(last=True))
    assert json.loads(body)["model"] == "my-model"
