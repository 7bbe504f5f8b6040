"""What a project may keep: counted as it is kept, weighed now and then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.errors import Refusal
from portico.keeping.room import Room
from tests.db.storage import HandClock

LIMIT = 6_400
STEP = LIMIT // 64


@given(st.lists(st.integers(0, 2_000), max_size=20), st.integers(0, 10_000))
def test_what_this_server_keeps_counts_at_once(sizes: list[int], weighed: int) -> None:
    room = Room(LIMIT, HandClock())
    room.weigh("p")(weighed)
    total = weighed
    assert room.is_full("p") is (total >= LIMIT)
    for size in sizes:
        room.grew("p", size)
        total += size
        assert room.is_full("p") is (total >= LIMIT)
        assert room.full == (total >= LIMIT)
    assert not room.is_full("q"), "each by itself"


def test_one_that_is_asked_about_first_is_weighed_soon() -> None:
    room = Room(LIMIT, HandClock())
    assert not room.is_full("p")
    assert room.due() == ["p"]
    room.weigh("p")(LIMIT)
    assert room.is_full("p")
    assert room.due() == []


def test_what_comes_while_it_is_weighed_is_not_lost() -> None:
    room = Room(LIMIT, HandClock())
    room.grew("p", 500)
    found = room.weigh("p")
    room.grew("p", LIMIT - 500)
    found(500)
    assert room.is_full("p")


def test_it_is_weighed_again_once_enough_has_been_added() -> None:
    """Others may have, too: no server is wrong about its own part by more than this."""
    room = Room(LIMIT, HandClock())
    room.weigh("p")(0)
    room.grew("p", STEP - 1)
    assert room.due() == []
    room.grew("p", 1)
    assert room.due() == ["p"] == room.due(), "until it was"


def test_one_that_is_full_is_weighed_again_and_again() -> None:
    clock = HandClock()
    room = Room(LIMIT, clock)
    room.weigh("p")(LIMIT)
    clock.now_s += 14
    assert room.due() == []
    clock.now_s += 1
    assert room.due() == ["p"]
    room.weigh("p")(LIMIT - 1)
    clock.now_s += 100
    assert room.due() == []


def test_where_something_was_removed_it_is_looked_for_at_once() -> None:
    room = Room(LIMIT, HandClock())
    room.weigh("p")(LIMIT)
    room.weigh("q")(0)
    room.shrank("p")
    room.shrank("q")
    assert room.due() == ["p"], "nobody waits for the other"


def test_where_nothing_may_be_kept_everything_is_full() -> None:
    room = Room(0, HandClock())
    assert room.is_full("p")
    room.weigh("p")(0)
    assert room.is_full("p")


def test_403_says_how_much_what_asked_and_what_to_do() -> None:
    room = Room(LIMIT, HandClock())
    room.check("p", "store")
    room.weigh("p")(LIMIT + 7)
    with pytest.raises(Refusal) as refused:
        room.check("p", "store", "Send 'store': false. ")
    told = refused.value
    assert (told.code, told.status, told.field) == ("storage_quota_exceeded", 403, "store")
    assert (told.value, told.limit) == (LIMIT + 7, LIMIT)
    assert told.remedy.startswith("Send 'store': false. Delete what is not needed")
