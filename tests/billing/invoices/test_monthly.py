"""Who pays later gets an invoice for every month that is over: once, whoever races and whoever dies."""

import signal
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.faults.place import PROCESSES, Address
from portico.app.collecting import collecting
from portico.app.failure import CannotStart
from portico.billing.alerts.model import Target
from portico.billing.audit import audit
from portico.billing.invoices.model import Period
from portico.billing.invoices.rules import next_month, paid_later
from portico.billing.invoices.service import documents
from portico.billing.monthly import Monthly
from portico.billing.rounds import Rounds
from portico.db.database import Database
from portico.db.tables import terms
from portico.pricing.model import Terms
from portico.settings import Settings, load
from tests.billing.alerts.inbox import Clock
from tests.billing.invoices.racers import NOW_MS, OWNERS, die_at_third, months_all
from tests.billing.invoices.shop import DOLLAR, SELLER, Shop, ms

OPERATOR = (Target("mail", "ops@example.org"),)
HOUR_MS = 3_600_000


def agrees(shop: Shop, owner: str, kind: str, since: str = "2020-01-01") -> None:
    row = (f"{owner}{since}", owner, kind, "", 1, 1, "[]", "", ms(since), "ada", 1)
    shop.do(lambda t: t.insert(terms, [row]))


def settings_of(**invoices: Any) -> Settings:
    seller = {"seller_name": "Portico Models GmbH", "seller_country": "DE"}
    return load(environment={}, flags={"invoices": {**seller, **invoices}})


def server(shop: Shop, clock: Clock, owner: str) -> Rounds:
    settings = settings_of(automatic=True)
    found = collecting(settings, shop.database, clock, owner, OPERATOR)
    return next(each for each in found if each.name == "invoices")


def invoices(shop: Shop) -> list[tuple[str, str, str, int]]:
    """(number, organisation, the month in which its period starts, cents)."""
    return sorted(
        (each.number, each.organisation_id, each.invoice.period_start[:7], each.invoice.total_cents)
        for each in shop.do(documents)
    )


def told(shop: Shop) -> list[tuple[str, str]]:
    rows = shop.rows(
        "SELECT kind, target FROM alert JOIN delivery ON alert_id = alert.id ORDER BY alert.id"
    )
    return [(row[0], row[1]) for row in rows]


@pytest.fixture
def shop(database: Database) -> Shop:
    """org_1 is postpaid, org_2 prepaid."""
    made = Shop(database, "org_1", "org_2", now_ms=ms("2026-02-03"))
    made.taxes("DE", 1900)
    agrees(made, "org_1", "postpaid")
    agrees(made, "org_2", "prepaid")
    made.may_owe(10 * DOLLAR)
    made.gets(10 * DOLLAR, owner="org_2")
    for owner in ("org_1", "org_2"):
        made.uses({"input_text": 1_000_000}, owner)
    return made


def test_a_month_that_is_over_is_invoiced_once_and_then_the_next(shop: Shop) -> None:
    shop.is_customer()
    clock = Clock(ms("2026-03-01") - 1)
    servers = [server(shop, clock, "inst_1"), server(shop, clock, "inst_2")]
    assert [each.look() for each in servers] == [True, False]
    assert invoices(shop) == [], "the month is not over"
    clock.now_ms += HOUR_MS
    assert [each.look() for each in servers] == [True, False]
    first = ("INV-2026-000001", "org_1", "2026-02", 238)
    assert invoices(shop) == [first]
    for _ in range(3):
        clock.now_ms += HOUR_MS
        assert [each.look() for each in reversed(servers)] == [True, False]
    assert invoices(shop) == [first]
    shop.now_ms = clock.now_ms
    shop.uses({"input_text": 2_000_000})
    clock.now_ms = shop.now_ms = ms("2026-04-01")
    shop.uses({"input_text": 500_000})
    assert [each.look() for each in servers] == [True, False]
    assert invoices(shop) == [first, ("INV-2026-000002", "org_1", "2026-03", 476)]
    assert told(shop) == [("invoice.made", "pay@example.org")] * 2
    (body,) = shop.rows("SELECT body FROM alert ORDER BY created_at_ms")[0]
    assert (
        "Invoice INV-2026-000001 for Kundin AG, 2026-02-01 up to 2026-03-01: $2.38 to be paid by "
        "2026-03-15." in body
    )
    verdicts = shop.do(lambda t: audit(t, clock.now_ms))
    assert [each.id for each in verdicts if each.violations] == []


def test_months_nobody_was_there_for_come_first_and_one_by_one(shop: Shop) -> None:
    for moment in ("2026-03-31T23:59", "2026-05-01"):
        shop.now_ms = ms(moment)
        shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-05-20")
    shop.invoice(Period(ms("2026-02-01"), ms("2026-03-01")))
    made = Monthly(shop.database, SELLER, OPERATOR).go_round(ms("2026-06-10"))
    assert [(each.number, each.invoice.period_start[:7]) for each in made] == [
        ("INV-2026-000002", "2026-03"),
        ("INV-2026-000003", "2026-05"),
    ]


def test_what_an_organisation_was_while_it_used_counts(shop: Shop) -> None:
    agrees(shop, "org_1", "prepaid", "2026-02-20")
    agrees(shop, "org_2", "postpaid", "2026-03-01")
    monthly = Monthly(shop.database, SELLER, OPERATOR)
    assert [each.organisation_id for each in monthly.go_round(ms("2026-03-01"))] == ["org_1"]
    shop.now_ms = ms("2026-03-01")
    for owner in ("org_1", "org_2"):
        shop.uses({"input_text": 1_000}, owner)
    made = monthly.go_round(ms("2026-04-01"))
    assert [(each.organisation_id, each.invoice.period_start[:7]) for each in made] == [
        ("org_2", "2026-02"),
        ("org_2", "2026-03"),
    ], "receipts follow each other: what was paid from credit before comes first"


def test_what_cannot_be_invoiced_is_told_once_and_stops_nobody(shop: Shop) -> None:
    agrees(shop, "org_2", "postpaid", "2026-02-10")
    shop.is_customer(country="FR")
    monthly = Monthly(shop.database, SELLER, OPERATOR)
    now_ms = ms("2026-03-01")
    assert [each.organisation_id for each in monthly.go_round(now_ms)] == ["org_2"]
    assert monthly.go_round(now_ms + HOUR_MS) == []
    assert told(shop) == [
        ("invoice.not_made", "ops@example.org"),
        ("invoice.made", "ops@example.org"),
    ]
    shop.taxes("FR", 2000)
    made = monthly.go_round(now_ms + 2 * HOUR_MS)
    assert [each.organisation_id for each in made] == ["org_1"]


@pytest.fixture
def many(database: Database) -> Shop:
    made = Shop(database, *OWNERS, now_ms=ms("2026-02-03"))
    made.taxes("DE", 1900)
    for owner in OWNERS:
        agrees(made, owner, "postpaid")
        made.may_owe(10 * DOLLAR, owner)
        made.uses({"input_text": 1_000_000}, owner)
    return made


def test_racing_servers_invoice_everybody_once(
    many: Shop, tmp_path: Path, database_url: str
) -> None:
    work = partial(months_all, Address(tmp_path, database_url))
    PROCESSES.set_forkserver_preload([months_all.__module__])
    with ProcessPoolExecutor(2, mp_context=PROCESSES) as pool:
        numbers = sorted(number for made in pool.map(work, range(2)) for number in made)
    assert numbers == [f"INV-2026-{place:06d}" for place in range(1, len(OWNERS) + 1)]
    assert sorted(each[1] for each in invoices(many)) == OWNERS
    assert many.rows("SELECT count(*) FROM alert") == [(len(OWNERS),)]


def test_a_server_that_is_killed_over_it_leaves_the_rest_to_the_next(
    many: Shop, tmp_path: Path, database_url: str
) -> None:
    child = PROCESSES.Process(target=die_at_third, args=(Address(tmp_path, database_url),))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(invoices(many)) == 2
    assert len(Monthly(many.database, SELLER, ()).go_round(NOW_MS)) == len(OWNERS) - 2
    assert sorted(each[1] for each in invoices(many)) == OWNERS
    assert [each[0] for each in invoices(many)] == [
        f"INV-2026-{place:06d}" for place in range(1, len(OWNERS) + 1)
    ]


def test_nothing_is_automatic_unless_it_is_asked_for(shop: Shop) -> None:
    clock = Clock(NOW_MS)
    found = collecting(settings_of(), shop.database, clock, "inst_1", OPERATOR)
    assert [each.name for each in found] == ["dunning"]
    nobody = settings_of(automatic=True, seller_name="")
    with pytest.raises(CannotStart, match="seller_name is not set"):
        list(collecting(nobody, shop.database, clock, "inst_1", OPERATOR))


@pytest.mark.parametrize(
    ("changes", "later"),
    [
        ([], False),
        ([("prepaid", 0)], False),
        ([("postpaid", 0)], True),
        ([("postpaid", 19)], True),
        ([("postpaid", 20)], False),
        ([("postpaid", 0), ("prepaid", 10)], False),
        ([("postpaid", 0), ("prepaid", 11)], True),
        ([("prepaid", 0), ("postpaid", 12), ("prepaid", 13)], True),
        ([("postpaid", 3), ("prepaid", 5), ("prepaid", 30)], False),
    ],
)
def test_who_paid_later_at_some_moment_of_a_time(
    changes: list[tuple[Any, int]], later: bool
) -> None:
    agreed = [
        Terms(
            id=str(at),
            organisation_id="org_1",
            kind=kind,
            plan="",
            share_numerator=1,
            share_denominator=1,
            discounts=(),
            consent="",
            effective_from_ms=at,
            author="",
            created_at_ms=0,
        )
        for kind, at in changes
    ]
    assert paid_later(agreed, 10, 20) is later


@pytest.mark.parametrize(
    ("until", "first_open", "now", "month"),
    [
        ("1970-01-01", "2026-02-03", "2026-02-28T23:59", None),
        ("1970-01-01", "2026-02-03", "2026-03-01", "2026-02"),
        ("1970-01-01", "2025-12-31T23:59", "2026-03-01", "2025-12"),
        ("2026-02-20", "2026-02-19", "2026-03-01", "2026-02"),
        ("2026-03-01", "2026-02-28", "2026-03-31", None),
        ("2026-03-01", "2026-02-28", "2026-04-01", "2026-03"),
    ],
)
def test_the_month_that_comes_next(
    until: str, first_open: str, now: str, month: str | None
) -> None:
    found = next_month(ms(until), ms(first_open), ms(now))
    assert (found and found.start_ms) == (month and ms(f"{month}-01"))
    assert next_month(ms(until), None, ms(now)) is None
