"""What a breaker, a window and a retry budget promise, in any order of events."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from portico.routing.health import (
    FAILURES_IN_A_ROW,
    JUDGED_FROM,
    RETRIES_MAX,
    RETRIES_PER_S,
    RETRY_SHARE,
    Breaker,
    RetryBudget,
    Window,
    is_outlier,
)

LONGEST_REST_S = 10.0
steps = st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=60)


def opened(now_s: float = 0.0) -> Breaker:
    breaker = Breaker()
    breaker.open(now_s)
    return breaker


def noted(tried: int, failed: int) -> Breaker:
    breaker = Breaker()
    for number in range(tried):
        breaker.window.add(number < failed, 1.0)
    return breaker


def test_it_opens_after_five_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_IN_A_ROW - 1):
        breaker.failed(breaker.epoch, 1.0)
    breaker.succeeded(breaker.epoch, 1.0)
    for _ in range(FAILURES_IN_A_ROW - 1):
        breaker.failed(breaker.epoch, 1.0)
    assert breaker.state == "closed"
    breaker.failed(breaker.epoch, 1.0)
    assert breaker.state == "open"


def test_while_one_finds_out_it_is_nobody_elses_turn() -> None:
    breaker = opened(0.0)
    assert not breaker.due(0.5)
    assert breaker.due(1.0)
    breaker.probe()
    assert not breaker.due(1_000.0)


def test_the_one_that_finds_out_decides() -> None:
    back, still_away = opened(), opened()
    back.answered(back.probe())
    still_away.failed(still_away.probe(), 2.0)
    assert (back.state, still_away.state) == ("closed", "open")
    assert not still_away.due(3.9), "and a second rest is longer"
    assert still_away.due(4.0)


def test_if_the_one_that_finds_out_is_called_away_the_next_one_does() -> None:
    breaker = opened()
    breaker.unknown(breaker.probe(), 5.0)
    assert breaker.due(5.0)


def test_what_began_before_an_outage_says_nothing_about_the_time_after() -> None:
    breaker = Breaker()
    before = breaker.epoch
    breaker.open(0.0)
    breaker.succeeded(breaker.answered(before), 1.0)
    assert breaker.state == "open"
    breaker.answered(breaker.probe())
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed(before, 1.0)
    assert breaker.state == "closed"
    for _ in range(FAILURES_IN_A_ROW):
        breaker.succeeded(before, 1.0)
        breaker.failed(breaker.epoch, 1.0)
    assert breaker.state == "open"


def test_a_first_delta_is_enough_to_be_back_and_what_follows_counts() -> None:
    breaker = opened()
    epoch = breaker.answered(breaker.probe())
    assert breaker.state == "closed"
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed(epoch, 2.0)
    assert breaker.state == "open"


@given(steps)
def test_whatever_happened_it_is_asked_again_within_ten_seconds(
    steps: list[tuple[float, bool]],
) -> None:
    breaker, now_s = Breaker(), 0.0
    for passed_s, works in steps:
        now_s += passed_s
        epoch = breaker.probe() if breaker.due(now_s) else breaker.epoch
        if works:
            breaker.succeeded(breaker.answered(epoch), now_s)
        else:
            breaker.failed(epoch, now_s)
    assert breaker.state == "closed" or breaker.due(now_s + LONGEST_REST_S)


@given(st.lists(st.tuples(st.floats(0, 9), st.booleans()), max_size=60))
def test_a_window_knows_the_last_25_seconds_and_nothing_older_than_30(
    tries: list[tuple[float, bool]],
) -> None:
    window, now_s, all_tries = Window(), 1_000.0, []
    for passed_s, failed in tries:
        now_s += passed_s
        window.add(failed, now_s)
        all_tries.append((now_s, failed))
    tried, failures = window.counts(now_s)
    recent = [failed for at_s, failed in all_tries if at_s > now_s - 25]
    older = [failed for at_s, failed in all_tries if at_s >= now_s - 30]
    assert len(recent) <= tried <= len(older)
    assert sum(recent) <= failures <= sum(older)


def test_an_outlier_fails_more_than_its_siblings() -> None:
    bad = noted(JUDGED_FROM, JUDGED_FROM // 2)
    assert is_outlier(bad, [noted(JUDGED_FROM, 1)], 1.0)
    assert is_outlier(bad, [Breaker()], 1.0), "nothing bad is known of the sibling"


def test_what_all_fail_at_is_no_fault_of_one() -> None:
    bad = noted(JUDGED_FROM, JUDGED_FROM // 2)
    assert not is_outlier(bad, [noted(JUDGED_FROM, JUDGED_FROM // 2)], 1.0)


def test_too_few_tries_say_nothing() -> None:
    assert not is_outlier(noted(JUDGED_FROM - 1, JUDGED_FROM - 1), [Breaker()], 1.0)


def test_a_few_failures_are_the_retry_budgets_affair() -> None:
    assert not is_outlier(noted(JUDGED_FROM, JUDGED_FROM // 10), [Breaker()], 1.0)


@given(st.lists(st.sampled_from(["closed", "open"]), max_size=4))
def test_the_last_one_is_never_taken_out(states: list[Any]) -> None:
    siblings = [opened() if state == "open" else Breaker() for state in states]
    taken_out = is_outlier(noted(JUDGED_FROM, JUDGED_FROM), siblings, 1.0)
    assert taken_out == ("closed" in states)


class Spending(RuleBasedStateMachine):
    """Requests, time and second tries in any order."""

    @initialize()
    def begin(self) -> None:
        self.budget, self.now_s, self.requests, self.spent = RetryBudget(0.0), 0.0, 0, 0
        self.refused = False

    @rule(count=st.integers(1, 300))
    def requests_come(self, count: int) -> None:
        for _ in range(count):
            self.budget.earn()
        self.requests += count

    @rule(passed_s=st.floats(0, 50))
    def time_passes(self, passed_s: float) -> None:
        self.now_s += passed_s

    @rule(count=st.integers(1, 200))
    def failures_come(self, count: int) -> None:
        for _ in range(count):
            affords = self.budget.affords(self.now_s)
            spent = self.budget.spend(self.now_s)
            assert spent == affords
            self.spent += spent

    @invariant()
    def load_is_never_multiplied(self) -> None:
        earned = RETRY_SHARE * self.requests + RETRIES_PER_S * self.now_s
        assert self.spent <= earned + RETRIES_MAX + 0.001


TestSpending = Spending.TestCase


def test_a_quiet_model_may_try_again_too() -> None:
    budget = RetryBudget(0.0)
    while budget.spend(0.0):
        pass
    assert not budget.spend(0.9)
    assert budget.spend(1.9)
