"""How long what is kept may stay."""

from hypothesis import given
from hypothesis import strategies as st

from portico.callers.model import Caller, Retention
from portico.keeping.rules import ARCHIVED_MS, content_ms_max, expiry_ms

DAY_MS = 86_400_000
TIMES = st.integers(0, 10**13)
SPANS = st.none() | st.integers(0, 36_500 * DAY_MS)
RETENTIONS = st.sampled_from(("zero", "metadata", "days", "contributor"))


@given(own=st.none() | TIMES, since=TIMES, spans=st.lists(SPANS, max_size=4))
def test_the_shortest_of_all_that_were_said_holds_in_whatever_order(
    own: int | None, since: int, spans: list[int | None]
) -> None:
    forth, back = own, own
    for span in spans:
        forth = expiry_ms(forth, since, span)
    for span in reversed(spans):
        back = expiry_ms(back, since, span)
    told = [since + span for span in spans if span is not None]
    assert forth == back == min([*told, *([] if own is None else [own])], default=None)


@given(own=st.none() | TIMES, since=TIMES, span=SPANS)
def test_a_second_walk_changes_nothing(own: int | None, since: int, span: int | None) -> None:
    once = expiry_ms(own, since, span)
    assert expiry_ms(once, since, span) == once
    assert once is None or own is None or once <= own, "nothing stays longer than it said"


@given(RETENTIONS, st.none() | st.integers(1, 36_500), TIMES)
def test_what_a_caller_is_told_is_what_the_sweep_goes_by(
    retention: Retention, days: int | None, now_ms: int
) -> None:
    caller = Caller("k", "p", "o", "live", 1, retention=retention, retention_days=days)
    assert content_ms_max(retention, days, None, now_ms) == caller.content_ms_max


@given(RETENTIONS, st.integers(1, 36_500), TIMES, st.integers(-ARCHIVED_MS, ARCHIVED_MS))
def test_of_an_archived_project_nothing_is_left_after_a_month(
    retention: Retention, days: int, archived_at_ms: int, later_ms: int
) -> None:
    now_ms = archived_at_ms + ARCHIVED_MS + later_ms
    most_ms = content_ms_max(retention, days, archived_at_ms, now_ms)
    assert (most_ms == 0) is (later_ms >= 0 or retention == "zero")
