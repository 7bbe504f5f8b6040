"""Two servers behind one model, one of them killed under load: callers hardly notice, and pay once."""

import json
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from portico.db.database import connect_database
from portico.routing.health import FAILURES_IN_A_ROW
from tests.whole.conftest import Served, portico
from tests.whole.wire import END, Wire, eventually, get, metric, question

log = logging.getLogger(__name__)
Serve = Callable[..., Served]
LIGHT = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_SERVER_DRAIN_S": "0"}
GRANT_NANO = 50 * 10**9
CLIENTS = 8
LEFT_ALONE_AFTER = CLIENTS + FAILURES_IN_A_ROW + 10
"""Requests a dead deployment may be tried with: those under way when it dies, those that find out,
and one at a time after each rest."""


@dataclass
class Estate:
    """A front that serves the model "house" from two servers behind it, the first one preferred."""

    serve: Serve
    front: Served
    behind: list[Served]
    deployments: list[str]

    def one(self, sql: str) -> Any:
        database = connect_database(self.front.data_dir, "")
        return database.read(lambda c: c.exec_driver_sql(sql).scalar())

    def tries(self, deployment: str, result: str) -> float:
        """So many have ended like that, says the metrics page."""
        labels = f'{{deployment="{deployment}",model="house",result="{result}"}}'
        return metric(self.front, f"portico_tries_total{labels}")

    def kill(self, index: int) -> None:
        os.kill(self.behind[index].process.pid, signal.SIGKILL)
        self.behind[index].process.communicate()

    def bring_back(self, index: int) -> None:
        """On the same port, with the same keys."""
        gone = self.behind[index]
        port = gone.host_port[1]
        self.behind[index] = self.serve("--simulated", data_dir=gone.data_dir, env=LIGHT, port=port)

    def ask(self, **fields: Any) -> tuple[int, dict[str, str], bytes]:
        wire = Wire(self.front)
        try:
            return wire.ask(model="house", messages=question("hi"), **fields).answer()
        finally:
            wire.hang_up()


@pytest.fixture
def estate(serve: Serve, tmp_path: Path) -> Estate:
    behind = [serve("--simulated", data_dir=tmp_path / name, env=LIGHT) for name in "ab"]
    keys = {f"KEY_{number}": each.api_key for number, each in enumerate(behind)}
    front = serve(data_dir=tmp_path / "front", env={**LIGHT, **keys})
    deployments = [
        front.cli(
            *("model", "add", "house", "--upstream", each.base_url),
            *("--upstream-model", "sim-lorem", "--api-key-env", f"KEY_{number}"),
        )["id"]
        for number, each in enumerate(behind)
    ]
    estate = Estate(serve, front, behind, deployments)
    organisation = str(estate.one("SELECT id FROM organisation"))
    front.cli("terms", "set", organisation, "--kind", "prepaid")
    front.cli("price", "set", "house", "--input", "1", "--output", "10")
    front.cli("credit", "grant", organisation, "--usd", str(GRANT_NANO // 10**9))
    eventually(lambda: json.loads(get(front, "/v1/balance")[2])["terms"] == "prepaid")
    eventually(lambda: len(json.loads(get(front, "/v1/prices")[2])["data"]) == 2)
    eventually(lambda: metric(front, "portico_deployments_ready") == 2)
    return estate


@dataclass
class Load:
    """Clients that send one request after the other, and what became of them."""

    estate: Estate
    requests: int
    answered: dict[str, int] = field(default_factory=dict)
    """Cost in nano-USD by request id."""
    by: Counter[str] = field(default_factory=Counter)
    failed: list[bytes] = field(default_factory=list)
    _left: Any = None
    _at: dict[int, Callable[[], None]] = field(default_factory=dict)
    _noting: threading.Lock = field(default_factory=threading.Lock)

    def run(self, clients: int, at: dict[int, Callable[[], None]]) -> None:
        """at: what is to happen once so many were answered.  The client that hears the last of them
        does it: another thread may come too late for the rest of the load."""
        self._left = iter(range(self.requests))
        self._at = at
        threads = [threading.Thread(target=self._client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @property
    def done(self) -> int:
        return len(self.answered) + len(self.failed)

    def _client(self) -> None:
        wire = Wire(self.estate.front)
        for number in self._left:
            stream = number % 2 == 0
            wire.ask(model="house", messages=question("hi"), max_tokens=20, stream=stream)
            if stream:
                wire.read_until(END)
            answer = wire.answer()
            with self._noting:
                self._note(*answer)
                happens = self._at.get(self.done)
            if happens is not None:
                happens()

    def _note(self, status: int, headers: dict[str, str], body: bytes) -> None:
        if status != 200 or b'"error"' in body:
            self.failed.append(body)
            return
        if b"data: [DONE]" in body:
            cost = int(body.partition(b": portico-cost-nano-usd ")[2].partition(b"\n")[0])
        else:
            cost = int(headers["portico-cost-nano-usd"])
        self.answered[headers["x-request-id"]] = cost
        self.by[headers["portico-deployment"]] += 1

    def check(self) -> None:
        """Nearly all were answered; each of those was charged once, and nothing else was."""
        estate = self.estate
        log.info("%d of %d requests answered", len(self.answered), self.requests)
        assert len(self.answered) >= 0.99 * self.requests, self.failed[:3]
        eventually(lambda: estate.one("SELECT count(*) FROM hold WHERE state = 'open'") == 0)
        database = connect_database(estate.front.data_dir, "")
        sql = "SELECT id, net_nano FROM charge WHERE net_nano > 0"
        charged = database.read(lambda c: c.exec_driver_sql(sql).all())
        assert dict(tuple(row) for row in charged) == self.answered
        paid = estate.one("SELECT posted_nano FROM account WHERE kind = 'prepaid'")
        assert GRANT_NANO - paid == sum(self.answered.values())
        assert estate.front.cli("ledger", "audit")["ok"]


def test_one_of_two_is_killed_under_load(estate: Estate) -> None:
    first, second = estate.deployments
    load = Load(estate, requests=1_000)
    load.run(CLIENTS, {300: lambda: estate.kill(0)})
    load.check()
    assert load.by[first] >= 300
    assert load.by[second] > 0
    wasted = estate.tries(first, "failed") + estate.tries(first, "broke_off")
    assert 0 < wasted <= LEFT_ALONE_AFTER, "who is away is left alone, not asked 700 times"
    assert metric(estate.front, f'portico_breaker{{deployment="{second}"') == 0
    assert metric(estate.front, "portico_tries_total") >= 1_000
    _, headers, body = estate.ask(max_tokens=5)
    usage = json.loads(body)["usage"]
    cost_nano = usage["prompt_tokens"] * 1_000 + usage["completion_tokens"] * 10_000
    assert int(headers["portico-cost-nano-usd"]) == cost_nano, "the model's price, whoever answers"
    for stream in (False, True):
        status, headers, body = estate.ask(max_tokens=5, stream=stream)
        assert (status, headers["portico-deployment"]) == (200, second)
        assert headers["portico-service-tier"] == "standard"
        for server in estate.behind:
            port = str(server.host_port[1])
            assert port not in json.dumps(headers), "callers need not know where that is"
            assert port.encode() not in body
    assert "127.0.0.1" not in get(estate.front, "/metrics")[2].decode()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_both_are_killed_and_come_back_in_turn_under_load(estate: Estate) -> None:
    load = Load(estate, requests=40_000)
    turns: list[Callable[[], None]] = []
    for index in (0, 1, 0, 1):
        turns += [
            lambda index=index: estate.kill(index),
            lambda index=index: estate.bring_back(index),
        ]  # type: ignore[misc]  # the same
    load.run(16, {4_000 * number: turn for number, turn in enumerate(turns, 1)})
    load.check()
    assert min(load.by[deployment] for deployment in estate.deployments) > 0


def test_a_drill_finds_out_how_long_callers_would_wait(estate: Estate) -> None:
    front, (first, second) = estate.front, estate.deployments
    found = front.cli("model", "drill", "house", "--seconds", "2")
    assert (found["cut"], found["took_over"]) == (first, second)
    assert found["answered"] == found["sent"] > 2
    assert 0 <= found["took_over_ms"] < 2_000
    assert found["back_ms"] >= 0
    assert estate.ask(max_tokens=5)[1]["portico-deployment"] == first, "it is over"
    folder = ("--data-dir", str(front.data_dir))
    said = portico("model", "drill", "none", *folder)
    assert (said.returncode, "does not exist" in said.stderr) == (1, True)
    front.cli("model", "remove", "house")
    front.cli(
        *("model", "add", "house", "--upstream", estate.behind[0].base_url),
        *("--upstream-model", "sim-lorem", "--api-key-env", "KEY_0"),
    )
    eventually(lambda: metric(front, "portico_deployments_ready") == 1)
    said = portico("model", "drill", "house", *folder)
    assert (said.returncode, "one deployment only" in said.stderr) == (1, True)


def test_an_order_that_is_changed_and_a_project_that_forbids(estate: Estate) -> None:
    front, (first, second) = estate.front, estate.deployments
    front.cli("model", "move", "house", "--deployment", second)
    eventually(lambda: estate.ask(max_tokens=5)[1]["portico-deployment"] == second)
    (project,) = front.cli("project", "list")["projects"]
    front.cli("project", "set", project["id"], "--data-use", "own")
    eventually(lambda: estate.ask(max_tokens=5)[0] == 403)
    _, _, body = estate.ask(max_tokens=5)
    assert json.loads(body)["error"]["code"] == "data_use_not_allowed"
    front.cli(
        *("model", "add", "house", "--upstream", estate.behind[0].base_url, "--data-use", "own"),
        *("--upstream-model", "sim-lorem", "--api-key-env", "KEY_0"),
    )
    eventually(lambda: estate.ask(max_tokens=5)[0] == 200)
    answered_by = estate.ask(max_tokens=5)[1]["portico-deployment"]
    assert answered_by not in (first, second), "though it is the last one in order"
