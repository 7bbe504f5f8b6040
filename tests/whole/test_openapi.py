"""Whatever the OpenAPI document allows, and whatever it does not, is answered: never a 5xx, never
silence.  `-m long` asks each operation 200 times."""

import json
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection, RemoteDisconnected
from itertools import islice
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests import PreparedRequest, Request
from schemathesis import BaseSchema, GenerationMode
from schemathesis.config import GenerationConfig
from schemathesis.generation.drivers import CoverageGenerator
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.generation.overrides import Override

from tests.door.test_openapi import DOCUMENT
from tests.whole.conftest import Served

ANSWER_S_MAX = 30
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
MODES = list(GenerationMode)
"""What the document allows, and what it does not."""
ALL = [(path, method) for path, ways in DOCUMENT["paths"].items() for method in ways]
ONCE = [(path, method) for path, method in ALL if not path.startswith(("/v1alpha/", "/v1beta/"))]
"""Gemini's versions are answered by the very same handlers."""
MODELS = ("sim-auto", "sim-embed", "")
"""Models that are served, so that more is reached than the refusal of a name; "" for any name at all."""
SHARES = 4
"""One in so many of an operation's edges is asked for in the quick run, another share of the next one's,
because neighbours are read by the same code; all of them with `-m long`."""


# Not `schema.parametrize()`, which finds out all there is to ask when the file is collected: in every
# process of a run, of which one will ask.
@pytest.fixture(scope="session")
def schema() -> BaseSchema:
    return schemathesis.openapi.from_dict(DOCUMENT)


class Asked:
    """A server, and how it is asked: on one connection, with nothing around it.  The library's own
    session took longer over a request than the server over its answer."""

    def __init__(self, served: Served) -> None:
        self._base_url = served.base_url.removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {served.api_key}"}
        self._connection = HTTPConnection(*served.host_port, timeout=ANSWER_S_MAX)

    def __call__(self, case: Any) -> None:
        said = case.as_transport_kwargs(base_url=self._base_url, headers=self._headers)
        request = Request(**said).prepare()
        try:
            status = self._status(request)
        except (RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # After some refusals the server hangs up, and we had written by then.
            self._connection.close()
            status = self._status(request)
        assert 200 <= status < 500, case.as_curl_command(headers=self._headers)

    def _status(self, request: PreparedRequest) -> int:
        assert request.method is not None
        headers: dict[str, Any] = dict(request.headers)
        self._connection.request(request.method, request.path_url, request.body, headers)
        with self._connection.getresponse() as answer:
            answer.read()
        return answer.status

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def ask(served: Served) -> Iterator[Asked]:
    asked = Asked(served)
    yield asked
    asked.close()


def at_every_edge(operation: Any) -> CoverageGenerator:
    """Each field at the ends of what it may be and just beyond them, the others as they should be."""
    return CoverageGenerator(
        operation=operation,
        generation_modes=MODES,
        generation_config=GenerationConfig(),
        auth_storage=None,
        override=Override(),
        feedback=FeedbackSources(),
    )


def by_chance(operation: Any, ask: Asked, many: int) -> None:
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in MODES])

    @given(case=cases, model=st.sampled_from(MODELS))
    @settings(max_examples=many, deadline=None, suppress_health_check=QUIET)
    def asked(case: Any, model: str) -> None:
        if model:
            _name(case, model)
        ask(case)

    asked()


def _name(case: Any, model: str) -> None:
    """Wherever one is named."""
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = model
    if "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = model


def test_what_is_served_describes_itself(served: Served) -> None:
    root = served.base_url.removesuffix("/v1")
    with urllib.request.urlopen(f"{root}/openapi.json", timeout=ANSWER_S_MAX) as answer:
        told = json.load(answer)
    assert told["paths"] == json.loads(json.dumps(DOCUMENT["paths"]))


@pytest.mark.parametrize(("path", "method"), ONCE)
def test_no_operation_fails(path: str, method: str, schema: BaseSchema, ask: Asked) -> None:
    operation = schema[path][method]
    for case in islice(at_every_edge(operation), ONCE.index((path, method)) % SHARES, None, SHARES):
        ask(case)
    if not path.startswith("/v1/preflight/"):  # which reads the very bodies of the others
        by_chance(operation, ask, 4)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("path", "method"), ALL)
def test_no_operation_fails_two_hundred_times(
    path: str, method: str, schema: BaseSchema, ask: Asked
) -> None:
    operation = schema[path][method]
    for case in at_every_edge(operation):
        ask(case)
    by_chance(operation, ask, 200)
