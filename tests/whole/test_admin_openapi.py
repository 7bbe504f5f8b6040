"""Whatever the admin API's document allows, and whatever it does not, is answered as it says: never a
5xx, never silence.  `-m long` asks each operation 200 times by chance, and at all its edges.

Ids are mostly those of objects that are there, or else nothing but the refusal of ids was asked.
"""

import json
import random
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests import Session
from schemathesis import BaseSchema
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

from tests.whole.conftest import Served, end, start
from tests.whole.test_admin import NAMES
from tests.whole.test_openapi import ANSWER_S_MAX, MODES, at_every_edge

SHARES = 5
"""One in so many edges of an operation is asked for in the quick run."""
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
OWNERS = {"organisation_id": "organisations", "project_id": "projects", "owner_id": "members"}
KEPT_MAX = 40
"""Ids of a kind, the newest."""


class Stock:
    """Objects that are there, as answers told: ids by the collection they are found in."""

    def __init__(self, but: str) -> None:
        """but: an id that is never asked for: of the key that asks."""
        self._but = but
        self._ids: dict[str, list[str]] = {}

    def hear(self, path: str, said: Any) -> None:
        collection = path.split("/")[3]
        found = said.get("data", [said]) if isinstance(said, dict) else []
        for each in found:
            if isinstance(each, dict) and isinstance(each.get("id"), str):
                self._put(collection, each["id"])

    def _put(self, collection: str, name: str) -> None:
        known = self._ids.setdefault(collection, [])
        if name != self._but and name not in known:
            known.append(name)
            del known[:-KEPT_MAX]

    def fill(self, case: Any, chance: random.Random) -> None:
        """Real ids in the places of made-up ones, three times of four."""
        collection = case.path.split("/")[3]
        if "id" in (case.path_parameters or {}):
            self._one(case.path_parameters, "id", collection, chance)
        for document in (case.query, case.body):
            if isinstance(document, dict):
                for member in OWNERS.keys() & document.keys():
                    self._one(document, member, OWNERS[member], chance)

    def _one(
        self, document: dict[str, Any], member: str, collection: str, chance: random.Random
    ) -> None:
        known = self._ids.get(collection)
        if known and chance.random() < 0.75:
            document[member] = chance.choice(known)


class Office:
    """A server, the operator's key to it, and what it is known to have."""

    def __init__(self, served: Served, session: Session) -> None:
        made = served.cli("admin-key", "create")
        self.root = served.base_url.removesuffix("/v1")
        session.headers["Authorization"] = f"Bearer {made['api_key']}"  # of a case, it is left out
        self._session = session
        self._stock = Stock(made["id"])
        for collection in ("organisations", "projects", "members", "admin_keys"):
            self._look(f"/admin/v1/{collection}")

    def _look(self, path: str) -> None:
        answer = self._session.get(self.root + path, timeout=ANSWER_S_MAX)
        if answer.ok:
            self._stock.hear(path, answer.json())

    def ask(self, case: Any, chance: random.Random) -> None:
        self._stock.fill(case, chance)
        answer = case.call(
            base_url=self.root,
            session=self._session,
            timeout=ANSWER_S_MAX,
        )
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code != 401, "then nothing was asked"
        if answer.status_code == 200:
            self._stock.hear(case.path, answer.json())


@contextmanager
def opened(folder: Any) -> Iterator[Office]:
    served = start(folder / "data", "--simulated", env={"PORTICO_ENGINE_ENABLED": "false"})
    try:
        with Session() as session:
            session.trust_env = False
            yield Office(served, session)
    finally:
        end(served)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with opened(tmp_path_factory.mktemp("office")) as made:
        yield made


@pytest.fixture(scope="module")
def schema(office: Office) -> BaseSchema:
    url = f"{office.root}/admin/v1/openapi.json"
    with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:
        document = json.load(answer)
    del document["security"]  # or it asks without a key, now and then
    return schemathesis.openapi.from_dict(document)


def asked_by_chance(office: Office, operation: Any, many: int) -> None:
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in MODES])

    @given(case=cases, chance=st.randoms(use_true_random=False))
    @settings(
        max_examples=many,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],  # a server that was changed shrinks nothing
    )
    def asked(case: Any, chance: random.Random) -> None:
        office.ask(case, chance)

    asked()


@pytest.mark.parametrize(("method", "path"), sorted(NAMES))
def test_no_operation_fails(method: str, path: str, schema: BaseSchema, office: Office) -> None:
    operation, chance = schema[path][method.lower()], random.Random(path)
    first = sorted(NAMES).index((method, path)) % SHARES
    for case in islice(at_every_edge(operation), first, None, SHARES):
        office.ask(case, chance)
    asked_by_chance(office, operation, 4)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("method", "path"), sorted(NAMES))
def test_no_operation_fails_two_hundred_times(
    method: str, path: str, schema: BaseSchema, office: Office
) -> None:
    operation, chance = schema[path][method.lower()], random.Random(path)
    for case in at_every_edge(operation):
        office.ask(case, chance)
    asked_by_chance(office, operation, 200)
