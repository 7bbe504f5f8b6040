"""Steps come in order, none sooner after the one before it than the policy says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.billing.dunning.model import Policy
from portico.billing.dunning.rules import closes, next_step, state_of

DAY_MS = 86_400_000
POLICY = Policy((0, 3, 7, 14), 21, 28)
KINDS = ["notice_1", "notice_2", "notice_3", "notice_4", "read_only", "suspended"]
DAYS = [0, 3, 7, 14, 21, 28]


def played(due_ms: int, runs_ms: list[int], policy: Policy = POLICY) -> dict[str, int]:
    """What runs at those moments do."""
    taken: dict[str, int] = {}
    for now_ms in runs_ms:
        step = next_step(due_ms, taken, policy, now_ms)
        if step is not None:
            taken[step.kind] = now_ms
    return taken


def test_run_daily_every_step_comes_on_its_day() -> None:
    taken = played(0, [day * DAY_MS for day in range(-3, 60)])
    assert taken == {kind: day * DAY_MS for kind, day in zip(KINDS, DAYS, strict=True)}


def test_not_a_moment_before() -> None:
    assert played(0, [-1]) == {}
    assert played(0, [0, 3 * DAY_MS - 1]) == {"notice_1": 0}


@given(st.lists(st.integers(-10, 200), max_size=40), st.integers(0, DAY_MS))
def test_late_runs_delay_and_bunch_nothing(days: list[int], offset_ms: int) -> None:
    taken = played(0, [day * DAY_MS + offset_ms for day in sorted(days)])
    assert list(taken) == KINDS[: len(taken)], "in order, none left out"
    for kind, day in zip(KINDS, DAYS, strict=True):
        assert taken.get(kind, day * DAY_MS) >= day * DAY_MS
    for (before, after), (first, second) in zip(pairwise(KINDS), pairwise(DAYS), strict=True):
        if after in taken:
            assert taken[after] - taken[before] >= (second - first) * DAY_MS


def test_a_run_after_half_a_year_begins_at_the_beginning() -> None:
    assert played(0, [180 * DAY_MS] * 5) == {"notice_1": 180 * DAY_MS}


def test_a_policy_that_changes_goes_on_after_the_last_step_taken() -> None:
    taken = {"notice_1": 0, "notice_2": 3 * DAY_MS, "notice_3": 7 * DAY_MS}
    shorter = Policy((0, 1), 5, 9)
    step = next_step(0, taken, shorter, 30 * DAY_MS)
    assert step is not None
    assert step.kind == "read_only"
    taken = {"notice_1": 0, "notice_2": DAY_MS, "read_only": 5 * DAY_MS}
    step = next_step(0, taken, Policy((0, 1, 2), 5, 9), 30 * DAY_MS)
    assert step is not None
    assert step.kind == "suspended", "no step back, though a notice was added"


@pytest.mark.parametrize(
    ("notices", "read_only", "suspended"),
    [((), 1, 2), ((-1,), 1, 2), ((0, 0), 1, 2), ((3, 1), 4, 5), ((0, 5), 5, 6), ((0,), 7, 7),
     ((0,), 8, 7)],
)  # fmt: skip
def test_days_that_do_not_rise_are_refused(
    notices: tuple[int, ...], read_only: int, suspended: int
) -> None:
    with pytest.raises(ValueError, match="must rise"):
        Policy(notices, read_only, suspended)


def test_the_worst_step_is_the_state() -> None:
    assert state_of([]) == state_of(["notice_1", "notice_4"]) == "good"
    assert state_of(["notice_1", "read_only"]) == "read_only"
    assert state_of(["suspended", "read_only"]) == "suspended"


def test_what_a_state_closes() -> None:
    kinds = ("receivable", "prepaid", "promo", "limit", "tax_payable")
    closed = {
        state: [kind for kind in kinds if closes(state, kind)]
        for state in ("good", "read_only", "suspended")
    }
    assert closed == {
        "good": [],
        "read_only": ["receivable"],
        "suspended": ["receivable", "prepaid", "promo"],
    }
