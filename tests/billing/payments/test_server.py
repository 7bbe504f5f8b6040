"""The running server: its webhook route, its poller, and what it refuses to start with."""

import http.client
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.faults.shop import SECRET, HandClock, Port, port
from portico.app.failure import CannotStart
from portico.app.payments import desk_of, telling
from portico.billing.alerts.model import Target
from portico.billing.fake_stripe.app import FakeStripe
from portico.billing.fake_stripe.courier import Courier
from portico.billing.payments.model import Alarm
from portico.billing.payments.provider.signature import header_for
from portico.db.database import open_database
from portico.kit.clock import SystemClock
from portico.settings import SettingsInvalid, load
from tests.whole.conftest import Served, portico, start


@pytest.fixture(scope="module")
def at() -> Iterator[Port]:
    with port() as made:
        clock = SystemClock()
        made.app = FakeStripe(clock, Courier(SECRET, clock, random.Random(1)))
        yield made


def environment(at: Port, **more: str) -> dict[str, str]:
    return {
        "PORTICO_ENGINE_ENABLED": "false",
        "PORTICO_STRIPE_SECRET_KEY": "sk_test_server",
        "PORTICO_STRIPE_API_BASE": at.url,
        "PORTICO_STRIPE_WEBHOOK_SECRET": SECRET,
        "PORTICO_STRIPE_POLL_S": "300",
        **more,
    }


@pytest.fixture
def served(at: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    for name, value in environment(at).items():
        monkeypatch.setenv(name, value)
    made = start(tmp_path, "--simulated")
    yield made
    if made.process.poll() is None:
        made.stop()
    assert made.process.stdout is not None
    made.process.communicate()


def post(served: Served, body: bytes, signature: str | None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*served.host_port, timeout=10)
    headers = {} if signature is None else {"Stripe-Signature": signature}
    connection.request("POST", "/v1/webhooks/stripe", body, headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, found


def test_a_top_up_through_a_running_server(served: Served, at: Port) -> None:
    fake = at.app
    assert fake is not None
    organisation = next(iter(served.cli("terms", "show")["terms"]))["organisation_id"]
    served.cli("payment", "card", organisation, "pm_card_authenticationRequired")
    order = served.cli("payment", "topup", organisation, "--usd", "12.34")
    assert (order["state"], order["amount_nano_usd"]) == ("open", "12340000000")
    fake.answer(
        "POST", f"/_fake/payment_intents/{order['payment_intent']}/authenticate", "", "", {}
    )
    letters = fake.courier.letters()
    for letter in [*letters, *letters]:
        assert post(served, letter.body, letter.signature) == (200, {"received": True})
    (listed,) = served.cli("payment", "list")["top_ups"]
    assert listed["state"] == "paid"
    (account,) = served.cli("credit", "list")["accounts"]
    assert account["balance_nano_usd"] == "12340000000"
    assert served.cli("payment", "compare") == {"ok": True, "lines": 1, "differences": []}
    refused = portico(
        "payment", "topup", organisation, "--usd", "1.001", "--data-dir", str(served.data_dir)
    )
    assert (refused.returncode, "whole cents" in refused.stderr) == (1, True)

    body = letters[-1].body
    now_s = int(time.time())
    for signature in (None, "", "t=1,v1=00", header_for("x" * 32, body, now_s)):
        status, answer = post(served, body, signature)
        assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert post(served, b"x" * 300_000, "t=1,v1=0")[0] == 413


def test_there_is_no_route_without_a_secret(
    at: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(at, PORTICO_STRIPE_WEBHOOK_SECRET="").items():
        monkeypatch.setenv(name, value)
    made = start(tmp_path, "--simulated")
    try:
        body = b"{}"
        signature = header_for("", body, int(time.time()))
        assert post(made, body, signature)[0] == 404
    finally:
        made.stop()
        made.process.communicate()


def test_a_short_secret_is_no_secret() -> None:
    load(environment={"PORTICO_STRIPE_WEBHOOK_SECRET": "x" * 32})
    for secret in ("x" * 31, " " * 40):
        with pytest.raises(SettingsInvalid, match=r"stripe\.webhook_secret is \(hidden\)"):
            load(environment={"PORTICO_STRIPE_WEBHOOK_SECRET": secret})


def test_the_secret_key_comes_from_the_environment_alone(tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text('[stripe]\nsecret_key = "sk_test_in_a_file"\n')
    with pytest.raises(SettingsInvalid, match="belongs into the environment") as refused:
        load(file=file, environment={})
    assert "sk_test_in_a_file" not in str(refused.value)
    with pytest.raises(SettingsInvalid, match="PORTICO_STRIPE_SECRET_KEY"):
        load(environment={}, flags={"stripe": {"secret_key": "sk_test_typed"}})


@pytest.mark.parametrize("base", ["http://example.com", "ftp://x", "http://127.0.0.1.evil.com"])
def test_a_key_is_sent_in_the_open_to_this_machine_only(base: str) -> None:
    with pytest.raises(SettingsInvalid, match="api_base"):
        load(environment={"PORTICO_STRIPE_API_BASE": base})


@pytest.mark.parametrize(
    ("key", "mode", "base", "says"),
    [
        ("sk_live_x", "test", "", "not one of test mode"),
        ("sk_test_x", "live", "", "not one of live mode"),
        ("pk_test_x", "test", "", "not one of test mode"),
        ("sk_live_x", "live", "https://elsewhere.example", "nowhere else"),
    ],
)
def test_a_key_of_the_other_mode_does_not_start(
    tmp_path: Path, key: str, mode: str, base: str, says: str
) -> None:
    settings = load(
        environment={
            "PORTICO_STRIPE_SECRET_KEY": key,
            "PORTICO_STRIPE_MODE": mode,
            "PORTICO_STRIPE_API_BASE": base,
        }
    )
    with pytest.raises(CannotStart, match=says) as refused:
        desk_of(settings, open_database(tmp_path), HandClock())
    assert key not in str(refused.value)


def test_the_operator_is_told_of_an_alarm_once_a_day(tmp_path: Path) -> None:
    database, clock = open_database(tmp_path), HandClock()
    tell = telling(database, clock, [Target("mail", "ops@example.com")])

    def told() -> list[tuple[Any, ...]]:
        sql = "SELECT kind, target FROM alert JOIN delivery ON alert_id = alert.id"
        return database.read(lambda c: [tuple(row) for row in c.exec_driver_sql(sql)])

    for _ in range(2):
        tell(Alarm("recharge_off", "org_1", "declined"))
    assert told() == [("payment.alarm", "ops@example.com")]
    tell(Alarm("recharge_off", "org_2", "declined"))
    assert len(told()) == 2
    clock.now_ms += 86_400_000
    tell(Alarm("recharge_off", "org_1", "declined"))
    assert len(told()) == 3
