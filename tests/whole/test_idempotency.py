"""One request, sent as often as it takes, through kill -9 and beside itself: charged once."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, OpenAI

from portico.db.database import connect_database
from tests.whole.conftest import Served
from tests.whole.wire import Wire, eventually, get, question

Serve = Callable[..., Served]
LIGHT = {"PORTICO_ENGINE_ENABLED": "false"}
CHAT = "/v1/chat/completions"
FUNDS_NANO = 5 * 10**9


def one(served: Served, sql: str) -> Any:
    return connect_database(served.data_dir, "").read(lambda c: c.exec_driver_sql(sql).scalar())


def available(served: Served) -> int:
    return int(json.loads(get(served, "/v1/balance")[2])["available_nano_usd"])


def ask(served: Served, key: str, **fields: Any) -> tuple[int, dict[str, str], bytes]:
    wire = Wire(served)
    try:
        body = json.dumps({"model": "sim-lorem", "messages": question("hi"), **fields}).encode()
        return wire.post(CHAT, body, f"Idempotency-Key: {key}").answer()
    finally:
        wire.hang_up()


@pytest.fixture
def selling(serve: Serve, tmp_path: Path) -> Iterator[Served]:
    """A server whose organisation has $5 and pays for two models."""
    served = serve("--simulated", data_dir=tmp_path / "data", env=LIGHT)
    organisation = str(one(served, "SELECT id FROM organisation"))
    served.cli("terms", "set", organisation, "--kind", "prepaid")
    for model in ("sim-lorem", "sim-slow"):
        served.cli("price", "set", model, "--input", "1", "--output", "10")
    served.cli("credit", "grant", organisation, "--usd", "5")
    eventually(lambda: json.loads(get(served, "/v1/balance")[2])["terms"] == "prepaid")
    eventually(lambda: len(json.loads(get(served, "/v1/prices")[2])["data"]) == 4)
    yield served
    eventually(lambda: one(served, "SELECT count(*) FROM hold WHERE state = 'open'") == 0)
    assert served.cli("ledger", "audit")["ok"]
    charged = one(served, "SELECT coalesce(sum(net_nano), 0) FROM charge")
    paid = one(served, "SELECT posted_nano FROM account WHERE kind = 'prepaid'")
    assert charged == FUNDS_NANO - paid


@pytest.mark.parametrize("stream", [False, True])
def test_a_replay_is_byte_for_byte_and_the_balance_stays(selling: Served, stream: bool) -> None:
    status, headers, body = ask(selling, "order-17", stream=stream, max_tokens=20)
    assert status == 200
    left = available(selling)
    assert left < FUNDS_NANO
    for _ in range(3):
        again = ask(selling, "order-17", stream=stream, max_tokens=20)
        assert (again[0], again[2]) == (200, body)
        assert again[1]["idempotent-replayed"] == "true"
        assert again[1]["original-request"] == headers["x-request-id"]
        assert again[1]["portico-cost-nano-usd"] == "0"
    assert available(selling) == left
    assert one(selling, "SELECT count(*) FROM usage_record") == 1
    status, headers, refused = ask(selling, "order-17", stream=stream, max_tokens=21)
    assert (status, json.loads(refused)["error"]["code"]) == (409, "idempotency_key_reused")
    assert headers["x-should-retry"] == "false"


def test_many_at_once_run_once(selling: Served) -> None:
    told: list[tuple[int, dict[str, str], bytes]] = []

    def run() -> None:
        told.append(ask(selling, "order-18", max_tokens=20))

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one(selling, "SELECT count(*) FROM usage_record") == 1
    for status, headers, body in told:
        if status == 200:
            assert body == ask(selling, "order-18", max_tokens=20)[2]
        else:
            assert (status, json.loads(body)["error"]["code"]) == (409, "idempotency_key_in_use")
            assert headers["retry-after"] == "1"


def test_the_official_sdk_gets_the_answer_with_its_own_retries(selling: Served) -> None:
    """It waits for the first to end, as Retry-After says."""
    client = OpenAI(base_url=selling.base_url, api_key=selling.api_key, max_retries=5)
    got: list[tuple[str | None, bytes]] = []

    def create(text: str) -> None:
        answer = client.chat.completions.with_raw_response.create(
            messages=[{"role": "user", "content": text}],
            model="sim-slow",
            max_tokens=5,
            extra_headers={"Idempotency-Key": "order-19"},
        )
        got.append((answer.headers.get("idempotent-replayed"), answer.http_response.content))

    first = threading.Thread(target=create, args=("hello",))
    first.start()
    eventually(lambda: one(selling, "SELECT count(*) FROM idempotency_key") == 1)
    create("hello")
    first.join()
    assert {replayed for replayed, _ in got} == {None, "true"}
    assert got[0][1] == got[1][1]
    with pytest.raises(APIStatusError) as refused:
        create("another")
    assert (refused.value.status_code, refused.value.code) == (409, "idempotency_key_reused")
    client.close()
    assert one(selling, "SELECT count(*) FROM usage_record") == 1


class Client(threading.Thread):
    """Sends one request after the other, each with a key of its own, and notes what it got."""

    def __init__(self, served: Served, name: str) -> None:
        super().__init__()
        self.served, self.prefix = served, name
        self.sent: list[str] = []
        self.got: dict[str, bytes] = {}

    def run(self) -> None:
        wire = Wire(self.served)
        try:
            while True:
                key = f"{self.prefix}-{len(self.sent)}"
                self.sent.append(key)
                body = self.body(key)
                status, _, answer = wire.post(CHAT, body, f"Idempotency-Key: {key}").answer()
                assert status == 200
                self.got[key] = answer
        except (OSError, AssertionError):
            return

    @staticmethod
    def body(key: str) -> bytes:
        stream = hash(key) % 2 == 0
        text = f"{key} [[sim tokens=9 delay_ms=3]]"
        asked = {"model": "sim-lorem", "messages": question(text), "max_tokens": 9}
        return json.dumps({**asked, "stream": stream}).encode()


def test_kill_9_at_any_moment_and_whoever_asks_again_is_charged_once(
    selling: Served, serve: Serve
) -> None:
    clients = [Client(selling, f"client{n}") for n in range(6)]
    for client in clients:
        client.start()
    eventually(lambda: sum(len(client.got) for client in clients) >= 150)
    os.kill(selling.process.pid, signal.SIGKILL)
    for client in clients:
        client.join()
    selling.process.wait(30)
    assert one(selling, "SELECT count(*) FROM idempotency_key WHERE state = 'open'") > 0
    again = serve("--simulated", data_dir=selling.data_dir, env=LIGHT)
    again.api_key = selling.api_key
    wire = Wire(again)
    replayed = 0
    for client in clients:
        for key in client.sent:
            status, headers, body = wire.post(
                CHAT, Client.body(key), f"Idempotency-Key: {key}"
            ).answer()
            assert status == 200
            assert body == client.got.get(key, body), "what was seen is what is given again"
            replayed += "idempotent-replayed" in headers
            assert "idempotent-replayed" in headers or key not in client.got
    sent = sum(len(client.sent) for client in clients)
    assert one(again, "SELECT count(*) FROM charge") == sent, "every key once"
    assert one(again, "SELECT count(*) FROM idempotency_key WHERE state = 'done'") == sent
    assert replayed >= sum(len(client.got) for client in clients)
    assert again.cli("ledger", "audit")["ok"]
