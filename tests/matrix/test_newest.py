"""Every cell of the matrix with the SDKs of the lock: those of today."""

from collections.abc import Callable, Iterator

import pytest

from tests.matrix.asking import Door, Refused
from tests.matrix.cells import Cell, empty, running
from tests.matrix.run import client_of, run
from tests.matrix.ways import Client, Way

# google-genai does so wherever aiohttp is installed.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")


@pytest.fixture(scope="module")
def client(door: Door) -> Iterator[Callable[[str, Way], Client]]:
    """One for each SDK and way, opened when first asked for."""
    opened: dict[tuple[str, Way], Client] = {}

    def get(name: str, way: Way) -> Client:
        if (name, way) not in opened:
            opened[name, way] = client_of(name, door, way)
        return opened[name, way]

    yield get
    for each in opened.values():
        each.close()


@pytest.mark.parametrize(("cell", "way"), list(running()), ids=str)
def test_200(cell: Cell, way: Way, client: Callable[[str, Way], Client], door: Door) -> None:
    run(cell, client(cell.client, way), door)


@pytest.mark.parametrize("cell", list(empty()), ids=str)
def test_a_cell_that_is_empty_could_not_be_filled(
    cell: Cell, client: Callable[[str, Way], Client], door: Door
) -> None:
    with pytest.raises((AssertionError, Refused)):
        run(cell, client(cell.client, "whole"), door)
