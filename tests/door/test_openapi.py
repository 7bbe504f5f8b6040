"""The OpenAPI document says what the routes do, and nothing else."""

import json
from typing import Any

import jsonschema_rs
import pytest

from portico.door.endpoints.openapi import document
from tests.door.test_admission_of_routes import Rooms, door

BOOKS: Any = Rooms()
BOOKS.standings = BOOKS.prices = BOOKS
ROUTES = door(BOOKS).routes.all
DOCUMENT = document(ROUTES, "Portico", "0")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.name}")
def test_every_route_is_described(route: Any) -> None:
    operation = DOCUMENT["paths"][route.name][route.method.lower()]
    assert operation["summary"], "say what the route is for"
    assert ("requestBody" in operation) == (route.body is not None)
    assert ("security" in operation) == route.open


def test_there_is_nothing_else_in_it() -> None:
    told = {(method, path) for path, ways in DOCUMENT["paths"].items() for method in ways}
    assert told == {(route.method.lower(), route.name) for route in ROUTES}


def test_operations_have_names_of_their_own() -> None:
    names = [way["operationId"] for ways in DOCUMENT["paths"].values() for way in ways.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in DOCUMENT["components"]["schemas"]


def test_its_schema_of_a_chat_request_takes_and_refuses_what_the_door_does() -> None:
    schema = {
        **DOCUMENT["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"][
            "application/json"
        ]["schema"],
        "components": DOCUMENT["components"],
    }
    right = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "unknown": 1}
    validator = jsonschema_rs.validator_for(schema)
    assert validator.is_valid(right)
    for wrong in ({"n": 0}, {"messages": []}, {"stream": "yes"}):
        assert not validator.is_valid({**right, **wrong})
