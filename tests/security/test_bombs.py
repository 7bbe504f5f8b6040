"""Small requests that would like to become large: a 4xx each, and no more memory than a few bodies."""

import json

import pytest

from bench.edge.bombs import CORPUS, HEAVY, RISE_BYTES_MAX, Bomb, Target, targets, throw
from bench.edge.place import Place
from portico.dialects.body import MEMBERS_MAX, VALUES_MAX, json_object
from portico.errors import Refusal
from tests.whole.conftest import Served
from tests.whole.wire import get

LIGHT = [bomb for bomb in CORPUS if bomb.name not in HEAVY]
LONG = [bomb.name for bomb in LIGHT if "a million digits" in bomb.name or "20,000" in bomb.name]
"""A megabyte of one kind each: every route gets its share of them, for all of them read a body with
the same code; the command sends each to all."""
SHARES = 3


@pytest.fixture(scope="module")
def place(guarded: Served) -> Place:
    host, port = guarded.host_port
    said = guarded.data_dir / "stderr.log"
    return Place(guarded.process.pid, host, port, guarded.api_key, guarded.data_dir, said)


@pytest.fixture(scope="module")
def routes(guarded: Served) -> list[Target]:
    status, _, document = get(guarded, "/openapi.json")
    assert status == 200
    return targets(json.loads(document))


@pytest.mark.parametrize("bomb", LIGHT, ids=lambda bomb: bomb.name)
def test_no_route_breaks(place: Place, routes: list[Target], bomb: Bomb) -> None:
    assert len(routes) > 20
    if bomb.name in LONG:
        routes = routes[LONG.index(bomb.name) % SHARES :: SHARES]
    found = throw(place, [(route, bomb) for route in routes], 2)
    assert found.wrong == []
    assert found.sent == len(routes)
    assert found.rise_bytes <= RISE_BYTES_MAX


def test_memory_stays_where_it_was(place: Place, routes: list[Target]) -> None:
    """Each of the large ones at another route; the command sends each to all of them."""
    heavy = [bomb for bomb in CORPUS if bomb.name in HEAVY]
    found = throw(place, zip(routes, heavy, strict=False), 2)
    assert found.wrong == []
    assert found.sent == len(heavy)
    assert found.rise_bytes <= RISE_BYTES_MAX


@pytest.mark.parametrize("unit", ["[],", "{},", '{"":0},', "1.5,", '"a",'])
def test_more_values_than_fit_are_refused_before_they_are_read(unit: str) -> None:
    body = b'{"x":[' + (unit * (33_554_432 // len(unit))).encode() + b"0]}"
    with pytest.raises(Refusal) as refused:
        json_object(body)
    assert refused.value.code == "body_too_large"


def _of(values: int, unit: str) -> bytes:
    """values: in all, the array and the text beside it included, which only makes it long."""
    inside = 3 if unit == '{"a":{"b":1}}' else 1
    items = ",".join([unit] * ((values - 2) // inside))
    return f'{{"x":[{items}],"long":"{"x," * 310_000}"}}'.encode()


@pytest.mark.parametrize("unit", ["1", '"a"', "[]", '{"a":{"b":1}}'])
def test_values_are_counted_one_by_one(unit: str) -> None:
    """Wherever they stand; commas in a text are none."""
    assert json_object(_of(VALUES_MAX, unit))["x"]
    with pytest.raises(Refusal) as refused:
        json_object(_of(VALUES_MAX + 3, unit))
    assert (refused.value.code, refused.value.limit) == ("body_too_large", VALUES_MAX)


def test_as_many_members_as_nobody_has_fields() -> None:
    long = {"long": "," * 700_000}
    many = {f"m{number}": 1 for number in range(MEMBERS_MAX)}
    assert json_object(json.dumps(many | {"m0": long["long"]}).encode())
    with pytest.raises(Refusal) as refused:
        json_object(json.dumps(many | long).encode())
    assert (refused.value.code, refused.value.limit) == ("body_too_large", MEMBERS_MAX)


def test_a_long_text_is_not_taken_for_many_values() -> None:
    prose = "It was, as they say, late; and nobody came: nobody. [1] " * 100_000
    assert json_object(json.dumps({"x": prose}).encode())["x"] == prose
