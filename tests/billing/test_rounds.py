"""Work that comes round is done by one of several servers, when it is due, whatever happened before."""

from collections.abc import Callable

import pytest

from portico.billing.rounds import Rounds
from portico.db.database import Database
from tests.billing.alerts.inbox import Clock
from tests.billing.books import NOW_MS

HOUR_MS = 3_600_000


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_MS)


Make = Callable[..., Rounds]


@pytest.fixture
def make(database: Database, clock: Clock) -> Make:
    def made(owner: str, work: Callable[[int], object], name: str = "w") -> Rounds:
        return Rounds(database, clock, owner, name, 3_600.0, work)

    return made


def test_one_server_goes_round_once_an_hour(make: Make, clock: Clock) -> None:
    done: list[int] = []
    servers = [make(owner, done.append) for owner in ("inst_1", "inst_2")]
    assert [each.look() for each in servers] == [True, False]
    clock.now_ms += HOUR_MS - 1
    assert [each.look() for each in servers] == [False, False]
    clock.now_ms += 1
    assert [each.look() for each in reversed(servers)] == [True, False]
    assert done == [NOW_MS, NOW_MS + HOUR_MS]


def test_different_work_does_not_wait_for_each_other(make: Make) -> None:
    done: list[int] = []
    assert [make("inst_1", done.append, name).look() for name in "ab"] == [True, True]


def test_a_round_that_fails_is_tried_again_in_the_next(make: Make, clock: Clock) -> None:
    def fails(now_ms: int) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        make("inst_1", fails).look()
    clock.now_ms += HOUR_MS
    assert make("inst_2", id).look() is True
