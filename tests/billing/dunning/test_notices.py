"""A notice reaches the outbox once, whoever hands it over and whoever dies over it."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from portico.billing.alerts import outbox
from portico.billing.alerts.model import Target
from portico.billing.dunning import notices, service
from portico.billing.dunning.model import Policy
from portico.billing.invoices.model import Stored
from portico.db.database import Database
from tests.billing.invoices.shop import DAY_MS, DOLLAR, Shop, ms

POLICY = Policy((0, 3, 7, 14), 21, 28)
DUE_MS = ms("2026-03-15")
OPERATOR = (Target("webhook", "https://ops.example/"), Target("mail", "ops@example.org"))


@pytest.fixture
def shop(database: Database) -> Shop:
    made = Shop(database, "org_1", now_ms=ms("2026-02-03"))
    made.taxes("DE", 1900)
    made.may_owe(10 * DOLLAR)
    made.uses({"input_text": 1_000_000})
    made.now_ms = ms("2026-03-01")
    return made


@pytest.fixture
def invoice(shop: Shop) -> Stored:
    return shop.invoice("2026-02")


def goes_round(shop: Shop, day: int) -> list[str]:
    shop.now_ms = DUE_MS + day * DAY_MS
    found = notices.go_round(shop.database, POLICY, OPERATOR, shop.now_ms)
    return [each.kind for each in found]


def deliveries(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows(
        "SELECT kind, target FROM alert LEFT JOIN delivery ON alert_id = alert.id "
        "ORDER BY alert.created_at_ms, channel DESC"
    )


def unsent(shop: Shop) -> int:
    return int(shop.rows("SELECT count(*) FROM dunning_notice WHERE sent_at_ms IS NULL")[0][0])


def test_the_operator_is_told_where_the_customer_has_no_address(
    shop: Shop, invoice: Stored
) -> None:
    assert goes_round(shop, 0) == ["notice_1"]
    shop.is_customer()
    assert goes_round(shop, 3) == ["notice_2"]
    assert deliveries(shop) == [
        ("invoice.overdue", "https://ops.example/"),
        ("invoice.overdue", "ops@example.org"),
        ("invoice.overdue", "https://ops.example/"),
        ("invoice.overdue", "pay@example.org"),
    ]
    (body,) = shop.rows("SELECT body FROM alert ORDER BY created_at_ms")[0]
    said = json.loads(body)["data"]
    assert (said["invoice"], said["notice"]) == ("INV-2026-000001", "notice_1")
    assert said["to_be_paid_cents"] == "238"


def test_it_counts_as_sent_with_the_commit_of_the_outbox_and_not_before(
    shop: Shop, invoice: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*given: object) -> bool:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "tell", dies)
        with pytest.raises(RuntimeError, match="killed"):
            goes_round(shop, 0)
    assert (unsent(shop), deliveries(shop)) == (1, [])
    assert goes_round(shop, 0) == ["notice_1"]
    assert goes_round(shop, 0) == []
    assert (unsent(shop), len(deliveries(shop))) == (0, 2)


def test_servers_that_hand_over_at_once_tell_once(shop: Shop, invoice: Stored) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: goes_round(shop, 0), range(4)))
    assert sorted(found, key=len) == [[], [], [], ["notice_1"]]
    assert len(deliveries(shop)) == 2


def test_what_was_paid_meanwhile_bothers_nobody(shop: Shop, invoice: Stored) -> None:
    assert service.run(shop.database, POLICY, DUE_MS)
    shop.pays(invoice, 238)
    assert goes_round(shop, 0) == ["notice_1"]
    assert deliveries(shop) == [("invoice.overdue", None)]
    assert unsent(shop) == 0
