"""How soon a running server knows what a command has changed: as the guides say."""

import pytest

from portico.admission import budgets
from portico.app import engines
from portico.callers import presence
from portico.pricing import service as pricing
from portico.rates import service as rates


@pytest.mark.parametrize(
    ("look_s", "promised_s"),
    [
        pytest.param(pricing.REFRESH_S, 2, id="prices"),
        pytest.param(budgets.REFRESH_S, 2, id="budgets"),
        pytest.param(engines._FOLLOW_EVERY_S, 2, id="models and drills"),
        pytest.param(rates.REFRESH_S, 5, id="limits"),
        pytest.param(presence._EVERY_S, 10, id="what runs for a key that has ended"),
    ],
)
def test_it_looks_as_often_as_is_promised(look_s: float, promised_s: float) -> None:
    """Most tests of whole servers have them look more often, and would not see."""
    assert 0 < look_s <= promised_s
