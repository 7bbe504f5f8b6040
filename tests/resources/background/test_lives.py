"""What a stream has said is said once, in its order, however often it was begun."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.kit.leaving import Leaving
from portico.resources.background import rules
from portico.resources.background.lives import Live, Lives
from portico.resources.background.model import Task

TASK = Task("resp_1", "org_1", "proj_1", "key_1", "key_1", True, b"{}", b"{}", "req_1", 1, 0)


def event(number: int, kind: str = "response.output_text.delta") -> bytes:
    return b'event: %b\ndata: {"sequence_number":%d}\n\n' % (kind.encode(), number)


@given(count=st.integers(0, 12), said=st.integers(0, 12), cuts=st.lists(st.integers(0, 12)))
def test_what_was_said_before_is_not_said_again(count: int, said: int, cuts: list[int]) -> None:
    """A try begins at the beginning; whoever follows sees each number once."""
    events = [event(number) for number in range(count)]
    live = Live(TASK, events[:said], Leaving())
    places = sorted({0, count, *(cut for cut in cuts if cut < count)})
    for start, end in pairwise(places):
        live.take(b": ping\n\n" + b"".join(events[start:end]))
    live.take(b"data: [DONE]\n\n")
    assert live.events == events[: max(count, min(said, count))]


def test_its_end_is_known_by_its_last_event() -> None:
    live = Live(TASK, [], Leaving())
    assert not live.said_its_end
    live.take(event(0, "response.created"))
    assert not live.said_its_end
    live.take(event(1, "response.incomplete"))
    assert live.said_its_end


def test_a_later_try_of_the_same_response_is_not_removed_by_an_earlier_one() -> None:
    lives = Lives()
    first, second = Live(TASK, [], Leaving()), Live(TASK, [], Leaving())
    lives.add(first)
    lives.add(second)
    lives.remove(first)
    assert lives.get("resp_1") is second


@pytest.mark.anyio
async def test_whoever_waits_is_woken_by_what_comes_and_by_the_end() -> None:
    live = Live(TASK, [], Leaving())
    assert not await live.change(0.0)
    waiting = live.change(30)
    live.take(event(0))
    assert not await live.change(0.0)  # it came before anybody waited
    waiting.close()


def test_the_event_that_stands_for_a_missing_end() -> None:
    assert rules.last_event(b'{"id":"resp_1"}', "completed", 7) == (
        b"event: response.completed\n"
        b'data: {"type":"response.completed","sequence_number":7,"response":{"id":"resp_1"}}\n\n'
    )
    assert rules.ends(rules.last_event(b"{}", "cancelled", 0))
