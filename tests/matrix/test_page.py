"""The page of the documentation is what is run, and everything there is is in it."""

from tests.matrix import scenarios
from tests.matrix.cells import ALL, CLIENTS, EMPTY, ENGINES, SCENARIOS
from tests.matrix.page import PAGE, page


def test_the_page_shows_these_cells() -> None:
    assert PAGE.read_text() == page(), "run `uv run python -m tests.matrix.page`"


def test_every_scenario_is_in_every_column() -> None:
    assert set(scenarios.BY_NAME) == set(SCENARIOS)
    assert len(ALL) == len(CLIENTS) * len(SCENARIOS) * len(ENGINES)


def test_no_reason_is_for_a_cell_that_there_is_not() -> None:
    for client, scenario, engine in EMPTY:
        assert client in (None, *CLIENTS)
        assert scenario in SCENARIOS
        assert engine in (None, *ENGINES)
