"""When the next commit begins: a lone row never waits, a crowd shares."""

from hypothesis import given
from hypothesis import strategies as st

from portico.db.pace import Pace

INTERVAL_S = 0.002


def paced(per_s: float, together: int, for_s: float = 1.0) -> float:
    """The pause after the last commit, of a load that came in groups of `together`."""
    pace, now_s = Pace(INTERVAL_S), 100.0
    pause_s = 0.0
    while now_s < 100.0 + for_s:
        pause_s = pace.next_s(together, now_s) - now_s
        now_s += together / per_s
    return pause_s


def test_a_row_after_a_long_silence_is_not_followed_by_a_pause() -> None:
    assert paced(per_s=10, together=1) < 0.02 * INTERVAL_S


def test_two_thousand_a_second_wait_for_the_whole_interval() -> None:
    assert paced(per_s=2_400, together=1) > 0.9 * INTERVAL_S


def test_many_small_commits_wait_as_long_as_few_large_ones() -> None:
    # By the size of the last commit they would not wait at all, and so stay small.
    small, large = paced(per_s=1_200, together=1), paced(per_s=1_200, together=6)
    assert abs(small - large) < 0.3 * INTERVAL_S


def test_a_crowd_is_forgotten() -> None:
    pace = Pace(INTERVAL_S)
    pace.next_s(500, 50.0)
    assert pace.next_s(1, 52.0) - 52.0 < 0.02 * INTERVAL_S


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.floats(0, 5)), max_size=50),
)
def test_the_pause_is_never_longer_than_the_interval(load: list[tuple[int, float]]) -> None:
    pace, now_s = Pace(INTERVAL_S), 0.0
    for waiting, gap_s in load:
        now_s += gap_s
        assert 0.0 <= pace.next_s(waiting, now_s) - now_s <= INTERVAL_S * 1.001
