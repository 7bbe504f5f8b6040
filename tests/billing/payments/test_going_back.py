"""What is unspent can go back, once and never more; a dispute freezes the credit it is about and
nothing else."""

import pytest

from bench.faults.shop import NOW_MS, ORG, Shop
from portico.billing import credits
from portico.billing.payments import postings, store
from portico.billing.payments.model import (
    Order,
    PaymentRefused,
    ProviderUnavailable,
    Refund,
    RefundSeen,
)
from portico.billing.payments.provider.stripe import Stripe
from portico.ledger import service as ledger
from portico.ledger.model import Bill, Held, Settlement, Short, Wish

CENT = 10_000_000
DAY_MS = 86_400_000


@pytest.fixture
def order(shop: Shop) -> Order:
    return shop.office.top_ups.top_up(ORG, 1_000)


def hold(shop: Shop, request_id: str, minor: int) -> Held | Short:
    wish = Wish(request_id, ORG, minor * CENT, (), "{}", DAY_MS)
    return shop.desk.do(lambda t: ledger.hold(t, [wish], shop.clock.now_ms, "inst"))[0]


def spend(shop: Shop, request_id: str, minor: int, held_minor: int | None = None) -> None:
    """Hold and settle."""
    if held_minor is None:
        assert isinstance(hold(shop, request_id, minor), Held)
    bill = Bill("p", "k", "m", "standard", "completed", "[]", "", minor * CENT, minor * CENT)
    end = Settlement(request_id, "settled", bill)
    shop.desk.do(lambda t: ledger.settle(t, [end], shop.clock.now_ms))


def cents(shop: Shop, account_id: str) -> int:
    return shop.posted(account_id) // CENT


def right(shop: Shop) -> bool:
    """Sums to zero, and Stripe's balance is ours."""
    there = sum(each["amount"] for each in shop.made("balance_transaction"))
    return not shop.unbalanced() and cents(shop, "cash_clearing:stripe") == -there


# -- refunds


def test_what_is_unspent_goes_back_to_its_card(shop: Shop, order: Order) -> None:
    spend(shop, "req_1", 300)
    refund = shop.office.refunds.refund(order.id, None, "asked for")
    assert (refund.state, refund.amount_minor) == ("paid", 700)
    assert [each["amount"] for each in shop.made("refund")] == [700]
    assert (shop.credit_nano(), cents(shop, "refunds:stripe")) == (0, 0)
    assert right(shop)
    shop.deliver()
    assert right(shop)


def test_no_more_than_is_unspent_goes_back(shop: Shop, order: Order) -> None:
    spend(shop, "req_1", 300)
    hold(shop, "req_2", 200)
    with pytest.raises(PaymentRefused, match=r"has \$5.00 left"):
        shop.office.refunds.refund(order.id, 501, "")
    for nothing in (0, -1):
        with pytest.raises(PaymentRefused, match="cannot be paid back"):
            shop.office.refunds.refund(order.id, nothing, "")
    assert shop.rows("SELECT * FROM top_up_refund") == []
    assert shop.office.refunds.refund(order.id, 500, "").state == "paid"
    with pytest.raises(PaymentRefused, match=r"has \$0.00 left"):
        shop.office.refunds.refund(order.id, 1, "")
    assert [each["amount"] for each in shop.made("refund")] == [500]


def test_the_ledger_refuses_what_was_spent_since_it_was_looked_at(shop: Shop, order: Order) -> None:
    spend(shop, "req_1", 600)
    made = Refund("ref_x", order.id, 500, 500 * CENT, "open", "", "", NOW_MS, None)
    with pytest.raises(PaymentRefused, match="less than"):
        shop.desk.do(lambda t: postings.take_back(t, order, made, NOW_MS))
    assert cents(shop, postings.grant_of(order)) == 400


def test_the_same_refund_is_one_refund(shop: Shop, order: Order) -> None:
    first = shop.office.refunds.refund(order.id, 100, "", "mine")
    assert shop.office.refunds.refund(order.id, 100, "", "mine") == first
    with pytest.raises(PaymentRefused, match="another refund"):
        shop.office.refunds.refund(order.id, 101, "", "mine")
    assert len(shop.made("refund")) == 1


def test_nothing_goes_back_of_what_was_never_paid(shop: Shop) -> None:
    shop.keep("pm_card_chargeCustomerFail")
    failed = shop.office.top_ups.top_up(ORG, 1_000)
    with pytest.raises(PaymentRefused, match="failed: there is nothing"):
        shop.office.refunds.refund(failed.id, None, "")
    with pytest.raises(PaymentRefused, match="no top-up"):
        shop.office.refunds.refund("top_x", None, "")


class Killed(BaseException):
    """The process is gone."""


class DiesAfterRefund(Stripe):
    def refund(self, refund: Refund, intent_id: str) -> RefundSeen:
        super().refund(refund, intent_id)
        raise Killed


@pytest.mark.parametrize("later_ms", [60_000, 2 * DAY_MS])
def test_a_kill_after_stripe_paid_out_pays_out_once(
    shop: Shop, order: Order, later_ms: int
) -> None:
    dying = shop.new_office(shop.new_desk(DiesAfterRefund(shop.account)))
    with pytest.raises(Killed):
        dying.refunds.refund(order.id, 400, "")
    assert (cents(shop, postings.grant_of(order)), cents(shop, "refunds:stripe")) == (600, 400)
    if later_ms > DAY_MS:
        shop.switch("keys/forget")
    shop.lose_events()
    shop.clock.now_ms += later_ms
    assert shop.office.poller.run().refunds == 1
    assert shop.rows("SELECT state FROM top_up_refund") == [("paid",)]
    assert (len(shop.made("refund")), right(shop)) == (1, True)
    assert shop.office.poller.run().refunds == 0


def test_an_answer_that_got_lost_pays_out_once(shop: Shop, order: Order) -> None:
    shop.switch("faults", "path=/v1/refunds&how=lost")
    with pytest.raises(ProviderUnavailable):
        shop.office.refunds.refund(order.id, 400, "")
    assert not right(shop), "Stripe paid it out, and we do not know"
    shop.deliver()  # the event knows which refund of ours it is
    assert shop.rows("SELECT state FROM top_up_refund") == [("paid",)]
    assert (len(shop.made("refund")), right(shop)) == (1, True)


def test_what_stripe_refuses_to_pay_out_is_credit_again(shop: Shop, order: Order) -> None:
    shop.made("charge")[0]["disputed"] = True  # and nobody told us
    refund = shop.office.refunds.refund(order.id, 400, "")
    assert (refund.state, cents(shop, postings.grant_of(order))) == ("failed", 1_000)
    assert (shop.made("refund"), right(shop)) == ([], True)


def test_what_the_bank_sends_back_is_credit_again_once(shop: Shop, order: Order) -> None:
    refund = shop.office.refunds.refund(order.id, 400, "")
    shop.switch(f"refunds/{refund.provider_id}/fail")
    shop.fake.courier.put(shop.made("event")[-1])
    assert "refund failed" in shop.deliver()
    assert shop.rows("SELECT state FROM top_up_refund") == [("failed",)]
    assert (cents(shop, postings.grant_of(order)), right(shop)) == (1_000, True)


def test_what_came_back_before_we_knew_that_it_had_left(shop: Shop, order: Order) -> None:
    shop.switch("faults", "path=/v1/refunds&how=lost")
    with pytest.raises(ProviderUnavailable):
        shop.office.refunds.refund(order.id, 400, "")
    refund = shop.made("refund")[0]
    shop.switch(f"refunds/{refund['id']}/fail")
    shop.deliver()
    assert shop.rows("SELECT state FROM top_up_refund") == [("failed",)]
    assert (cents(shop, postings.grant_of(order)), right(shop)) == (1_000, True)
    assert shop.rows("SELECT count(*) FROM entry WHERE account_id = 'cash_clearing:stripe'") == [
        (3,)
    ], "in, out and in again, as at Stripe"


def test_a_refund_that_stripe_cancels_before_anything_moved(shop: Shop, order: Order) -> None:
    shop.switch("faults", "path=/v1/refunds&how=lost")
    with pytest.raises(ProviderUnavailable):
        shop.office.refunds.refund(order.id, 400, "")
    refund = shop.made("refund")[0]
    del shop.fake.world.objects[refund["balance_transaction"]]
    refund.update(status="canceled", balance_transaction=None)
    shop.clock.now_ms += 60_000
    shop.office.poller.run()
    assert shop.rows("SELECT state FROM top_up_refund") == [("failed",)]
    assert (cents(shop, postings.grant_of(order)), right(shop)) == (1_000, True)


def test_the_event_of_a_refund_that_is_not_ours_does_nothing(shop: Shop, order: Order) -> None:
    body = f"payment_intent={order.intent_id}&amount=100"
    shop.fake.answer("POST", "/v1/refunds", "", body, {b"authorization": "Bearer sk_test_x"})
    assert "refused: no refund of ours" in shop.deliver()
    assert cents(shop, postings.grant_of(order)) == 1_000


def test_a_refund_that_names_ours_and_is_another_does_nothing(shop: Shop, order: Order) -> None:
    shop.switch("faults", "path=/v1/refunds&how=lost")
    with pytest.raises(ProviderUnavailable):
        shop.office.refunds.refund(order.id, 400, "")
    true = shop.made("refund")[0]
    other = shop.office.top_ups.top_up(ORG, 1_000)
    for change in ({"amount": 401}, {"payment_intent": other.intent_id}):
        shop.fake.world.objects[true["id"]] = {**true, **change}
        assert shop.office.refunds.follow(true["id"]).startswith("refused")
        assert shop.rows("SELECT state FROM top_up_refund") == [("open",)]


# -- disputes


def dispute(shop: Shop, order: Order, minor: int = 1_000) -> str:
    charge = next(
        each["id"] for each in shop.made("charge") if each["payment_intent"] == order.intent_id
    )
    return str(shop.switch(f"charges/{charge}/dispute", f"amount={minor}")["id"])


def decide(shop: Shop, dispute_id: str, evidence: str) -> None:
    shop.fake.answer(
        "POST",
        f"/v1/disputes/{dispute_id}",
        "",
        f"evidence[uncategorized_text]={evidence}",
        {b"authorization": "Bearer sk_test_x"},
    )


def test_a_dispute_freezes_its_own_credit_and_no_other(shop: Shop, order: Order) -> None:
    other = shop.office.top_ups.top_up(ORG, 200)
    dispute(shop, order)
    shop.deliver()
    assert isinstance(hold(shop, "req_1", 201), Short)
    held = hold(shop, "req_2", 200)
    assert isinstance(held, Held)
    assert held.parts == ((postings.grant_of(other), 200 * CENT),)
    assert right(shop)
    with pytest.raises(PaymentRefused, match="disputed"):
        shop.office.refunds.refund(order.id, None, "")
    shop.clock.now_ms += 400 * DAY_MS
    expired = shop.desk.do(lambda t: credits.expire(t, shop.clock.now_ms))
    assert postings.grant_of(order) not in dict(expired), "the bank decides first"


def test_a_dispute_that_is_won_frees_the_credit(shop: Shop, order: Order) -> None:
    spend(shop, "req_1", 300)
    found = dispute(shop, order)
    decide(shop, found, "winning_evidence")
    shop.deliver()
    assert shop.rows("SELECT state FROM dispute") == [("won",)]
    assert isinstance(hold(shop, "req_2", 700), Held)
    assert (cents(shop, "cash_clearing:stripe_disputes"), right(shop)) == (0, True)


def test_a_dispute_that_is_lost_takes_what_is_left_and_the_operator_the_rest(
    shop: Shop, order: Order
) -> None:
    spend(shop, "req_1", 300)
    found = dispute(shop, order)
    decide(shop, found, "losing_evidence")
    shop.deliver()
    assert shop.rows("SELECT state FROM dispute") == [("lost",)]
    assert (shop.credit_nano(), cents(shop, "refunds:disputes")) == (0, -300)
    assert (cents(shop, "cash_clearing:stripe_disputes"), right(shop)) == (0, True)


def test_a_part_that_is_lost_leaves_the_rest(shop: Shop, order: Order) -> None:
    found = dispute(shop, order, 400)
    decide(shop, found, "losing_evidence")
    shop.deliver()
    assert (cents(shop, "refunds:disputes"), right(shop)) == (0, True)
    assert isinstance(hold(shop, "req_1", 601), Short)
    assert isinstance(hold(shop, "req_2", 600), Held)


def test_credit_stays_frozen_until_the_last_of_two_disputes_is_decided(
    shop: Shop, order: Order
) -> None:
    first, second = dispute(shop, order, 400), dispute(shop, order, 500)
    shop.deliver()
    decide(shop, first, "winning_evidence")
    shop.deliver()
    assert isinstance(hold(shop, "req_1", 1), Short)
    decide(shop, second, "winning_evidence")
    shop.deliver()
    assert isinstance(hold(shop, "req_2", 1_000), Held)
    assert right(shop)


def test_a_lost_dispute_waits_for_requests_that_hold_the_credit(shop: Shop, order: Order) -> None:
    hold(shop, "req_1", 500)
    found = dispute(shop, order)
    decide(shop, found, "losing_evidence")
    shop.deliver()
    assert shop.rows("SELECT state FROM dispute") == [("open",)]
    spend(shop, "req_1", 100, held_minor=500)
    assert isinstance(hold(shop, "req_2", 1), Short), "what came back is frozen, too"
    shop.office.poller.run()
    assert shop.rows("SELECT state FROM dispute") == [("lost",)]
    assert (shop.credit_nano(), cents(shop, "refunds:disputes"), right(shop)) == (0, -100, True)


def test_a_dispute_whose_events_got_lost_is_found(shop: Shop, order: Order) -> None:
    found = dispute(shop, order)
    shop.lose_events()
    shop.office.poller.run()
    assert shop.rows("SELECT id, state FROM dispute") == [(found, "open")]
    decide(shop, found, "losing_evidence")
    shop.lose_events()
    shop.clock.now_ms += 100 * DAY_MS
    shop.office.poller.run()
    assert shop.rows("SELECT state FROM dispute") == [("lost",)]
    assert right(shop)


def test_a_dispute_that_comes_before_its_payment_is_credited_first(shop: Shop) -> None:
    shop.keep("pm_card_authenticationRequired")
    order = shop.office.top_ups.top_up(ORG, 1_000)
    shop.switch(f"payment_intents/{order.intent_id}/authenticate")
    shop.lose_events()
    dispute(shop, order)
    shop.deliver()
    assert shop.office.top_ups.get(order.id).state == "paid"
    assert isinstance(hold(shop, "req_1", 1), Short)
    assert right(shop)


def test_only_what_is_frozen_is_freed_and_the_other_way_round(shop: Shop, order: Order) -> None:
    grant = postings.grant_of(order)
    assert not shop.desk.do(lambda t: store.set_kind(t, grant, "disputed", "prepaid"))
    assert shop.desk.do(lambda t: store.set_kind(t, grant, "prepaid", "disputed"))
    assert not shop.desk.do(lambda t: store.set_kind(t, grant, "prepaid", "disputed"))


def test_events_of_disputes_twice_and_in_any_order_count_once(shop: Shop, order: Order) -> None:
    found = dispute(shop, order)
    decide(shop, found, "winning_evidence")
    events = [each for each in shop.made("event") if each["type"].startswith("charge.dispute")]
    shop.lose_events()
    for event in [*reversed(events), *events]:
        shop.fake.courier.put({**event, "id": f"{event['id']}{len(shop.alarms)}"})
    shop.deliver()
    assert (shop.rows("SELECT state FROM dispute"), right(shop)) == ([("won",)], True)
    assert not shop.desk.do(lambda t: store.close_dispute(t, found, "lost", NOW_MS))


def test_paid_credit_expires(shop: Shop, order: Order) -> None:
    spend(shop, "req_1", 300)
    shop.clock.now_ms = NOW_MS + 365 * DAY_MS
    assert isinstance(hold(shop, "req_2", 1), Short)
    expired = shop.desk.do(lambda t: credits.expire(t, shop.clock.now_ms))
    assert expired == [(postings.grant_of(order), 700 * CENT)]
    with pytest.raises(PaymentRefused, match=r"has \$0.00 left"):
        shop.office.refunds.refund(order.id, None, "")
