"""Words for how hard to think, and the nearest of those a model takes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.dialects.effort import EFFORTS, effort_of, in_order, nearest_effort

SETS = st.sets(st.sampled_from(EFFORTS), min_size=1).map(frozenset)


@settings(deadline=None)
@given(st.sampled_from(EFFORTS), SETS)
def test_the_nearest_is_known_and_none_is_nearer(asked, known):
    found = nearest_effort(asked, known)
    assert found in known
    place, at = EFFORTS.index(asked), EFFORTS.index(found)
    nearer = {e for e in known - {"none"} if abs(EFFORTS.index(e) - place) < abs(at - place)}
    assert not nearer


@pytest.mark.parametrize(
    ("asked", "known", "nearest"),
    [
        ("max", {"low", "medium", "high"}, "high"),
        ("minimal", {"low", "high"}, "low"),
        ("medium", {"low", "high"}, "low"),  # of two the lesser
        ("minimal", {"none", "high"}, "high"),  # who wants thought is not denied it
        ("high", {"none"}, "none"),
        ("none", {"minimal", "low"}, "minimal"),
    ],
)
def test_some_nearest(asked, known, nearest):
    assert nearest_effort(asked, known) == nearest


@settings(deadline=None)
@given(st.integers(-1, 10**6), st.integers(0, 10**6))
def test_more_budget_never_asks_for_less(budget, more):
    assert EFFORTS.index(effort_of(budget + more)) >= EFFORTS.index(effort_of(budget))


def test_they_are_told_from_the_least_to_the_most():
    assert in_order({"max", "low", "other"}) == ["low", "max"]
