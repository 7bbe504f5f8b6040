"""Whatever the OpenAPI document allows, and whatever it does not, is answered: never a 5xx, never
silence.  `-m long` asks each operation 200 times."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from tests.whole.conftest import Served

ANSWER_S_MAX = 30
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def api(served: Served) -> Any:
    root = served.base_url.removesuffix("/v1")
    return schemathesis.openapi.from_url(f"{root}/openapi.json")


schema = schemathesis.pytest.from_fixture("api")


def ask(case: Any, served: Served) -> None:
    answer = case.call(headers={"Authorization": f"Bearer {served.api_key}"}, timeout=ANSWER_S_MAX)
    if answer.status_code == 503 and case.operation.path == "/readyz":
        return
    case.validate_response(answer, checks=[not_a_server_error])


@schema.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=QUIET)
def test_no_operation_fails(case: Any, served: Served) -> None:
    ask(case, served)


@pytest.mark.long
@schema.parametrize()
@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
def test_no_operation_fails_two_hundred_times(case: Any, served: Served) -> None:
    ask(case, served)
