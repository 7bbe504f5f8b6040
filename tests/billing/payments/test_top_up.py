"""A top-up is charged once and credited once, whoever asks again and whatever got lost."""

import pytest

from bench.faults.shop import NOW_MS, ORG, Shop
from portico.billing.payments import postings, store
from portico.billing.payments.model import (
    Intent,
    Order,
    PaymentRefused,
    ProviderUnavailable,
)
from portico.billing.payments.provider.stripe import Stripe
from portico.ledger import service as ledger
from portico.ledger.model import Held, Wish

CENT = 10_000_000
DAY_MS = 86_400_000


def charges(shop: Shop) -> int:
    return len(shop.made("charge"))


def test_what_was_paid_is_credited_once(shop: Shop) -> None:
    order = shop.office.top_ups.top_up(ORG, 2_500)
    assert (order.state, order.amount_nano, order.says) == ("paid", 2_500 * CENT, "")
    assert shop.credit_nano() == 2_500 * CENT
    assert shop.posted("cash_clearing:stripe") == -2_500 * CENT
    intent = shop.made("payment_intent")[0]
    assert shop.rows("SELECT id, kind, reason FROM txn") == [
        (f"topup:{intent['id']}", "top_up", order.id)
    ]
    assert shop.deliver() == ["ignored", "ignored", "ignored", "ignored", "ignored", "paid before"]
    assert (shop.credit_nano(), charges(shop), shop.unbalanced()) == (2_500 * CENT, 1, [])


def test_the_same_id_is_the_same_top_up(shop: Shop) -> None:
    first = shop.office.top_ups.top_up(ORG, 1_000, "invoice-17")
    assert shop.office.top_ups.top_up(ORG, 1_000, "invoice-17") == first
    assert charges(shop) == 1
    with pytest.raises(PaymentRefused, match="another top-up"):
        shop.office.top_ups.top_up(ORG, 1_001, "invoice-17")


def test_an_amount_stripe_does_not_charge_is_not_asked_for(shop: Shop) -> None:
    for minor in (49, 0, -500, 100_000_000):
        with pytest.raises(PaymentRefused, match="between"):
            shop.office.top_ups.top_up(ORG, minor)
    assert shop.rows("SELECT * FROM top_up") == []


def test_an_id_that_does_not_fit_into_a_header_is_refused(shop: Shop) -> None:
    for id in ("a b", "a\nb", "x" * 65, "ü"):
        with pytest.raises(PaymentRefused, match="is no id"):
            shop.office.top_ups.top_up(ORG, 1_000, id)
    assert charges(shop) == 0


def test_nobody_is_charged_without_a_card(shop: Shop) -> None:
    shop.rows("DELETE FROM payer RETURNING 1")
    with pytest.raises(PaymentRefused, match="no card"):
        shop.office.top_ups.top_up(ORG, 1_000)
    with pytest.raises(PaymentRefused, match="no organisation"):
        shop.office.top_ups.top_up("org_9", 1_000)


def test_a_declined_card_credits_nothing_and_can_never_be_charged_later(shop: Shop) -> None:
    shop.keep("pm_card_chargeCustomerFail")
    order = shop.office.top_ups.top_up(ORG, 1_000)
    assert (order.state, order.says) == ("failed", "generic_decline")
    assert [each["status"] for each in shop.made("payment_intent")] == ["canceled"]
    shop.deliver()
    assert (shop.credit_nano(), charges(shop)) == (0, 0)


def test_a_payment_that_waits_for_its_cardholder_is_credited_when_it_is_confirmed(
    shop: Shop,
) -> None:
    shop.keep("pm_card_authenticationRequired")
    order = shop.office.top_ups.top_up(ORG, 1_000)
    assert (order.state, order.says) == ("open", "the cardholder has to confirm it")
    shop.deliver()
    assert shop.credit_nano() == 0
    shop.switch(f"payment_intents/{order.intent_id}/authenticate")
    shop.deliver()
    assert shop.office.top_ups.get(order.id).state == "paid"
    assert shop.credit_nano() == 1_000 * CENT


def test_a_payment_nobody_confirms_ends_after_a_day(shop: Shop) -> None:
    shop.keep("pm_card_authenticationRequired")
    order = shop.office.top_ups.top_up(ORG, 1_000)
    shop.clock.now_ms += DAY_MS - 1
    shop.office.poller.run()
    assert shop.office.top_ups.get(order.id).state == "open"
    shop.clock.now_ms += 16_000
    shop.office.poller.run()
    assert shop.office.top_ups.get(order.id).state == "failed"
    assert shop.made("payment_intent")[0]["status"] == "canceled"


def test_what_events_lost_the_poller_credits(shop: Shop) -> None:
    shop.keep("pm_card_authenticationRequired")
    order = shop.office.top_ups.top_up(ORG, 1_000)
    shop.switch(f"payment_intents/{order.intent_id}/authenticate")
    shop.lose_events()
    assert shop.office.poller.run().orders == 0, "whoever asked is given a moment"
    shop.clock.now_ms += 60_000
    assert shop.office.poller.run().orders == 1
    assert shop.credit_nano() == 1_000 * CENT
    assert shop.office.poller.run().orders == 0


class Killed(BaseException):
    """The process is gone."""


class DiesAfterPaying(Stripe):
    def pay(self, order: Order) -> Intent:
        super().pay(order)
        raise Killed


def killed_while_paying(shop: Shop) -> str:
    dying = shop.new_office(shop.new_desk(DiesAfterPaying(shop.account)))
    with pytest.raises(Killed):
        dying.top_ups.top_up(ORG, 1_000)
    ((order_id, state, intent_id),) = shop.rows("SELECT id, state, intent_id FROM top_up")
    assert (state, intent_id, shop.credit_nano(), charges(shop)) == ("open", "", 0, 1)
    return str(order_id)


def test_a_kill_between_the_charge_and_our_commit_charges_once(shop: Shop) -> None:
    order_id = killed_while_paying(shop)
    shop.lose_events()
    shop.clock.now_ms += 60_000
    shop.office.poller.run()
    assert shop.office.top_ups.get(order_id).state == "paid"
    assert (shop.credit_nano(), charges(shop), shop.unbalanced()) == (1_000 * CENT, 1, [])


def test_a_kill_that_is_found_after_stripe_forgot_the_key_charges_once(shop: Shop) -> None:
    order_id = killed_while_paying(shop)
    shop.lose_events()
    shop.switch("keys/forget")
    shop.clock.now_ms += 2 * DAY_MS
    shop.office.poller.run()
    assert shop.office.top_ups.get(order_id).state == "paid"
    assert (shop.credit_nano(), charges(shop)) == (1_000 * CENT, 1)


def test_an_order_that_never_reached_stripe_is_given_up_after_its_key(shop: Shop) -> None:
    shop.desk.do(
        lambda t: store.add_order(
            t, shop.office.top_ups.order_for(t, ORG, 1_000, "top_x", "manual")
        )
    )
    shop.clock.now_ms += 2 * DAY_MS
    shop.office.poller.run()
    assert shop.office.top_ups.get("top_x").says == "Stripe never heard of it"
    assert (shop.credit_nano(), charges(shop)) == (0, 0)


@pytest.mark.parametrize("how", ["stored", "lost"])
def test_an_answer_that_says_500_leaves_the_order_open(shop: Shop, how: str) -> None:
    shop.switch("faults", f"path=/v1/payment_intents&how={how}")
    with pytest.raises(ProviderUnavailable):
        shop.office.top_ups.top_up(ORG, 1_000)
    ((order_id, state),) = shop.rows("SELECT id, state FROM top_up")
    assert (state, charges(shop)) == ("open", 1)
    shop.lose_events()
    shop.clock.now_ms += 60_000
    if how == "stored":  # Stripe repeats its 500 for as long as it keeps the key
        with pytest.raises(ProviderUnavailable):
            shop.office.poller.run()
        shop.clock.now_ms += DAY_MS
    shop.office.poller.run()
    assert shop.office.top_ups.get(order_id).state == "paid"
    assert (shop.credit_nano(), charges(shop)) == (1_000 * CENT, 1)


def test_money_for_an_order_that_was_given_up_is_credited(shop: Shop) -> None:
    shop.keep("pm_card_authenticationRequired")
    order = shop.office.top_ups.top_up(ORG, 1_000)
    shop.switch(f"payment_intents/{order.intent_id}/authenticate")
    shop.desk.do(lambda t: store.fail_order(t, order.id, "given up", NOW_MS))
    shop.deliver()
    assert shop.office.top_ups.get(order.id).state == "paid"
    assert shop.credit_nano() == 1_000 * CENT


def test_an_order_that_is_closed_stays_as_it_is(shop: Shop) -> None:
    """Whoever is late, with an older answer of Stripe's, changes nothing any more."""
    order = shop.office.top_ups.top_up(ORG, 1_000)
    assert not shop.desk.do(lambda t: store.fail_order(t, order.id, "late", NOW_MS + 1))
    assert not shop.desk.do(lambda t: store.note_order(t, order.id, order.intent_id, "late", 9))
    assert shop.office.top_ups.get(order.id) == order


def test_credit_is_used_up_by_expiry_and_expires(shop: Shop) -> None:
    first = shop.office.top_ups.top_up(ORG, 100)
    shop.clock.now_ms += DAY_MS
    second = shop.office.top_ups.top_up(ORG, 100)
    names = [postings.grant_of(each) for each in (first, second)]
    wish = Wish("req_1", ORG, 150 * CENT, (), "{}", DAY_MS)
    held = shop.desk.do(lambda t: ledger.hold(t, [wish], shop.clock.now_ms, "inst"))[0]
    assert isinstance(held, Held)
    assert held.parts == ((names[0], 100 * CENT), (names[1], 50 * CENT))
    expiries = shop.rows("SELECT expires_at_ms FROM account WHERE kind = 'prepaid' ORDER BY 1")
    assert expiries == [(NOW_MS + 365 * DAY_MS,), (NOW_MS + 366 * DAY_MS,)]


NONSENSE = {
    "cents and nano-USD differ": "amount_minor = amount_minor + 1",
    "nothing": "amount_minor = 0, amount_nano = 0",
    "paid by nobody": "state = 'paid', intent_id = ''",
    "no state": "state = 'maybe'",
    "no currency of ours": "currency = 'eur'",
    "asked for by nobody": "origin = 'wish'",
}


def test_the_database_refuses_an_order_that_makes_no_sense(shop: Shop) -> None:
    shop.office.top_ups.top_up(ORG, 100)
    for change in NONSENSE.values():
        with pytest.raises(Exception, match=r"(?i)constraint"):
            shop.rows(f"UPDATE top_up SET {change} RETURNING 1")


def test_one_payment_pays_one_order(shop: Shop) -> None:
    one, two = (shop.office.top_ups.top_up(ORG, 100) for _ in range(2))
    with pytest.raises(Exception, match=r"(?i)unique"):
        shop.rows(
            f"UPDATE top_up SET intent_id = '{one.intent_id}' WHERE id = '{two.id}' RETURNING 1"
        )
    assert not shop.desk.do(lambda t: store.pay_order(t, one.id, one.intent_id, NOW_MS)), "paid"
    shop.desk.do(
        lambda t: store.add_order(t, shop.office.top_ups.order_for(t, ORG, 100, "top_x", "manual"))
    )
    assert shop.desk.do(lambda t: store.note_order(t, "top_x", "pi_x", "", NOW_MS))
    assert not shop.desk.do(lambda t: store.pay_order(t, "top_x", "pi_y", NOW_MS)), "another's"
    assert not shop.desk.do(lambda t: store.note_order(t, "top_x", "pi_y", "", NOW_MS))
