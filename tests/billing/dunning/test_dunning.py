"""Who does not pay is told, then closed, and open again with the payment; nothing is deleted."""

import pytest

from portico.billing.audit import audit
from portico.billing.credits import set_credit_limit
from portico.billing.dunning import service as dunning
from portico.billing.dunning.model import Notice, Policy
from portico.billing.invoices.model import Stored
from portico.db.database import Database
from portico.ledger import service as ledger
from portico.ledger.model import Held, Settlement, Short
from tests.billing.invoices.shop import DAY_MS, DOLLAR, Shop, ms

POLICY = Policy((0, 3, 7, 14), 21, 28)
DUE_MS = ms("2026-03-15")


@pytest.fixture
def shop(database: Database) -> Shop:
    made = Shop(database, "org_1", "org_2", now_ms=ms("2026-02-03"))
    made.taxes("DE", 1900)
    for owner in ("org_1", "org_2"):
        made.may_owe(10 * DOLLAR, owner)
        made.is_customer(owner=owner)
        made.uses({"input_text": 1_000_000}, owner)
    made.now_ms = ms("2026-03-01")
    return made


@pytest.fixture
def invoice(shop: Shop) -> Stored:
    """$2.38, due on 2026-03-15."""
    made = shop.invoice("2026-02")
    assert made.due_at_ms == DUE_MS
    return made


def runs(shop: Shop, now_ms: int) -> list[str]:
    shop.now_ms = now_ms
    return [f"{e.organisation_id} {e.kind}" for e in dunning.run(shop.database, POLICY, now_ms)]


def until(shop: Shop, day: int) -> None:
    """A run on every day of a step, and on that day."""
    for number in sorted({0, 3, 7, 14, 21, 28, day}):
        if number <= day:
            runs(shop, DUE_MS + number * DAY_MS)


def state(shop: Shop, owner: str = "org_1") -> str:
    return shop.do(lambda t: dunning.state_of(t, owner))


def opens(shop: Shop, nano: int = 1, owner: str = "org_1") -> bool:
    """Whether a request of that worst case is admitted; it is given back."""
    held = shop.hold(nano, owner)
    if isinstance(held, Held):
        end = Settlement(held.request_id, "void", None)
        shop.do(lambda t: ledger.settle(t, [end], shop.now_ms))
    return isinstance(held, Held)


def test_steps_come_on_their_days(shop: Shop, invoice: Stored) -> None:
    found = {day: runs(shop, DUE_MS + day * DAY_MS) for day in range(-2, 40)}
    assert {day: kinds for day, kinds in found.items() if kinds} == {
        0: ["org_1 notice_1"],
        3: ["org_1 notice_2"],
        7: ["org_1 notice_3"],
        14: ["org_1 notice_4"],
        21: ["org_1 read_only"],
        28: ["org_1 suspended"],
    }


def test_what_is_paid_is_left_alone(shop: Shop, invoice: Stored) -> None:
    assert runs(shop, DUE_MS) == ["org_1 notice_1"]
    shop.pays(invoice, 238)
    assert runs(shop, DUE_MS + 3 * DAY_MS) == []
    assert state(shop) == "good"
    assert shop.rows("SELECT * FROM dunning") == [], "it never left good standing"


def test_read_only_means_nothing_more_on_account(shop: Shop, invoice: Stored) -> None:
    shop.gets(DOLLAR)
    until(shop, 20)
    assert opens(shop, 9 * DOLLAR), "$1 of its own and $8 on account"
    until(shop, 21)
    assert state(shop) == "read_only"
    assert opens(shop, DOLLAR), "its own credit"
    assert not opens(shop, DOLLAR + 1)


def test_suspended_means_nothing_that_costs(shop: Shop, invoice: Stored) -> None:
    shop.gets(DOLLAR)
    shop.gets(DOLLAR, "promo")
    until(shop, 28)
    assert state(shop) == "suspended"
    assert isinstance(shop.hold(1), Short)
    assert opens(shop, DOLLAR, "org_2"), "another organisation is none of it"
    shop.gets(DOLLAR, "promo")
    until(shop, 29)
    assert isinstance(shop.hold(1), Short), "a new gift is closed by the next run"


def test_what_comes_back_from_a_request_is_closed_by_the_next_run(
    shop: Shop, invoice: Stored
) -> None:
    shop.gets(DOLLAR)
    held = shop.hold(DOLLAR // 2)
    until(shop, 28)
    end = Settlement(held.request_id, "void", None)
    shop.do(lambda t: ledger.settle(t, [end], shop.now_ms))
    assert opens(shop, DOLLAR // 2)
    runs(shop, shop.now_ms + 1)
    assert not opens(shop)
    shop.pays(invoice, 238)
    assert opens(shop, 11 * DOLLAR), "the limit of $10 and its own $1 are back"


@pytest.mark.parametrize("day", [21, 28])
def test_a_payment_opens_at_once(shop: Shop, invoice: Stored, day: int) -> None:
    until(shop, day)
    shop.pays(invoice, 237, "a")
    assert not opens(shop, 9 * DOLLAR), "a cent is missing"
    shop.pays(invoice, 1, "b")
    assert state(shop) == "good"
    assert opens(shop, 10 * DOLLAR)
    kinds = {each.kind for each in shop.do(lambda t: dunning.unsent(t, shop.now_ms))}
    assert "restored" in kinds


def test_a_credit_note_opens_as_well(shop: Shop, invoice: Stored) -> None:
    until(shop, 28)
    shop.credits(invoice, {1: None})
    assert state(shop) == "good"
    assert opens(shop, 10 * DOLLAR)


def test_each_organisation_answers_for_itself(shop: Shop, invoice: Stored) -> None:
    shop.invoice("2026-02", "org_2")
    alone = shop.do(lambda t: dunning.advance(t, "org_2", POLICY, DUE_MS))
    assert [each.organisation_id for each in alone] == ["org_2"]
    found = [runs(shop, DUE_MS + day * DAY_MS) for day in (0, 3, 7, 14, 21, 28)]
    assert found[0] == ["org_1 notice_1"]
    assert [len(kinds) for kinds in found] == [1, 2, 2, 2, 2, 2]
    shop.pays(invoice, 238)
    assert (state(shop), state(shop, "org_2")) == ("good", "suspended")
    assert (opens(shop), opens(shop, owner="org_2")) == (True, False)


def test_the_oldest_debt_counts(shop: Shop, invoice: Stored) -> None:
    shop.now_ms = ms("2026-03-05")
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-04-01")
    second = shop.invoice("2026-03")
    for day in range(0, 90, 3):
        runs(shop, DUE_MS + day * DAY_MS)
    shop.pays(invoice, 238, "first")
    assert state(shop) == "suspended", "the second one is overdue, too"
    shop.pays(second, 238, "second")
    assert state(shop) == "good"


def test_who_becomes_overdue_again_is_told_again(shop: Shop, invoice: Stored) -> None:
    until(shop, 28)
    shop.pays(invoice, 238)
    shop.uses({"input_text": 1_000_000})
    shop.now_ms = ms("2026-06-01")
    shop.invoice("2026-04")
    due_ms = ms("2026-06-15")
    found = [kind for day in range(30) for kind in runs(shop, due_ms + day * DAY_MS)]
    assert len(found) == 6
    assert state(shop) == "suspended"


def test_a_limit_that_is_changed_meanwhile_is_the_one_that_comes_back(
    shop: Shop, invoice: Stored
) -> None:
    until(shop, 21)
    shop.do(lambda t: set_credit_limit(t, "org_1", 5 * DOLLAR, shop.now_ms))
    assert opens(shop, 2 * DOLLAR), "the operator's word, until the next run"
    runs(shop, shop.now_ms + 1)
    assert not opens(shop)
    shop.pays(invoice, 238)
    assert opens(shop, 5 * DOLLAR)
    assert not opens(shop, 5 * DOLLAR + 1)


def test_a_limit_that_is_changed_right_before_the_payment_stays(
    shop: Shop, invoice: Stored
) -> None:
    until(shop, 21)
    shop.do(lambda t: set_credit_limit(t, "org_1", 5 * DOLLAR, shop.now_ms))
    shop.pays(invoice, 238)
    assert (opens(shop, 5 * DOLLAR), opens(shop, 5 * DOLLAR + 1)) == (True, False)


def test_runs_beside_each_other_take_a_step_once(shop: Shop, invoice: Stored) -> None:
    assert runs(shop, DUE_MS) == ["org_1 notice_1"]
    again = shop.do(lambda t: dunning.advance(t, "org_1", POLICY, DUE_MS))
    assert again == []


def test_a_notice_is_sent_once(shop: Shop, invoice: Stored) -> None:
    runs(shop, DUE_MS)
    (found,) = shop.do(lambda t: dunning.unsent(t, DUE_MS))
    assert found == Notice(
        found.id, "org_1", invoice.id, "notice_1", "pay@example.org", DUE_MS, None
    )
    assert shop.do(lambda t: dunning.unsent(t, DUE_MS - 1)) == []
    assert shop.do(lambda t: dunning.mark_sent(t, found.id, DUE_MS + 1)) is True
    assert shop.do(lambda t: dunning.mark_sent(t, found.id, DUE_MS + 2)) is False
    assert shop.do(lambda t: dunning.unsent(t, DUE_MS + 9)) == []
    assert shop.rows("SELECT sent_at_ms FROM dunning_notice") == [(DUE_MS + 1,)]


def test_nothing_is_deleted_and_the_books_stay_right(shop: Shop, invoice: Stored) -> None:
    shop.gets(DOLLAR)
    tables = ("charge", "entry", "invoice", "account", "organisation")
    before = {table: len(shop.rows(f"SELECT * FROM {table}")) for table in tables}
    until(shop, 90)
    assert before == {table: len(shop.rows(f"SELECT * FROM {table}")) for table in tables}
    verdicts = shop.do(lambda t: audit(t, shop.now_ms))
    assert [each.id for each in verdicts if each.violations] == []
