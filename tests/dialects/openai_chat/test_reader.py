"""Streams that pass through: what is forwarded, hidden, counted, and when it is over."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.usage import Meters
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_chat.reading.reader import StreamReader, read_answer
from portico.dialects.openai_chat.repair import repair_answer

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

TIMINGS = {"cache_n": 4, "prompt_n": 3, "prompt_ms": 0.8, "predicted_n": 1, "predicted_ms": 0.1}


def through(reads: list[bytes], **how: Any) -> Told:
    return Told(StreamReader(**{"wants_usage": True, **how}), reads)


def test_a_clean_stream_goes_through_as_it_is() -> None:
    told = through(CLEAN)
    assert told.raw == b"".join(CLEAN)
    assert told.writes == [*CLEAN[:-2], CLEAN[-2] + DONE]
    assert told.usage.meters() == Meters(input_text=7, output_text=3)
    assert (told.finish, told.ended) == ("stop", True)
    check_stream(told.writes)


def test_usage_is_hidden_from_those_who_did_not_ask() -> None:
    told = through(CLEAN, wants_usage=False)
    assert told.raw == b"".join(CLEAN[:-2]) + DONE
    assert told.usage.meters() == Meters(input_text=7, output_text=3)


def test_usage_null_is_left_alone() -> None:
    stream = [role(), text("a", usage=None), ends(), DONE]
    assert through(stream, wants_usage=False).raw == b"".join(stream)


@given(st.lists(st.integers(1, 1_500), max_size=20), st.booleans())
@settings(deadline=None)
def test_any_split_gives_the_same(cuts: list[int], wants: bool) -> None:
    stream = b"".join(CLEAN)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reads = [stream[a:b] for a, b in pairwise(edges) if a < b]
    told, whole = through(reads, wants_usage=wants), through([stream], wants_usage=wants)
    assert told.raw == whole.raw
    assert told.usage.meters() == whole.usage.meters()
    check_framing(told.writes)


def test_one_token_for_every_chunk_that_bears_output() -> None:
    chunks = [
        role(),
        text("a"),
        text("b"),
        text(""),
        chunk(choice({"reasoning_content": "hm"})),
        chunk(choice({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f"}}]})),
        chunk(choice({"refusal": "no"})),
        ends(),
    ]
    for reads in (chunks, [b"".join(chunks)]):
        reader = StreamReader(wants_usage=False)
        counts = [reader.feed(data) for data in reads]
        assert sum(delta.output_tokens for delta in counts if delta) == 5


def test_two_like_the_last_one_in_one_read_are_two() -> None:
    told = through([role(), text("a"), text("b") + text("c"), text("d") + ends() + text("e")])
    assert told.output_tokens == 5
    assert told.finish == "stop"


def test_an_event_is_given_with_its_last_byte() -> None:
    reader = StreamReader(wants_usage=False)
    for data in (role(), text("a"), text("b")):
        assert reader.feed(data[:-1]) is None
        delta = reader.feed(data[-1:])
        assert delta is not None
        assert delta.raw == data


def test_a_bare_cr_inside_a_text_is_not_forwarded() -> None:
    told = through([role(), text("a"), text("b~c").replace(b"~", b"\r")])
    assert told.broken is not None
    assert told.raw == role() + text("a")


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@given(st.lists(WORDS, max_size=12))
@settings(deadline=None)
def test_text_is_never_changed_and_always_counted(words: list[str]) -> None:
    """Texts full of quotes, braces and words such as "finish_reason" too."""
    odd = [*words, '"},"finish_reason":"stop"', 'a"b\\', "data: [DONE]\n\n", "é" * 5]
    stream = [role(), *(text(word) for word in odd)]
    told = through(stream)
    assert isinstance(told.broken, BrokenAnswer)  # no end was sent
    assert told.raw == b"".join(stream)
    assert told.output_tokens == len(odd)
    assert said(told.raw) == "".join(odd)


# Figures on every chunk


@pytest.mark.parametrize("member", ["usage", "timings"])
@pytest.mark.parametrize("joined", [False, True], ids=["one by one", "all at once"])
def test_running_figures_are_read_and_taken_out(member: str, joined: bool) -> None:
    def figures(made: int) -> dict[str, Any]:
        if member == "usage":
            return {"usage": {"prompt_tokens": 7, "completion_tokens": made, "total_tokens": 0}}
        return {"timings": {**TIMINGS, "predicted_n": made}}

    pieces = ["a", "b", "c", "é", "d"]
    stream = [role(), *(text(word, **figures(n + 1)) for n, word in enumerate(pieces))]
    told = through([b"".join(stream)] if joined else stream, timings=member == "timings")
    assert told.raw == b"".join([role(), *(text(word) for word in pieces)])
    # Cut off here, the count is the engine's own, and not estimated.
    assert told.output_tokens == 5
    assert told.usage.meters().input_tokens == 7
    assert not told.usage.estimated
    assert told.usage.meters().input_cache_read == (4 if member == "timings" else 0)


def test_running_figures_with_unknown_members_behind_them() -> None:
    stream = [role(), text("a", usage={**USAGE}, other={"b": {}}), text("b", usage=USAGE, x=1)]
    told = through(stream)
    assert told.raw == b"".join([role(), text("a", other={"b": {}}), text("b", x=1)])
    assert told.output_tokens == 3


def test_figures_inside_something_else_are_left_alone() -> None:
    inner = {"a": 1, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    stream = [role(), text("a", other=inner)]
    told = through(stream)
    assert told.raw == b"".join(stream)
    assert told.usage.told is None


def test_timings_stay_where_they_were_not_asked_for() -> None:
    stream = [role(), text("a", timings=TIMINGS), ends(), DONE]
    assert through(stream).raw == b"".join(stream)


def test_running_figures_of_several_choices_are_added_up() -> None:
    stream = [role(0), role(1)]
    for made in (1, 2, 3):
        stream += [text("x", index, timings={**TIMINGS, "predicted_n": made}) for index in (0, 1)]
    told = through(stream, choices=2, timings=True)
    assert told.usage.meters() == Meters(input_text=3, input_cache_read=4, output_text=6)


def test_usage_told_once_per_choice_is_added_up_and_comes_last() -> None:
    """llama.cpp: each choice has a usage chunk of its own, wherever it ends."""
    stream = [role(0), role(1), text("a", 0), ends("stop", 0), usage(), text("b", 1)]
    stream += [ends("length", 1), usage(completion_tokens=5), DONE]
    told = through(stream, choices=2)
    assert told.usage.meters() == Meters(input_text=7, output_text=8)
    check_stream(told.writes)
    assert told.chunks[-1]["usage"]["completion_tokens"] == 8
    assert told.chunks[-1]["usage"]["prompt_tokens"] == 7


def test_running_usage_becomes_the_final_chunk_where_none_is_sent() -> None:
    told = through([role(), text("a", usage=USAGE), ends(), DONE])
    check_stream(told.writes)
    assert told.chunks[-1]["choices"] == []
    assert told.chunks[-1]["usage"]["completion_tokens"] == 3


def test_an_explicit_zero_is_a_zero() -> None:
    told = through([role(), text("a"), ends(), usage(completion_tokens=0), DONE])
    assert told.output_tokens == 0
    assert not told.usage.estimated


@pytest.mark.parametrize("figures", [{"prompt_tokens": -1}, {"prompt_tokens": "x"}, [], "x"])
def test_figures_that_make_no_sense_are_not_used(figures: Any) -> None:
    told = through([role(), text("a"), ends(), chunk(usage=figures), DONE])
    assert told.ended
    assert told.usage.told is None
    assert told.output_tokens == 1


# Framing that must not be forwarded


def reframed(by: str) -> list[bytes]:
    def one(data: bytes) -> bytes:
        payload = data[6:-2]
        return {
            "CRLF": data.replace(b"\n", b"\r\n"),
            "CR": data.replace(b"\n", b"\r"),
            "no space": b"data:" + payload + b"\n\n",
            "id": b"id: 7\n" + data,
            "event": b"event: message\n" + data,
            "comment": b": ping\n\n" + data,
            "comment, single newline": b": ping\n" + data,
            "empty data": b"data:\n\n" + data,
            "blank lines": b"\n\n" + data,
            "several lines": b"data: " + payload.replace(b',"', b',\ndata: "', 1) + b"\n\n",
        }[by]

    return [one(data) for data in CLEAN]


FRAMINGS = ["CRLF", "CR", "no space", "id", "event", "comment", "comment, single newline"]
FRAMINGS += ["empty data", "blank lines", "several lines"]


@pytest.mark.parametrize("by", FRAMINGS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_framing_is_put_right(by: str, size: int) -> None:
    stream = b"".join(reframed(by))
    told = through([stream[at : at + size] for at in range(0, len(stream), size)])
    check_stream(told.writes)
    assert told.raw.replace(b", ", b",") == b"".join(CLEAN)


@pytest.mark.parametrize("by", FRAMINGS)
def test_framing_that_goes_wrong_on_the_way(by: str) -> None:
    told = through([*CLEAN[:3], *reframed(by)[3:]])
    assert told.raw.replace(b", ", b",") == b"".join(CLEAN)


def test_a_byte_order_mark_and_a_missing_last_blank_line() -> None:
    stream = b"\xef\xbb\xbf" + b"".join(CLEAN)[:-2]
    assert through([stream]).raw == b"".join(CLEAN)


def test_chunks_that_crash_naive_clients_are_dropped() -> None:
    preamble = chunk(prompt_filter_results=[])
    ping = event({"type": "ping"})
    told = through([preamble, ping, *CLEAN])
    assert told.raw == b"".join(CLEAN)


# How it ends


def test_nothing_after_done() -> None:
    reader = StreamReader(wants_usage=False)
    delta = reader.feed(b"".join(CLEAN) + text("late"))
    assert delta is not None
    assert delta.last
    assert reader.feed(text("later")) is None
    assert reader.finish() is None


def test_an_end_without_done_is_completed_where_every_choice_has_ended() -> None:
    told = through([role(0), role(1), ends("stop", 0), ends("length", 1), usage()], choices=2)
    assert told.ended
    check_stream(told.writes)


@pytest.mark.parametrize("reads", [[], [role()], [role(), text("a")], [b"data: {"]])
def test_a_silent_end_is_a_failure(reads: list[bytes]) -> None:
    told = through(reads)
    assert told.broken is not None
    assert told.broken.refusal.code == "upstream_failed"


def test_a_silent_end_of_one_of_two_choices_is_a_failure() -> None:
    told = through([role(0), role(1), ends("stop", 0)], choices=2)
    assert told.broken is not None


@pytest.mark.parametrize(
    ("bad", "code", "fault"),
    [
        (event({"error": {"message": "boom", "type": "server_error"}}), "upstream_failed", "upstream"),
        (event({"error": {"message": "slow", "code": 429}}), "upstream_busy", "upstream"),
        (event({"error": {"message": "bad", "code": 400}}), "upstream_refused", "caller"),
        (event({"error": "plain words"}), "upstream_failed", "upstream"),
        (event({"object": "error", "message": "old vLLM", "code": 400}), "upstream_refused", "caller"),
        (b"event: error\n" + event({"message": "named", "code": 503}), "upstream_busy", "upstream"),
        (
            event({"error": {"type": "exceed_context_size_error", "message": "x", "code": 400,
                             "n_prompt_tokens": 99, "n_ctx": 50}}),
            "context_length_exceeded",
            "caller",
        ),
        (b"data: {broken\n\n", "upstream_failed", "upstream"),
        (b"data: 7\n\n", "upstream_failed", "upstream"),
        (b'data: {"choices":[{"index":"x"}]}\n\n', "upstream_failed", "upstream"),
        (b'data: {"choices":[{"index":0,"delta":{"content":"\xff"}}]}\n\n', "upstream_failed", "upstream"),
    ],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
def test_what_came_before_a_failure_is_still_told(bad: bytes, code: str, fault: str) -> None:
    good = [role(), text("a"), text("b")]
    for reads in ([*good, bad], [b"".join(good) + bad]):
        told = through(reads)
        assert told.broken is not None
        assert (told.broken.refusal.code, told.broken.refusal.entry.fault) == (code, fault)
        assert told.raw == b"".join(good)
        assert told.output_tokens == 2


def test_the_upstreams_words_reach_the_caller() -> None:
    told = through([event({"error": {"message": "CUDA out of memory", "code": 500}})])
    assert told.broken is not None
    assert "CUDA out of memory" in told.broken.refusal.message


@pytest.mark.parametrize("code", [401, 403, 404])
def test_an_upstreams_view_of_our_key_is_not_for_the_caller(code: int) -> None:
    told = through([event({"error": {"message": "Bad key sk-123", "code": code}})])
    assert told.broken is not None
    assert "sk-123" not in told.broken.refusal.message
    assert told.broken.refusal.code == "upstream_failed"


@pytest.mark.parametrize("start", [b"data: ", b"\rdata: "], ids=["clean", "lenient"])
def test_an_event_without_an_end_is_given_up(start: bytes) -> None:
    told = through([start, *([b"x" * 100_000] * 100)])
    assert told.broken is not None
    assert "8 MiB" in told.broken.refusal.message


# Answers that are not streamed


def answer(**fields: Any) -> bytes:
    choices = [
        {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    ]
    return json.dumps({"id": "1", "choices": choices, "usage": USAGE, **fields}).encode()


def test_an_answer_goes_through_as_it_is() -> None:
    delta = read_answer(answer(unknown=1))
    assert delta.raw == answer(unknown=1)
    assert (delta.last, delta.finish) == (True, "stop")
    assert delta.meters == Meters(input_text=7, output_text=3)


def test_an_answer_without_usage() -> None:
    assert read_answer(answer(usage=None)).meters is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "upstream_failed"),
        (b"<html>", "upstream_failed"),
        (b"[]", "upstream_failed"),
        (b"{}", "upstream_failed"),
        (answer(choices=[]), "upstream_failed"),
        (answer(choices=[{"index": 0}]), "upstream_failed"),
        (b'{"error":{"message":"no","code":400}}', "upstream_refused"),
        (b'{"error":{"message":"no","type":"invalid_request_error"}}', "upstream_refused"),
        (b'{"error":{"message":"no"}}', "upstream_failed"),
        (b'[{"error":{"message":"no","code":429}}]', "upstream_failed"),
        (rb'{"error":{"message":"\ud83d"}}', "upstream_failed"),
    ],
)
@pytest.mark.parametrize("read", [read_answer, repair_answer])
def test_a_200_that_is_no_answer(body: bytes, code: str, read: Any) -> None:
    with pytest.raises(BrokenAnswer) as caught:
        read(body)
    assert caught.value.refusal.code == code
