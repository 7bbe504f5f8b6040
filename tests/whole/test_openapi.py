"""Whatever the OpenAPI document allows, and whatever it does not, is answered: never a 5xx, never
silence.  `-m long` asks each operation 200 times."""

import json
import urllib.request
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from tests.door.test_openapi import DOCUMENT
from tests.whole.conftest import Served

ANSWER_S_MAX = 30
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
schema = schemathesis.openapi.from_dict(DOCUMENT)
ONCE = schema.exclude(path_regex=r"^/v1(alpha|beta)/")
"""Gemini's versions are answered by the very same handlers."""


def ask(case: Any, served: Served) -> None:
    answer = case.call(
        base_url=served.base_url.removesuffix("/v1"),
        headers={"Authorization": f"Bearer {served.api_key}"},
        timeout=ANSWER_S_MAX,
    )
    case.validate_response(answer, checks=[not_a_server_error])


def test_what_is_served_describes_itself(served: Served) -> None:
    root = served.base_url.removesuffix("/v1")
    with urllib.request.urlopen(f"{root}/openapi.json", timeout=ANSWER_S_MAX) as answer:
        told = json.load(answer)
    assert told["paths"] == json.loads(json.dumps(DOCUMENT["paths"]))


@ONCE.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=QUIET)
def test_no_operation_fails(case: Any, served: Served) -> None:
    ask(case, served)


@pytest.mark.long
@schema.parametrize()
@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
def test_no_operation_fails_two_hundred_times(case: Any, served: Served) -> None:
    ask(case, served)
