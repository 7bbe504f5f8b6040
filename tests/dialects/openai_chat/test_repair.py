"""Engines that are not clean: what is found, and what is made of it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from openai.types.chat import ChatCompletion

from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.repair import RepairReader, judge, repair_answer

from .streams import (
    CLEAN,
    DONE,
    USAGE,
    Told,
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

ARGUMENTS = '{"city":"Rome"}'


def repaired(reads: list[bytes], **how: Any) -> Told:
    told = Told(RepairReader(**{"wants_usage": True, **how}), reads)
    if told.broken is None:
        check_stream(told.writes)
    return told


def call(arguments: Any = None, name: str | None = None, **fields: Any) -> bytes:
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    return chunk(choice({"tool_calls": [{**fields, "function": function}]}))


def calls_in(told: Told) -> list[tuple[str, str]]:
    """Name and arguments of each call, put together by index as a client does."""
    found: dict[int, list[str]] = {}
    for payload in told.chunks:
        for one in payload["choices"]:
            for fragment in one["delta"].get("tool_calls", ()):
                name_and_text = found.setdefault(fragment["index"], ["", ""])
                name_and_text[0] += fragment["function"].get("name", "")
                name_and_text[1] += fragment["function"]["arguments"]
    return [(name, arguments) for name, arguments in found.values()]


def test_a_clean_stream_says_the_same() -> None:
    told = repaired(CLEAN)
    assert said(told.raw) == "Hello é🙂"
    assert told.finish == "stop"
    assert told.output_tokens == 3
    assert told.chunks[-1]["usage"] == USAGE


def test_unknown_members_survive() -> None:
    delta = {"content": "a", "x_delta": [1]}
    stream = [role(), chunk(choice(delta, x_choice={"a": 1}), x_chunk="y"), ends(), DONE]
    payload = repaired(stream).chunks[1]
    assert payload["x_chunk"] == "y"
    assert payload["choices"][0]["x_choice"] == {"a": 1}
    assert payload["choices"][0]["delta"]["x_delta"] == [1]


TWO_CALLS = [("get_weather", ARGUMENTS), ("get_time", ARGUMENTS)]
BEGIN, REST = ARGUMENTS[:5], ARGUMENTS[5:]

HABITS = {
    "clean": [
        call("", "get_weather", index=0, id="a", type="function"),
        call(ARGUMENTS, index=0),
        call("", "get_time", index=1, id="b", type="function"),
        call(ARGUMENTS, index=1),
    ],
    "no index": [
        call("", "get_weather", id="a"),
        call(ARGUMENTS),
        call("", "get_time", id="b"),
        call(ARGUMENTS),
    ],
    "no index, no id": [call(ARGUMENTS, "get_weather"), call(ARGUMENTS, "get_time")],
    "equal indexes": [
        call(BEGIN, "get_weather", index=0, id="a"),
        call(REST, index=0),
        call(BEGIN, "get_time", index=0, id="b"),
        call(REST, index=0),
    ],
    "equal indexes and ids": [
        call(ARGUMENTS, "get_weather", index=0, id="call_0"),
        call(ARGUMENTS, "get_time", index=0, id="call_0"),
    ],
    "drifting indexes": [
        call(BEGIN, "get_weather", index=0, id="a"),
        call(REST, index=1),
        call(BEGIN, "get_time", index=2, id="b"),
        call(REST, index=3),
    ],
    "one-based": [
        call(ARGUMENTS, "get_weather", index=1, id="a"),
        call(ARGUMENTS, "get_time", index=2, id="b"),
    ],
    "id and name on every fragment": [
        call(BEGIN, "get_weather", index=0, id="a"),
        call(REST, "get_weather", index=0, id="a"),
        call(BEGIN, "get_time", index=1, id="b"),
        call(REST, "get_time", index=1, id="b"),
    ],
    "name on every fragment, no id": [
        call(BEGIN, "get_weather", index=0),
        call(REST, "get_weather", index=0),
        call(BEGIN, "get_time", index=1),
        call(REST, "get_time", index=1),
    ],
    "a new id on every fragment": [
        call(BEGIN, "get_weather", index=0, id="a1"),
        call(REST, index=0, id="a2"),
        call(BEGIN, "get_time", index=1, id="b1"),
        call(REST, index=1, id="b2"),
    ],
    "empty ids": [
        call(ARGUMENTS, "get_weather", index=0, id=""),
        call(ARGUMENTS, "get_time", index=1, id=""),
    ],
    "arguments as an object": [
        call({"city": "Rome"}, "get_weather", index=0, id="a"),
        call({"city": "Rome"}, "get_time", index=1, id="b"),
    ],
    "interleaved": [
        call(BEGIN, "get_weather", index=0, id="a"),
        call(BEGIN, "get_time", index=1, id="b"),
        call(REST, index=0),
        call(REST, index=1),
    ],
    "both in one chunk": [
        chunk(
            choice(
                {
                    "tool_calls": [
                        {"id": "a", "function": {"name": "get_weather", "arguments": ARGUMENTS}},
                        {"id": "b", "function": {"name": "get_time", "arguments": ARGUMENTS}},
                    ]
                }
            )
        )
    ],
}


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call"])
def test_tool_calls_are_put_in_order(habit: str, reason: str) -> None:
    told = repaired([role(), *HABITS[habit], ends(reason), DONE])
    assert calls_in(told) == TWO_CALLS
    assert told.finish == "tool_calls"


def test_two_calls_alike_stay_two() -> None:
    twice = [call(ARGUMENTS, "get_time", index=0), call(ARGUMENTS, "get_time", index=0)]
    assert calls_in(repaired([role(), *twice, ends(), DONE])) == [TWO_CALLS[1]] * 2


def test_two_calls_of_one_function_that_begin_together_are_told_apart_by_id() -> None:
    begun = [call("", "get_time", id="a"), call("", "get_time", id="b")]
    rest = [call(ARGUMENTS, id="a"), call("{}", id="b")]
    told = repaired([role(), *begun, *rest, ends(), DONE])
    assert calls_in(told) == [("get_time", ARGUMENTS), ("get_time", "{}")]


def test_ids_made_up_differ_between_answers() -> None:
    def ids(answer: str) -> list[str]:
        stream = b"".join([role(), *HABITS["empty ids"], ends(), DONE])
        told = repaired([stream.replace(b"chatcmpl-1", answer.encode())])
        calls = [
            c for p in told.chunks for o in p["choices"] for c in o["delta"].get("tool_calls", ())
        ]
        return [c["id"] for c in calls]

    assert len({*ids("chatcmpl-1"), *ids("chatcmpl-2")}) == 4


REASONS = [
    (["stop"], "stop"),
    (["length"], "length"),
    (["stop", "stop"], "stop"),
    (["length", "stop"], "length"),
    (["eos"], "stop"),
    (["max_tokens"], "length"),
    (["content_filter"], "content_filter"),
    (["tool_calls"], "stop"),  # none were made
    ([], "stop"),
]


@pytest.mark.parametrize(("reasons", "reason"), REASONS)
def test_one_finish_reason_and_a_computed_one(reasons: list[str], reason: str) -> None:
    told = repaired([role(), text("a"), *(ends(one) for one in reasons), DONE])
    assert told.finish == reason
    last = told.chunks[-1]["choices"][0]
    assert last["finish_reason"] == reason
    assert last.get("native_finish_reason", reason) == (reasons or [reason])[0]


def test_a_finish_reason_on_the_chunk_with_the_last_text() -> None:
    told = repaired([role(), chunk(choice({"content": "all"}, "stop")), text(" of it"), DONE])
    assert said(told.raw) == "all of it"


def test_arguments_cut_off_at_the_limit_stay_as_they_are() -> None:
    told = repaired([role(), call('{"ci', "f", index=0, id="a"), ends("length"), DONE])
    assert told.finish == "length"
    assert calls_in(told) == [("f", '{"ci')]


def test_one_id_one_model_one_date() -> None:
    stream = [
        chunk(choice({"role": "assistant", "content": "a"})),
        chunk(choice({"content": "b"}), id="chatcmpl-2", model="other", created=6),
        event({"choices": [{"delta": {"content": "c"}}]}),
        event({"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": "stop"}]}),
        DONE,
    ]
    told = repaired(stream)
    assert said(told.raw) == "abc"
    assert {(c["id"], c["model"], c["created"]) for c in told.chunks} == {("chatcmpl-1", "e", 5)}


def test_usage_on_every_chunk_comes_once_and_last() -> None:
    stream = [role(), text("a", usage=USAGE), chunk(choice({}, "stop"), usage=USAGE), DONE]
    assert repaired(stream).output_tokens == 3
    assert repaired(stream).chunks[-1]["usage"]["completion_tokens"] == 3
    assert b'"usage"' not in repaired(stream, wants_usage=False).raw


def test_choices_of_several_each_have_their_own_calls() -> None:
    stream = [role(0), role(1), text("a", 1), call(ARGUMENTS, "f", id="a"), ends("stop", 1)]
    told = repaired([*stream, ends("stop", 0), DONE], choices=2)
    ended = {
        c["index"]: c["finish_reason"]
        for p in told.chunks
        for c in p["choices"]
        if c["finish_reason"]
    }
    assert ended == {0: "tool_calls", 1: "stop"}


def test_choices_begin_in_order_whichever_speaks_first() -> None:
    stream = [role(2), text("c", 2), role(0), text("a", 0), role(1), text("b", 1)]
    ended = [ends("stop", index) for index in range(3)]
    told = repaired([*stream, *ended, DONE], choices=3)
    begun = [c["index"] for p in told.chunks for c in p["choices"] if "role" in c["delta"]]
    assert begun == [0, 1, 2]
    assert [said(told.raw, index) for index in range(3)] == ["a", "b", "c"]


@pytest.mark.parametrize("reads", [[], [role()], [role(), text("a")]])
def test_a_silent_end_is_a_failure(reads: list[bytes]) -> None:
    assert repaired(reads).broken is not None


def test_an_end_without_done_is_completed() -> None:
    assert repaired([role(), text("a"), ends(), usage()]).ended


def test_what_came_before_a_failure_is_still_told() -> None:
    told = repaired([role() + text("a") + event({"error": {"message": "boom"}})])
    assert told.broken is not None
    assert told.output_tokens == 1
    assert said(told.raw) == "a"


DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["assistant", None]),
        "content": st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {"function": st.fixed_dictionaries({}, optional={
                    "name": st.sampled_from(["f", "g", None]),
                    "arguments": st.sampled_from(["", "{", "}", "{}", None]),
                })},
                optional={"index": st.integers(0, 2) | st.none(), "id": st.sampled_from(["", "a", "b"])},
            ),
            max_size=2,
        ),
    },
)  # fmt: skip
MESSY = st.lists(
    st.builds(
        chunk,
        st.builds(
            choice,
            DELTAS,
            st.sampled_from([None, None, "stop", "length", "weird"]),
            st.integers(0, 1),
        ),
        usage=st.none() | st.just(USAGE),
        id=st.sampled_from(["chatcmpl-1", "chatcmpl-2"]),
    ),
    min_size=1,
    max_size=8,
)


@given(MESSY, st.booleans())
@settings(deadline=None, max_examples=300)
def test_whatever_comes_in_is_clean_when_it_goes_out(stream: list[bytes], wants: bool) -> None:
    """Except for a call that never had a name, which nobody can invent."""
    told = Told(RepairReader(wants_usage=wants, choices=2), [*stream, DONE])
    assert told.ended
    found = judge(told.raw)
    assert set(found) <= {"a tool call begins without an id of its own or a name"}
    for index in (0, 1):
        assert said(told.raw, index) == said(b"".join(stream), index)


# The judge


def test_the_judge_finds_nothing_in_a_clean_stream() -> None:
    assert judge(b"".join(CLEAN)) == []


@pytest.mark.parametrize(
    ("stream", "finding"),
    [
        (CLEAN[:-1], "no [DONE]"),
        ([*CLEAN, text("late")], "events after [DONE]"),
        ([role(), text("a"), DONE], "no finish reason"),
        ([text("a"), ends(), DONE], "the role is not in the first delta, or not only there"),
        ([role(), role(), ends(), DONE], "the role is not in the first delta, or not only there"),
        ([role(), ends(), ends(), DONE], "the finish reason is sent twice"),
        ([role(), ends(), text("a"), DONE], "output after the finish reason"),
        ([role(), text("a", id="2"), ends(), DONE], "the id is missing or changes"),
        ([role(1), role(0), ends("stop", 0), ends("stop", 1), DONE], "the choices do not begin in order"),
        ([role(), text("a", usage=USAGE), ends(), DONE], "usage on chunks with choices"),
        ([role(), usage(), ends(), DONE], "usage is not last"),
        ([chunk(), *CLEAN], "a chunk without choices that carries no usage"),
        ([event([]), *CLEAN], "a chunk that is not a JSON object"),
        ([event({"error": {}, "id": "chatcmpl-1"}), *CLEAN], "a chunk without choices that carries no usage"),
        ([event({"error": {"message": "x"}}), *CLEAN], "an error event"),
        ([role(), call("", "f", index=0, id="a"), ends("stop"), DONE], "the finish reason is stop though tools were called"),
        ([role(), call("", "f", id="a"), ends("tool_calls"), DONE], "tool calls are not numbered in order"),
        ([role(), call("", "f", index=0), ends("tool_calls"), DONE], "a tool call begins without an id of its own or a name"),
        ([role(), *HABITS["equal indexes"], ends("tool_calls"), DONE], "a tool call repeats its id or name, or two share an index"),
        ([event({"choices": [{"delta": {"role": "assistant"}, "finish_reason": "stop"}], "id": "1"}), DONE], "a choice without an index"),
        ([b": hello\n\n", *CLEAN], "framing: comments"),
        ([b"id: 1\n", *CLEAN], "framing: `id:` lines"),
        ([b"event: x\n", *CLEAN], "framing: named events"),
        ([b"\xef\xbb\xbf", *CLEAN], "framing: a byte order mark"),
        ([b"data:\n\n", *CLEAN], "framing: empty `data:`"),
        ([b"".join(CLEAN).replace(b"\n", b"\r\n")], "framing: CR line ends"),
        ([b"".join(CLEAN)[:-1]], "framing: the last blank line is missing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_judge_finds(stream: list[bytes], finding: str) -> None:
    assert finding in judge(b"".join(stream))


IN_ORDER = ("clean", "interleaved", "arguments as an object")


@pytest.mark.parametrize("habit", [habit for habit in HABITS if habit not in IN_ORDER])
def test_the_judge_finds_every_habit(habit: str) -> None:
    assert judge(b"".join([role(), *HABITS[habit], ends("tool_calls"), DONE])) != []


# Answers that are not streamed


def test_a_clean_answer_is_left_as_it_is() -> None:
    message = {"role": "assistant", "content": "x"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({"id": "1", "choices": choices}).encode()
    assert repair_answer(body).raw == body


def test_an_answer_is_put_right() -> None:
    function = {"name": "f", "arguments": {"a": 1}}
    message = {"tool_calls": [{"function": function}, {"id": "", "function": function}], "x": 1}
    answer = {
        "id": "chatcmpl-9",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    delta = repair_answer(json.dumps(answer).encode())
    assert delta.finish == "tool_calls"
    assert json.loads(delta.raw)["choices"] == snapshot(
        [
            {
                "message": {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_9_0_0",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a":1}'},
                        },
                        {
                            "id": "call_9_0_1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a":1}'},
                        },
                    ],
                    "x": 1,
                },
                "finish_reason": "tool_calls",
                "index": 0,
            }
        ]
    )
    ChatCompletion.model_validate_json(delta.raw, strict=True)


@pytest.mark.parametrize("calls", [True, 7, "x", {}, [None, 3]])
def test_tool_calls_that_are_none_are_left_alone(calls: Any) -> None:
    message = {"role": "assistant", "content": "x", "tool_calls": calls}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({"choices": choices}).encode()
    assert repair_answer(body).raw == body


def test_an_answer_with_half_a_character_in_it_is_broken() -> None:
    body = rb'{"choices":[{"message":{"content":"x"}}],"x":"\ud83d"}'
    with pytest.raises(BrokenAnswer):
        repair_answer(body)
