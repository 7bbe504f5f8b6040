"""Two years of months, a leap day in them, on the system's clock as the command line reads it.

Months are those of UTC, which no country puts forward or back: a change to summer time is no
moment here.  The test's own clock stands in a zone that has one, to show it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import time_machine

from portico.billing.audit import audit
from portico.billing.dunning import service as dunning
from portico.billing.dunning.model import Policy
from portico.billing.invoices.check import invoice_differences
from portico.billing.invoices.model import CENT_NANO, Stored
from portico.db.database import open_database
from portico.kit.clock import SystemClock
from tests.billing.invoices.shop import DOLLAR, Shop

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2027, 3, 1, tzinfo=UTC)
MONTHS = 24
POLICY = Policy((0, 3, 7, 14), 21, 28)


def test_two_years(tmp_path: Path) -> None:
    with time_machine.travel(START.astimezone(BERLIN), tick=False) as clock:
        shop = Shop(open_database(tmp_path), now_ms=SystemClock().wall_ms())
        shop.may_owe(1_000 * DOLLAR)
        shop.is_customer()
        shop.taxes("DE", 1900)
        made: list[Stored] = []
        kinds: list[str] = []
        month, used = START, 0
        for number in range(MONTHS):
            following = (month + timedelta(days=31)).replace(day=1)
            # At the first and at the last moment of the month, and in between.
            for moment in (
                month,
                month + timedelta(days=13),
                following - timedelta(milliseconds=1),
            ):
                clock.move_to(moment.astimezone(BERLIN))
                shop.now_ms = SystemClock().wall_ms()
                shop.uses({"input_text": 123_457 + used})
                used += 1
            clock.move_to(following.astimezone(BERLIN))
            shop.now_ms = SystemClock().wall_ms()
            invoice = shop.invoice(month.strftime("%Y-%m"))
            made.append(invoice)
            for late in [each for each in made[:-1] if shop.outstanding(each)]:
                shop.pays(late, shop.outstanding(late), late.number)
            for day in range(0, 28, 7):
                kinds += [
                    each.kind
                    for each in dunning.run(shop.database, POLICY, shop.now_ms + day * 86_400_000)
                ]
            if number % 6:  # every sixth is paid a month late
                shop.pays(invoice, shop.outstanding(invoice), invoice.number)
            month = following

    documents = [each.invoice for each in made]
    assert [each.requests for each in documents] == [3] * MONTHS
    assert [each.receipts for each in documents] == [
        (number, number + 2) for number in range(1, 3 * MONTHS, 3)
    ]
    assert documents[11].period_start == "2028-02-01T00:00:00Z"
    assert documents[11].period_end == "2028-03-01T00:00:00Z"
    assert made[11].period is not None
    assert made[11].period.end_ms - made[11].period.start_ms == 29 * 86_400_000
    assert [each.number for each in documents if each.number.endswith("-000001")] == [
        "INV-2027-000001",
        "INV-2028-000001",
        "INV-2029-000001",
    ]
    assert set(kinds) == {"notice_1", "notice_2"}, "at most two weeks after they are due"
    assert sum(map(shop.outstanding, made)) == 0
    # All is paid, and what is left on the account is the last rest of rounding.
    assert -shop.posted("receivable:org_1") == documents[-1].carried_out_nano
    assert abs(2 * documents[-1].carried_out_nano) <= CENT_NANO
    found = shop.do(lambda t: list(invoice_differences(t)))
    assert [name for name, ok in found if not ok] == []
    assert not any(verdict.violations for verdict in shop.do(lambda t: audit(t, shop.now_ms)))
