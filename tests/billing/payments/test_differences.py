"""R7: every line of Stripe's balance is a transaction here, with the same amount, and the other way
round; fees and payouts are nobody's business but the operator's."""

import pytest

from bench.faults.shop import NOW_MS, ORG, Shop
from portico.billing.payments.differences import Difference, differences, psp_differences
from portico.billing.payments.model import BalanceLine
from portico.ledger import service as ledger
from portico.ledger.model import Posting

CENT = 10_000_000
LATER_MS = NOW_MS + 600_000


def found(shop: Shop) -> list[Difference]:
    lines = shop.desk.stripe.balance_lines(0)
    return shop.desk.do(lambda t: psp_differences(t, lines, LATER_MS))


def test_a_life_of_payments_agrees(shop: Shop) -> None:
    orders = [shop.office.top_ups.top_up(ORG, minor) for minor in (1_000, 2_000, 3_000, 4_000)]
    shop.office.refunds.refund(orders[0].id, 300, "")
    failed = shop.office.refunds.refund(orders[0].id, 200, "")
    shop.switch(f"refunds/{failed.provider_id}/fail")
    for order, evidence in ((orders[1], "winning"), (orders[2], "losing")):
        charge = next(e for e in shop.made("charge") if e["payment_intent"] == order.intent_id)
        disputed = shop.switch(f"charges/{charge['id']}/dispute")
        shop.fake.answer(
            "POST",
            f"/v1/disputes/{disputed['id']}",
            "",
            f"evidence[uncategorized_text]={evidence}_evidence",
            {b"authorization": "Bearer sk_test_x"},
        )
    assert found(shop) != [], "the events have not come"
    shop.deliver()
    assert found(shop) == []
    shop.fake.world.move_balance(-700, "payout", "po_1")
    shop.fake.world.move_balance(-15, "fee", "fee_1")
    assert found(shop) == []


def test_what_only_stripe_has_is_found(shop: Shop) -> None:
    order = shop.office.top_ups.top_up(ORG, 1_000)
    body = f"payment_intent={order.intent_id}&amount=100"
    key = {b"authorization": "Bearer sk_test_x"}
    by_hand = shop.fake.answer("POST", "/v1/refunds", "", body, key).body["id"]
    assert found(shop) == [Difference(f"refund_paid:{by_hand}", -100 * CENT, None)]


def test_what_only_we_have_is_found(shop: Shop) -> None:
    order = shop.office.top_ups.top_up(ORG, 1_000)
    entries = (("cash_clearing:stripe", -5), ("revenue", 5))
    invented = Posting("topup:pi_invented", "top_up", ORG, "", entries)
    shop.desk.do(lambda t: ledger.post(t, [invented], NOW_MS))
    assert found(shop) == [Difference("topup:pi_invented", None, 5)]
    line = next(e for e in shop.made("balance_transaction"))
    line["amount"] = 999
    assert Difference(f"topup:{order.intent_id}", 999 * CENT, 1_000 * CENT) in found(shop)


@pytest.mark.parametrize(
    ("there", "here", "wrong"),
    [
        ([("a", 5, 9)], {"a": (5, 9)}, []),
        ([("a", 5, 99)], {"a": (5, 99)}, []),
        ([("a", 5, 9)], {}, [("a", 5, None)]),
        ([], {"a": (5, 9)}, [("a", None, 5)]),
        ([("a", 5, 10)], {}, []),  # since `before`: on its way
        ([], {"a": (5, 10)}, []),
        ([("a", 5, 10)], {"a": (6, 10)}, [("a", 5, 6)]),  # wrong at once
        ([("a", 2, 9), ("a", 3, 9)], {"a": (5, 9)}, []),
        ([("a", 5, 9), ("a", 5, 9)], {"a": (5, 9)}, [("a", 10, 5)]),
    ],
)
def test_line_by_line(
    there: list[tuple[str, int, int]],
    here: dict[str, tuple[int, int]],
    wrong: list[tuple[str, int | None, int | None]],
) -> None:
    lines = [BalanceLine(*line) for line in there]
    assert differences(lines, here, 10) == [Difference(*each) for each in wrong]
