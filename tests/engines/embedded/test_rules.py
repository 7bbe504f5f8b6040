"""When a dead child comes back, and what happens to a request that keeps killing it."""

from hypothesis import given
from hypothesis import strategies as st

from portico.engines.embedded.rules import RestartPolicy, Restarts, Suspects
from portico.kit.backoff import exponential_s

POLICY = RestartPolicy()


def test_the_wait_doubles_from_a_fifth_of_a_second_to_ten_seconds():
    waits = [exponential_s(n, POLICY.first_s, POLICY.most_s) for n in range(9)]
    assert waits == [0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert exponential_s(10_000, 0.2, 10.0) == 10.0


def test_the_fifth_death_within_a_minute_opens_the_circuit():
    restarts = Restarts(POLICY)
    waits = [restarts.died(at_s) for at_s in (0.0, 1.0, 2.0, 3.0)]
    assert waits == [0.2, 0.4, 0.8, 1.6]
    assert not restarts.circuit_open
    assert restarts.died(4.0) == POLICY.half_open_s
    assert restarts.circuit_open


def test_one_death_a_minute_never_opens_the_circuit():
    restarts = Restarts(POLICY)
    for minute in range(20):
        assert restarts.died(minute * 61.0) == 0.2
        assert not restarts.circuit_open


def test_after_the_circuit_one_try_and_a_death_in_it_opens_it_again():
    restarts = Restarts(POLICY)
    for at_s in range(5):
        restarts.died(float(at_s))
    restarts.trying()
    assert not restarts.circuit_open
    tried_at_s = 4.0 + POLICY.half_open_s
    assert restarts.died(tried_at_s + POLICY.window_s - 1) == POLICY.half_open_s
    assert restarts.circuit_open


def test_a_child_that_outlives_its_probation_is_trusted_again():
    restarts = Restarts(POLICY)
    for at_s in range(5):
        restarts.died(float(at_s))
    restarts.trying()
    assert restarts.died(4.0 + POLICY.half_open_s + POLICY.window_s + 1) == 0.2
    assert not restarts.circuit_open


@given(st.lists(st.floats(0, 100), max_size=30))
def test_no_minute_sees_more_starts_than_deaths_allowed(gaps):
    """However the deaths fall: over any window, at most deaths_max starts follow without the
    long wait."""
    restarts = Restarts(POLICY)
    now_s, quick = 0.0, []
    for gap in gaps:
        now_s += gap
        if restarts.died(now_s) < POLICY.half_open_s:
            quick.append(now_s)
        recent = [at for at in quick if at > now_s - POLICY.window_s]
        assert len(recent) < POLICY.deaths_max


def test_a_request_is_poison_after_two_deaths_and_only_for_a_while():
    suspects = Suspects(remembered_s=100.0)
    assert not suspects
    assert suspects.blame(b"bad", 0.0) == 1
    assert suspects
    assert suspects.blame(b"bad", 1.0) == 2
    assert suspects.deaths(b"bad", 2.0) == 2
    assert suspects.deaths(b"good", 2.0) == 0
    assert suspects.deaths(b"bad", 102.0) == 0
    assert not suspects


def test_an_answered_request_is_cleared():
    suspects = Suspects()
    suspects.blame(b"neighbour", 0.0)
    suspects.clear(b"neighbour")
    suspects.clear(b"never seen")
    assert suspects.deaths(b"neighbour", 0.0) == 0


def test_the_memory_for_suspects_is_bounded_and_forgets_the_oldest():
    suspects = Suspects(kept=3)
    for n in range(5):
        suspects.blame(b"%d" % n, 0.0)
    assert [suspects.deaths(b"%d" % n, 0.0) for n in range(5)] == [0, 0, 1, 1, 1]
