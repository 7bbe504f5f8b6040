"""A running server watches its books by itself: audits, signs, and tells whom a budget names."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.billing.alerts.inbox import Post
from tests.whole.conftest import Served
from tests.whole.test_money import Bank
from tests.whole.wire import ask, eventually, get, question

OFTEN = {
    "PORTICO_ENGINE_ENABLED": "false",
    "PORTICO_AUDIT_EVERY_S": "0.2",
    "PORTICO_ALERTS_EVERY_S": "0.2",
    "PORTICO_ALERTS_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "PORTICO_ALERTS_PRIVATE_ADDRESSES_ALLOWED": "true",
}


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Post]]]:
    """Where webhooks arrive, and those that did."""
    arrived: list[Post] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            arrived.append(Post(self.path, headers, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", arrived
        server.shutdown()
        thread.join()


def test_a_server_audits_signs_and_tells(
    serve: Callable[..., Served], hook: tuple[str, list[Post]]
) -> None:
    url, arrived = hook
    served = serve("--simulated", env=OFTEN)
    bank = Bank(served)
    served.cli("price", "set", "sim-lorem", "--input", "1", "--output", "10")
    served.cli("terms", "set", bank.organisation, "--kind", "prepaid")
    bank.grant(10**9)
    cap = ("--period", "month", "--usd", "0.01")
    budget = served.cli("budget", "set", "organisation", bank.organisation, *cap)
    served.cli("alert", "set", budget["id"], "--at", "1,99", "--webhook", url)
    eventually(lambda: bank.balance()["terms"] == "prepaid")
    eventually(lambda: len(json.loads(get(served, "/v1/limits")[2])["budgets"]) == 1)
    asked = {"model": "sim-lorem", "messages": question("go"), "max_completion_tokens": 20}
    assert ask(served, **asked)[0] == 200
    eventually(lambda: len(arrived) == 1)
    assert json.loads(arrived[0].body)["data"]["percent"] == 1
    eventually(lambda: bank.one("SELECT count(*) FROM signed_head") == 1)
    assert bank.one("SELECT sum(violations) FROM audit_run") == 0
    assert served.cli("ledger", "verify")["signed"] == 1
    assert served.stop() == 0


def test_a_server_takes_the_steps_of_dunning_and_tells(
    serve: Callable[..., Served], hook: tuple[str, list[Post]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, arrived = hook
    # In this environment, because the commands beside the server invoice, too.
    monkeypatch.setenv("PORTICO_INVOICES_SELLER_NAME", "Portico Models GmbH")
    monkeypatch.setenv("PORTICO_INVOICES_DUE_DAYS", "0")
    often = {**OFTEN, "PORTICO_DUNNING_EVERY_S": "0.2", "PORTICO_ALERTS_WEBHOOK_URL": url}
    served = serve("--simulated", env={**often, "PORTICO_INVOICES_AUTOMATIC": "true"})
    bank = Bank(served)
    served.cli("price", "set", "sim-lorem", "--input", "1500", "--output", "6000")
    served.cli("terms", "set", bank.organisation, "--kind", "postpaid")
    served.cli("credit", "limit", bank.organisation, "--usd", "100")
    eventually(lambda: bank.balance()["terms"] == "postpaid")
    asked = {"model": "sim-lorem", "messages": question("go"), "max_completion_tokens": 20}
    assert ask(served, **asked)[0] == 200
    month = datetime.now(UTC).strftime("%Y-%m")
    made = served.cli("invoice", "make", bank.organisation, "--month", month, "--so-far")
    eventually(lambda: len(arrived) == 1)
    told = json.loads(arrived[0].body)
    assert (told["type"], told["data"]["invoice"]) == ("invoice.overdue", made["number"])
    eventually(lambda: bank.one("SELECT count(*) FROM dunning_notice WHERE sent_at_ms > 0") == 1)
    assert served.stop() == 0
