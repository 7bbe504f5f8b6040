"""Money, over HTTP, against the server as a user runs it: never more than there is, to the nano."""

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portico.db.database import Database, connect_database
from tests.whole.conftest import Served
from tests.whole.wire import END, Wire, ask, eventually, get, question

Serve = Callable[..., Served]
Paying = Callable[..., tuple[Served, "Bank"]]

IN_NANO, OUT_NANO = 1_000, 10_000
"""Per token: $1 and $10 a million."""
CENT = 10_000_000
LIGHT = {"PORTICO_ENGINE_ENABLED": "false"}


class Bank:
    """The books behind a running server, from outside."""

    def __init__(self, served: Served) -> None:
        self.database: Database = connect_database(served.data_dir, "")
        self.organisation = str(self.one("SELECT id FROM organisation"))
        self._served = served

    def one(self, sql: str) -> Any:
        return self.database.read(lambda c: c.exec_driver_sql(sql).scalar())

    def row(self, sql: str) -> tuple[Any, ...]:
        return tuple(self.database.read(lambda c: c.exec_driver_sql(sql).one()))

    def grant(self, nano: int) -> None:
        usd = f"{nano // 10**9}.{nano % 10**9:09d}"
        self._served.cli("credit", "grant", self.organisation, "--usd", usd)

    def balance(self) -> dict[str, Any]:
        status, _, body = get(self._served, "/v1/balance")
        assert status == 200
        answer: dict[str, Any] = json.loads(body)
        return answer

    def check(self) -> None:
        """What must always be true when nothing runs."""
        eventually(lambda: self.one("SELECT count(*) FROM hold WHERE state = 'open'") == 0)
        assert self._served.cli("ledger", "audit")["ok"]
        uneven = self.one(
            "SELECT count(*) FROM charge JOIN usage_record USING (id) WHERE absorbed_nano = 0 AND "
            f"net_nano <> input_text * {IN_NANO} + output_text * {OUT_NANO}"
        )
        assert uneven == 0


@pytest.fixture
def paying(serve: Serve, tmp_path: Path) -> Paying:
    """A server whose organisation pays for sim-lorem and sim-slow."""

    def start(nano: int, **env: str) -> tuple[Served, Bank]:
        served = serve("--simulated", data_dir=tmp_path / "data", env={**LIGHT, **env})
        bank = Bank(served)
        served.cli("terms", "set", bank.organisation, "--kind", "prepaid")
        for model in ("sim-lorem", "sim-slow"):
            served.cli("price", "set", model, "--input", "1", "--output", "10")
        if nano:
            bank.grant(nano)
        eventually(lambda: bank.balance()["terms"] == "prepaid")
        eventually(lambda: len(json.loads(get(served, "/v1/prices")[2])["data"]) == 4)
        return served, bank

    return start


def test_an_answer_costs_its_tokens_to_the_nano(
    paying: Paying,
) -> None:
    served, bank = paying(CENT)
    status, headers, body = (
        Wire(served).ask(model="sim-lorem", messages=question("hi"), max_tokens=20).answer()
    )
    usage = json.loads(body)["usage"]
    cost = usage["prompt_tokens"] * IN_NANO + usage["completion_tokens"] * OUT_NANO
    assert status == 200
    assert int(headers["portico-cost-nano-usd"]) == cost
    assert bank.balance()["available_nano_usd"] == str(CENT - cost)
    bank.check()


def test_without_money_nothing_runs(paying: Paying) -> None:
    served, bank = paying(0)
    status, _, body = ask(served, model="sim-lorem", messages=question("hi"), max_tokens=20)
    assert (status, json.loads(body)["error"]["code"]) == (429, "credit_balance_exhausted")
    assert bank.one("SELECT count(*) FROM usage_record") == 0
    bank.check()


def test_a_model_without_a_price_is_not_for_sale(
    paying: Paying,
) -> None:
    served, bank = paying(CENT)
    status, _, body = ask(served, model="sim-echo", messages=question("hi"))
    assert (status, json.loads(body)["error"]["code"]) == (503, "model_not_priced")
    bank.check()


def test_a_stream_ends_where_the_money_does(paying: Paying) -> None:
    served, bank = paying(2_000_000, PORTICO_PRICING_WINDOW_TOKENS="32")
    wire = Wire(served).ask(
        model="sim-lorem",
        messages=question("[[sim tokens=400]]"),
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=400,
    )
    said = wire.read_until(b"data: [DONE]").decode()
    events = [json.loads(line[6:]) for line in said.split("\n") if line.startswith("data: {")]
    (end,) = [e["choices"][0] for e in events if e["choices"] and e["choices"][0]["finish_reason"]]
    assert end["finish_reason"] == "length"
    assert end["portico_stop_reason"] == "credit_balance_exhausted"
    eventually(lambda: bank.one("SELECT count(*) FROM charge") == 1)
    assert bank.one("SELECT outcome FROM usage_record") == "out_of_funds"
    left = int(bank.balance()["available_nano_usd"])
    assert 0 <= left < 32 * OUT_NANO + 1_000 * IN_NANO, "it was used, window by window"
    bank.check()


def test_edge_12_a_hang_up_is_charged_for_what_was_generated(
    paying: Paying,
) -> None:
    served, bank = paying(CENT)
    wire = Wire(served).ask(
        model="sim-slow", messages=question("[[sim tokens=500]]"), stream=True, max_tokens=500
    )
    wire.read_until(b"data: ", 4)
    wire.socket.close()
    eventually(lambda: bank.one("SELECT count(*) FROM charge") == 1)
    assert bank.one("SELECT outcome FROM charge") == "client_gone"
    assert 0 < bank.one("SELECT output_text FROM usage_record") < 500
    bank.check()


def test_many_at_once_never_spend_more_than_there_is(
    paying: Paying,
) -> None:
    """Each request sets its worst case aside, so what is refused now may run a moment later."""
    served, bank = paying(3_000_000)
    told: list[int] = []

    def run() -> None:
        for _ in range(4):
            told.append(ask(served, model="sim-lorem", messages=question("hi"), max_tokens=10)[0])

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(told) <= {200, 429}
    assert told.count(200) == bank.one("SELECT count(*) FROM charge")
    assert int(bank.balance()["available_nano_usd"]) >= 0
    # The next one does not fit any more, or all of them did.
    assert told.count(429) > 0
    bank.check()


def test_what_a_killed_server_left_open_is_settled_by_the_next_one(
    paying: Paying, serve: Serve
) -> None:
    served, bank = paying(CENT)
    Wire(served).ask(
        model="sim-slow", messages=question("[[sim tokens=500]]"), stream=True, max_tokens=500
    ).read_until(b"data: ", 4)
    # A checkpoint has been written.
    eventually(lambda: (bank.one("SELECT max(output_text) FROM usage_record") or 0) > 0)
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait(30)
    generated = bank.one("SELECT output_text FROM usage_record")
    serve("--simulated", data_dir=served.data_dir, env=LIGHT)
    assert bank.one("SELECT outcome FROM charge") == "killed"
    assert bank.one("SELECT output_text FROM usage_record") == generated
    bank.check()


def test_a_budget_is_never_overspent(paying: Paying) -> None:
    served, bank = paying(10 * CENT)
    served.cli(
        "budget", "set", "organisation", bank.organisation, "--period", "day", "--usd", "0.001"
    )
    eventually(lambda: bool(json.loads(get(served, "/v1/limits")[2])["budgets"]))
    told = []
    while not told or told[-1] == 200:
        status, _, body = ask(served, model="sim-lorem", messages=question("hi"), max_tokens=20)
        told.append(status)
    assert told[-1] == 429
    assert json.loads(body)["error"]["code"] == "organization_spend_limit_exceeded"
    (budget,) = json.loads(get(served, "/v1/limits")[2])["budgets"]
    spent = int(budget["spent_nano_usd"])
    assert 0 < spent <= 1_000_000
    assert int(budget["remaining_nano_usd"]) == 1_000_000 - spent
    bank.check()


def test_a_locked_database_lets_nobody_in_and_charges_what_runs(paying: Paying) -> None:
    served, bank = paying(100 * CENT, PORTICO_PRICING_WINDOW_TOKENS="32")
    running = Wire(served).ask(
        model="sim-lorem",
        messages=question("go [[sim tokens=200 delay_ms=20]]"),
        stream=True,
        max_tokens=200,
    )
    running.read_until(b"data: ", 2)
    lock = sqlite3.connect(served.data_dir / "portico.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        refused: list[str] = []

        def closed() -> bool:
            status, _, body = ask(served, model="sim-lorem", messages=question("hi"), max_tokens=5)
            if status == 503:
                refused.append(json.loads(body)["error"]["code"])
            return status == 503

        eventually(closed)
        assert b"data: [DONE]" in running.read_until(END), "what runs finishes, windows or not"
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    assert set(refused) == {"storage_unavailable"}
    eventually(
        lambda: ask(served, model="sim-lorem", messages=question("hi"), max_tokens=5)[0] == 200
    )
    longest = "SELECT charge.outcome, output_text, net_nano + absorbed_nano FROM usage_record JOIN charge "
    longest += "USING (id) WHERE output_text = 200"
    eventually(lambda: bank.one(longest) is not None)
    outcome, tokens, cost = bank.row(longest)
    prompt_tokens = bank.one("SELECT input_text FROM usage_record WHERE output_text = 200")
    assert (outcome, tokens) == ("completed", 200)
    assert cost == prompt_tokens * IN_NANO + 200 * OUT_NANO
    bank.check()


def test_without_room_on_the_disk_nothing_is_set_aside(paying: Paying) -> None:
    served, bank = paying(CENT, PORTICO_STORAGE_FREE_BYTES_MIN=str(1 << 60))
    eventually(lambda: get(served, "/readyz", key="")[0] == 503)
    status, _, body = ask(served, model="sim-lorem", messages=question("hi"), max_tokens=5)
    assert (status, json.loads(body)["error"]["code"]) == (503, "storage_unavailable")
    assert bank.one("SELECT count(*) FROM hold") == 0
    bank.check()
