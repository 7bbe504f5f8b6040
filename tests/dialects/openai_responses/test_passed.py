"""An engine's own stream that breaks off: what it has said is in the response that is kept."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.canon.delta import Delta, Event
from portico.dialects.openai_responses.answers import passed
from portico.dialects.openai_responses.answers.passed import Passed
from portico.dialects.openai_responses.answers.writer import StreamWriter

from .bodies import parsed
from .test_writer import WRITERS, answers, writer


def passing(*, kept: bool = True) -> StreamWriter:
    prompt = parsed(stream=True)
    prompt.kept = kept
    made = WRITERS.of(prompt, "req_7", 1_700_000_000)
    assert isinstance(made, StreamWriter)
    return made


@given(answers(), st.lists(st.integers(0, 8), max_size=4), st.sampled_from([1, 400, 10**9]))
@settings(deadline=None, max_examples=150)
def test_it_holds_what_a_translated_one_does(
    events: list[Event], cuts: list[int], read_bytes: int
) -> None:
    """In whatever pieces it came, and was read."""
    ours, theirs = writer(), passing()
    places = sorted({0, *cuts, len(events)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passed, "_READ_BYTES", read_bytes)
        for first, end in pairwise(places):
            raw = ours.write(Delta(events=tuple(events[first:end])))
            if raw:
                assert theirs.write(Delta(raw=raw)) == raw
        expected = json.loads(ours.broken("failed"))
        told = theirs.broken("failed")
    if not told:  # nothing was said yet
        assert expected["output"] == []
        return
    found = json.loads(told)
    assert found["output"] == expected["output"]
    assert (found["status"], found["error"]) == (expected["status"], expected["error"])


def test_where_nothing_is_kept_nothing_is_heard() -> None:
    theirs = passing(kept=False)
    theirs.write(Delta(raw=event("response.created", response={"id": "resp_1"})))
    theirs.write(Delta(raw=begun(0)))
    assert json.loads(theirs.broken("failed"))["output"] == []


def event(kind: str, **more: Any) -> bytes:
    data = json.dumps({"type": kind, **more}).encode()
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def begun(at: int, **more: Any) -> bytes:
    item = {"id": f"msg_{at}", "type": "message", "status": "in_progress", **more}
    return event("response.output_item.added", output_index=at, item=item)


def said(at: int, text: Any, **more: Any) -> bytes:
    return event("response.output_text.delta", output_index=at, delta=text, **more)


def test_of_an_engine_that_tells_little_as_much_as_can_be_known() -> None:
    """It did not say where its parts begin, and its items come out of order."""
    heard = Passed()
    heard.take(begun(1) + begun(0) + said(0, "A", content_index=1) + said(1, "B"))
    heard.take(said(0, "C", content_index=0) + said(7, "of no item") + said(0, 5))
    texts = [[part["text"] for part in item["content"]] for item in heard.output()]
    assert texts == [["C", "A"], ["B"]]
    assert {item["status"] for item in heard.output()} == {"incomplete"}
    assert heard.output()[1]["content"] == [{"type": "output_text", "text": "B"}]


ODD = [
    b"data: {\n\n",
    b'data: {"output_index": 0}\n\n',
    b'data: {"type": "response.output_item.added", "output_index": 0, "item": [1]}\n\n',
    b'data: {"type": "response.output_item.done", "output_index": 0, "item": null}\n\n',
    b'data: {"type": "response.content_part.added", "output_index": 0, "part": 1}\n\n',
    b'data: {"type": [], "output_index": 0}\n\n',
    b'data: {"type": "response.output_text.delta", "output_index": "0"}\n\n',
    b"\xff\n\n",
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_is_passed_over(odd: bytes) -> None:
    heard = Passed()
    heard.take(begun(0) + odd + said(0, "A"))
    (item,) = heard.output()
    assert item["content"] == [{"type": "output_text", "text": "A"}]


def test_of_one_that_does_not_end_no_more_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passed, "_BYTES_MAX", 1_000)
    heard = Passed()
    heard.take(begun(0) + said(0, "A"))
    for _ in range(20):
        heard.take(said(0, "x" * 50))
    (item,) = heard.output()
    assert len(item["content"][0]["text"]) < 1_000
