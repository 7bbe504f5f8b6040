"""Answers in the `text_completion` shape: written from events, and passed through as bytes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from portico.canon.delta import Delta, Finished, Reasoning, Text
from portico.canon.usage import Meters
from portico.dialects.openai_chat.failures import BrokenAnswer
from portico.dialects.openai_completions.upstream import CompletionsReader, read_completion
from portico.dialects.openai_completions.writer import writer_for

from .test_parse import parsed

ENDED = Delta(events=(Finished("length"),), meters=Meters(input_text=2, output_text=3), last=True)


def entry(token: str, logprob: float, *others: tuple[str, float]) -> dict[str, Any]:
    top = [{"token": t, "logprob": p, "bytes": None} for t, p in ((token, logprob), *others)]
    return {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": top}


def whole(*deltas: Delta, **fields: Any) -> dict[str, Any]:
    writer = writer_for(parsed(**fields), "req_1", 7)
    return json.loads(b"".join(writer.write(delta) for delta in deltas))


def streamed(*deltas: Delta, **fields: Any) -> bytes:
    writer = writer_for(parsed(stream=True, **fields), "req_1", 7)
    return b"".join(writer.write(delta) for delta in deltas)


def chunks(wire: bytes) -> list[dict[str, Any]]:
    """Every event of a stream; its framing and its end are checked on the way."""
    assert b"\r" not in wire
    *events, rest = wire.split(b"\n\n")
    assert rest == b""
    assert events.pop() == b"data: [DONE]"
    assert all(event.startswith(b"data: {") for event in events)
    return [json.loads(event[6:]) for event in events]


def check_order(found: list[dict[str, Any]], choices: int) -> None:
    """Exactly one reason for each choice, after its last text; one id throughout."""
    assert len({(each["id"], each["object"]) for each in found}) == 1
    ended: list[int] = []
    for each in found:
        for choice in each["choices"]:
            assert choice["index"] not in ended
            if choice["finish_reason"] is not None:
                ended.append(choice["index"])
    assert sorted(ended) == list(range(choices))


def test_a_whole_answer() -> None:
    body = whole(
        Delta(events=(Reasoning("hm"), Text("a ")), output_tokens=2),
        Delta(events=(Text("tale"),), output_tokens=1),
        ENDED,
    )
    usage = body.pop("usage")
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (2, 3, 5)
    assert body == snapshot(
        {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 7,
            "model": "m",
            "choices": [
                {"text": "a tale", "index": 0, "logprobs": None, "finish_reason": "length"}
            ],
        }
    )


def test_a_stream() -> None:
    wire = streamed(Delta(events=(Text("a "),)), ENDED, stream_options={"include_usage": True})
    found = chunks(wire)
    check_order([each for each in found if each["choices"]], 1)
    assert found[0] == snapshot(
        {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 7,
            "model": "m",
            "choices": [{"text": "a ", "index": 0, "logprobs": None, "finish_reason": None}],
            "usage": None,
        }
    )
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["total_tokens"] == 5


def test_usage_only_for_who_asked() -> None:
    assert all("usage" not in each for each in chunks(streamed(ENDED)))


@pytest.mark.parametrize("stream", [True, False])
def test_an_echo_comes_before_each_answer_to_its_prompt(stream: bool) -> None:
    deltas = (
        Delta(events=(Text("1", 0), Text("2", 1), Text("3", 2), Text("4", 3))),
        Delta(events=tuple(Finished("stop", n) for n in range(4)), last=True),
    )
    asked = {"prompt": ["a", "b"], "n": 2, "echo": True}
    if stream:
        found = chunks(streamed(*deltas, **asked))
        check_order(found, 4)
        texts = [""] * 4
        for each in found:
            for choice in each["choices"]:
                texts[choice["index"]] += choice["text"]
    else:
        texts = [choice["text"] for choice in whole(*deltas, **asked)["choices"]]
    assert texts == ["a1", "a2", "b3", "b4"]


@pytest.mark.parametrize("stream", [True, False])
def test_log_probabilities_in_their_older_shape(stream: bool) -> None:
    deltas = (
        Delta(events=(Text("ab", 0, (entry("a", -0.1, ("x", -2.0)), entry("b", -0.2))),)),
        Delta(events=(Text("c", 0, (entry("c", -0.3),)),)),
        ENDED,
    )
    if stream:
        told = [each["choices"][0]["logprobs"] for each in chunks(streamed(*deltas, logprobs=1))]
        merged = {name: told[0][name] + told[1][name] for name in told[0]}
        assert told[2] is None
    else:
        merged = whole(*deltas, logprobs=1)["choices"][0]["logprobs"]
    assert merged == {
        "tokens": ["a", "b", "c"],
        "token_logprobs": [-0.1, -0.2, -0.3],
        "top_logprobs": [{"a": -0.1}, {"b": -0.2}, {"c": -0.3}],
        "text_offset": [0, 1, 2],
    }


@given(st.lists(st.tuples(st.integers(0, 2), st.text(min_size=1, max_size=3)), max_size=8))
@settings(deadline=None)
def test_a_stream_says_what_a_whole_answer_says(said: list[tuple[int, str]]) -> None:
    def deltas() -> list[Delta]:
        return [*(Delta(events=(Text(text, n),)) for n, text in said), Delta(last=True)]

    found = chunks(streamed(*deltas(), n=3))
    check_order(found, 3)
    texts = [""] * 3
    for each in found:
        for choice in each["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == [choice["text"] for choice in whole(*deltas(), n=3)["choices"]]


# --- an engine's own bytes ---------------------------------------------------------------------


def event(**members: Any) -> bytes:
    return b"data: " + json.dumps({"id": "c", "object": "text_completion", **members}).encode()


def text(text: str, index: int = 0, reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": index, "text": text, "finish_reason": reason, **more}
    return event(choices=[choice]) + b"\n\n"


USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
TOLD = event(choices=[], usage=USAGE) + b"\n\n"
DONE = b"data: [DONE]\n\n"


def passed(wire: bytes, *, wants_usage: bool = False, step: int = 0) -> list[Delta]:
    reader = CompletionsReader(wants_usage=wants_usage, choices=1)
    reads = [wire[at : at + step] for at in range(0, len(wire), step)] if step else [wire]
    found = [delta for read in reads if (delta := reader.feed(read)) is not None]
    if not found or not found[-1].last:
        last = reader.finish()
        found += [last] if last is not None else []
    return found


def test_members_we_do_not_know_pass_through() -> None:
    deltas = passed(
        text("a", stop_reason=7, logprobs={"tokens": ["a"]}) + text("", reason="stop") + DONE
    )
    found = chunks(b"".join(delta.raw for delta in deltas))
    assert found[0]["choices"][0]["stop_reason"] == 7
    assert found[0]["choices"][0]["logprobs"] == {"tokens": ["a"]}


@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize("step", [1, 7, 0])
def test_usage_is_read_whether_or_not_it_is_shown(wants_usage: bool, step: int) -> None:
    wire = text("a") + text("b") + text("", reason="length") + TOLD + DONE
    deltas = passed(wire, wants_usage=wants_usage, step=step)
    found = chunks(b"".join(delta.raw for delta in deltas))
    assert len(found) == 3 + wants_usage
    assert [delta.meters for delta in deltas if delta.meters] == [
        Meters(input_text=2, output_text=3)
    ]
    assert deltas[-1].last
    assert deltas[-1].finish == "length"
    assert sum(delta.last for delta in deltas) == 1


def test_tokens_count_until_the_engine_says_how_many() -> None:
    reader = CompletionsReader(wants_usage=False, choices=1)
    delta = reader.feed(text("a") + text("b"))
    assert delta is not None
    assert delta.output_tokens == 2


def test_edge_09_a_silent_end_is_no_success() -> None:
    with pytest.raises(BrokenAnswer) as found:
        passed(text("a"))
    assert found.value.refusal.code == "upstream_failed"


def test_an_end_without_done_is_one_when_every_choice_ended() -> None:
    deltas = passed(text("a") + text("", reason="stop"))
    assert deltas[-1].last
    assert b"".join(delta.raw for delta in deltas).endswith(DONE)


def test_an_error_in_the_stream_is_raised_with_what_came_before() -> None:
    reader = CompletionsReader(wants_usage=False, choices=1)
    with pytest.raises(BrokenAnswer) as found:
        reader.feed(text("a") + b'data: {"error": {"message": "no", "code": 500}}\n\n')
    assert found.value.delta is not None
    assert found.value.delta.output_tokens == 1


def test_a_whole_answer_passes_with_its_figures() -> None:
    body = json.dumps(
        {"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}], "usage": USAGE}
    ).encode()
    delta = read_completion(body)
    assert delta.raw == body
    assert (delta.meters, delta.finish) == (Meters(input_text=2, output_text=3), "stop")
    for broken in (b"{}", b"[]", b"x", b'{"error": {"message": "no"}}'):
        with pytest.raises(BrokenAnswer):
            read_completion(broken)
