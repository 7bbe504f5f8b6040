"""In no 60 seconds is more counted than the limit, and hardly less."""

from hypothesis import given
from hypothesis import strategies as st

from portico.rates.window import SLOT_S, SLOTS, WINDOW_S, Counts, slot_of

GAPS = st.lists(st.floats(0, 40, allow_nan=False), max_size=200)


@given(GAPS, st.integers(1, 20))
def test_no_window_holds_more_than_the_limit(gaps: list[float], limit: int) -> None:
    counts, now_s, taken = Counts(), 0.0, list[float]()
    for gap_s in gaps:
        now_s += gap_s
        slot = slot_of(now_s)
        if counts.used(slot) + 1 <= limit:
            counts.add(slot, 1)
            taken.append(now_s)
        inside = [at for at in taken if at > now_s - WINDOW_S]
        assert len(inside) <= limit


@given(GAPS, st.integers(1, 20))
def test_whoever_waits_as_told_gets_in(gaps: list[float], limit: int) -> None:
    counts, now_s = Counts(), 0.0
    for gap_s in gaps:
        now_s += gap_s
        slot = slot_of(now_s)
        if counts.used(slot) + 1 <= limit:
            counts.add(slot, 1)
            continue
        wait_s = counts.wait_s(slot, 1, limit)
        assert 0 < wait_s <= SLOTS * SLOT_S
        later = slot + round(wait_s / SLOT_S)
        assert Counts.used(_copy(counts), later) + 1 <= limit
        assert Counts.used(_copy(counts), later - 1) + 1 > limit


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(-50, 100)), max_size=60))
def test_what_is_corrected_counts_where_it_was_counted(changes: list[tuple[int, int]]) -> None:
    counts, known, latest = Counts(), dict[int, int](), 0
    for slot, change in changes:
        latest = max(latest, slot)
        counts.used(latest)
        counts.add(slot, change)
        if slot in known or (change >= 0 and slot > max(known, default=-1)):
            known[slot] = max(0, known.get(slot, 0) + change)
        known = {at: count for at, count in known.items() if at > latest - SLOTS}
        assert counts.used(latest) == sum(known.values())


@given(st.lists(st.tuples(st.floats(0, 40, allow_nan=False), st.integers(0, 50)), max_size=40))
def test_what_is_heard_from_who_knows_better_counts(heard: list[tuple[float, int]]) -> None:
    counts, now_s, ask = Counts(), 0.0, 0
    for gap_s, total in heard:
        now_s += gap_s
        slot, ask = slot_of(now_s), ask + 1
        counts.become(slot, total, ask, ask)
        assert counts.used(slot) == total
        assert all(count >= 0 for _, count in counts._slots)
    assert counts.used(slot_of(now_s) + SLOTS) == 0


def test_an_answer_that_was_overtaken_takes_nothing_back() -> None:
    counts = Counts()
    counts.become(0, 9, 2, 2)
    counts.become(0, 4, 1, 2)
    assert counts.used(0) == 9
    counts.become(0, 4, 3, 3)
    assert counts.used(0) == 4


def test_what_can_never_fit_is_told_to_wait_for_a_whole_window() -> None:
    counts = Counts()
    assert counts.wait_s(5, 11, 10) == WINDOW_S
    counts.add(5, 3)
    assert counts.wait_s(5, 11, 10) == WINDOW_S


def _copy(counts: Counts) -> Counts:
    other = Counts()
    for slot, count in counts._slots:
        other.add(slot, count)
    return other
