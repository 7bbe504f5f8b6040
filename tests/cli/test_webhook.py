"""`portico webhook`, run as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portico.accounts.service import open_accounts
from portico.cli.main import app
from portico.db.database import open_database
from portico.kit.clock import SystemClock

Run = Callable[..., Any]
URL = "https://hooks.example/portico"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """What a command says as JSON; its exit code where it does not end well."""
    open_accounts(open_database(tmp_path), tmp_path, SystemClock())
    monkeypatch.delenv("PORTICO_ALERTS_PRIVATE_ADDRESSES_ALLOWED", raising=False)

    def typed(*words: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            app(["webhook", *words, "--data-dir", str(tmp_path), "--json"])
        said = capsys.readouterr()
        return json.loads(said.out) if ended.value.code in (0, None) else ended.value.code

    return typed


def test_it_is_made_changed_and_deleted(run: Run) -> None:
    made = run("create", URL, "--kinds", "key.revoked,invoice.made")
    assert made["kinds"] == ["key.revoked", "invoice.made"]
    assert made["secret"].startswith("whsec_")
    assert run("list")["webhooks"][0]["id"] == made["id"]
    assert "secret" not in run("list")["webhooks"][0]
    assert run("set", made["id"], "--every-kind")["kinds"] is None
    assert run("rotate", made["id"])["secret"] != made["secret"]
    assert run("disable", made["id"])["disabled_at_ms"] is not None
    assert run("set", made["id"], "--enable")["disabled_at_ms"] is None
    assert run("delete", made["id"])["id"] == made["id"]
    assert run("list")["webhooks"] == []


def test_an_address_inside_is_refused_until_a_setting_allows_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = "http://127.0.0.1:1/"
    assert run("create", inside) == 1
    monkeypatch.setenv("PORTICO_ALERTS_PRIVATE_ADDRESSES_ALLOWED", "true")
    made = run("create", inside)
    assert run("test", made["id"]) == 1, "nobody listens there"
    (sent,) = run("deliveries", made["id"])["deliveries"]
    assert (sent["kind"], sent["state"], sent["attempts"]) == ("webhook.test", "waiting", 1)
    assert run("replay", sent["id"])["id"] == sent["id"]
    found = run("attempts", sent["id"])["attempts"]
    assert [each["number"] for each in found] == [1]
    assert run("replay", "msg_none") == 1
