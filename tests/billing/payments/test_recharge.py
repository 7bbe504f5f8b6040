"""Recharge charges nobody above the cap of a month, one at a time, and stops when it is told to."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bench.faults.shop import ORG, Shop
from portico.admission.rules import window_ms
from portico.billing.payments import postings, recharge_store, store
from portico.billing.payments.model import Order, PaymentRefused, RechargeRule
from portico.billing.payments.rules import recharge_minor
from portico.ledger import service as ledger
from portico.ledger.model import Posting

CENT = 10_000_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
RULE = RechargeRule(ORG, True, 500 * CENT, 2_000 * CENT, 5_000, 0, 0, "", "me", 0)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def switch_on(shop: Shop, threshold: int = 500, target: int = 2_000, cap: int = 5_000) -> None:
    shop.office.recharge.switch_on(
        ORG,
        threshold_nano=threshold * CENT,
        target_nano=target * CENT,
        cap_minor=cap,
        author="me",
    )


def post(shop: Shop, posting: Posting) -> None:
    shop.desk.do(lambda t: ledger.post(t, [posting], shop.clock.now_ms))


def use_up(shop: Shop, leave_minor: int = 0) -> None:
    """As requests would, all at once."""
    for account_id, posted in shop.rows(
        "SELECT id, posted_nano FROM account WHERE kind = 'prepaid' AND posted_nano > 0 ORDER BY id"
    ):
        take = posted - leave_minor * CENT
        if take > 0:
            entries = ((account_id, -take), ("revenue", take))
            name = f"use:{account_id}:{shop.clock.now_ms}"
            post(shop, Posting(name, "charge", ORG, "", entries))


def recharged(shop: Shop) -> list[tuple[int, str]]:
    return [(order.amount_minor, order.state) for order in shop.office.recharge.run()]


@pytest.mark.parametrize(
    ("available", "charged", "minor"),
    [
        (500 * CENT, 0, 0),  # at the threshold
        (500 * CENT - 1, 0, 1_501),  # up to a whole cent
        (0, 0, 2_000),
        (-CENT, 0, 2_001),
        (0, 3_000, 2_000),  # what is left of the cap is just enough
        (0, 3_001, 1_999),
        (0, 4_950, 50),
        (0, 4_951, 0),  # less than Stripe charges
        (0, 6_000, 0),
    ],
)
def test_how_much(available: int, charged: int, minor: int) -> None:
    assert recharge_minor(RULE, available, charged) == minor
    assert recharge_minor(replace(RULE, enabled=False), available, charged) == 0


def test_a_small_gap_is_filled_with_the_least_that_can_be_charged() -> None:
    rule = replace(RULE, threshold_nano=10 * CENT, target_nano=20 * CENT)
    assert recharge_minor(rule, 0, 0) == 50


def test_nothing_is_recharged_unless_somebody_switched_it_on(shop: Shop) -> None:
    assert recharged(shop) == []
    switch_on(shop)
    assert recharged(shop) == [(2_000, "paid")]
    assert recharged(shop) == [], "there is enough"
    assert shop.credit_nano() == 2_000 * CENT
    shop.desk.do(lambda t: recharge_store.switch_off(t, ORG, "me", shop.clock.now_ms))
    use_up(shop)
    assert recharged(shop) == []
    assert shop.desk.do(lambda t: recharge_store.due(t, shop.clock.now_ms)) == []


@pytest.mark.parametrize(
    ("threshold", "target", "cap"), [(500, 500, 100), (-1, 500, 100), (0, 1, 0), (0, 1, -1)]
)
def test_a_rule_without_a_cap_or_sense_is_refused(
    shop: Shop, threshold: int, target: int, cap: int
) -> None:
    with pytest.raises(PaymentRefused):
        switch_on(shop, threshold, target, cap)
    rule = replace(RULE, threshold_nano=threshold * CENT, target_nano=target * CENT, cap_minor=cap)
    with pytest.raises(Exception, match=r"(?i)constraint"):
        shop.desk.do(lambda t: recharge_store.set_rule(t, rule))


def test_nobody_recharges_without_a_card(shop: Shop) -> None:
    shop.rows("DELETE FROM payer RETURNING 1")
    with pytest.raises(PaymentRefused, match="no card"):
        switch_on(shop)


def test_the_cap_holds_for_each_month_and_no_longer(shop: Shop) -> None:
    shop.clock.now_ms = at("2028-01-31T22:00:00")
    switch_on(shop)
    spent: dict[str, int] = {}
    # Through the ends of January and a leap February, using everything up every day.
    while shop.clock.now_ms < at("2028-04-01"):
        use_up(shop)
        month = f"{datetime.fromtimestamp(shop.clock.now_ms / 1000, UTC):%Y-%m}"
        spent[month] = spent.get(month, 0) + sum(minor for minor, _ in recharged(shop))
        shop.clock.now_ms += DAY_MS
    assert spent == {"2028-01": 2_000, "2028-02": 5_000, "2028-03": 5_000}


def test_the_first_moment_of_a_month_belongs_to_it(shop: Shop) -> None:
    shop.clock.now_ms = at("2028-02-29T23:59:59") + 999
    switch_on(shop, cap=2_000)
    assert recharged(shop) == [(2_000, "paid")]
    use_up(shop)
    assert recharged(shop) == []
    shop.clock.now_ms += 1
    assert recharged(shop) == [(2_000, "paid")]
    use_up(shop)
    shop.clock.now_ms += 1
    assert recharged(shop) == [], "what was charged in that moment counts in its month"
    assert [charged_in(shop, month) for month in ("2028-02", "2028-03")] == [2_000, 2_000]


def charged_in(shop: Shop, month: str) -> int:
    since_ms, until_ms = window_ms("month", at(f"{month}-15"))
    return shop.desk.do(lambda t: recharge_store.charged_minor(t, ORG, since_ms, until_ms))


def order_of(shop: Shop, order_id: str, minor: int) -> Order:
    return shop.desk.do(
        lambda t: shop.office.top_ups.order_for(t, ORG, minor, order_id, "recharge")
    )


def begin(shop: Shop, order: Order) -> bool:
    since_ms, until_ms = window_ms("month", shop.clock.now_ms)
    return shop.desk.do(lambda t: recharge_store.begin(t, order, since_ms, until_ms))


def test_the_database_itself_keeps_the_cap(shop: Shop) -> None:
    switch_on(shop, cap=3_000)
    first = order_of(shop, "top_1", 2_000)
    assert begin(shop, first)
    shop.office.top_ups.push(first)
    assert not begin(shop, order_of(shop, "top_2", 1_001))
    assert begin(shop, order_of(shop, "top_3", 1_000))


def test_the_database_itself_lets_one_be_under_way(shop: Shop) -> None:
    switch_on(shop)
    assert begin(shop, order_of(shop, "top_1", 100))
    assert not begin(shop, order_of(shop, "top_2", 100))
    assert not begin(shop, order_of(shop, "top_1", 100))
    assert recharged(shop) == []
    shop.clock.now_ms += MINUTE_MS
    shop.office.poller.run()
    assert begin(shop, order_of(shop, "top_2", 100))


def test_the_database_itself_heeds_switch_and_freeze(shop: Shop) -> None:
    switch_on(shop)
    shop.desk.do(lambda t: recharge_store.freeze(t, "R2", 1))
    assert not begin(shop, order_of(shop, "top_1", 100))
    shop.desk.do(recharge_store.thaw)
    shop.desk.do(lambda t: recharge_store.switch_off(t, ORG, "me", 1))
    assert not begin(shop, order_of(shop, "top_1", 100))


def test_what_failed_does_not_count_against_the_cap(shop: Shop) -> None:
    shop.keep("pm_card_chargeCustomerFail")
    switch_on(shop, cap=2_000)
    assert recharged(shop) == [(2_000, "failed")]
    shop.keep("pm_card_visa")
    shop.clock.now_ms += HOUR_MS
    assert recharged(shop) == [(2_000, "paid")]


@pytest.mark.parametrize("token", ["pm_card_chargeCustomerFail", "pm_card_authenticationRequired"])
def test_a_decline_rests_an_hour_and_three_switch_it_off(shop: Shop, token: str) -> None:
    """Nobody is there to confirm, so a card that asks for it is declined."""
    shop.keep(token)
    switch_on(shop)
    for declines in (1, 2, 3):
        assert recharged(shop) == [(2_000, "failed")]
        assert shop.rows("SELECT declines FROM recharge") == [(declines,)]
        shop.clock.now_ms += HOUR_MS - 1
        assert recharged(shop) == []
        shop.clock.now_ms += 1
    assert recharged(shop) == []
    assert shop.rows("SELECT enabled FROM recharge") == [(0,)]
    assert [alarm.kind for alarm in shop.alarms] == ["recharge_off"]
    assert (shop.credit_nano(), shop.made("charge")) == (0, [])


def test_a_payment_between_two_declines_starts_the_count_anew(shop: Shop) -> None:
    switch_on(shop)
    for token in ("pm_card_chargeCustomerFail",) * 2 + ("pm_card_visa",):
        shop.keep(token)
        recharged(shop)
        shop.clock.now_ms += HOUR_MS
    assert shop.rows("SELECT declines, rests_until_ms, enabled FROM recharge") == [(0, 0, 1)]


def test_three_in_ten_minutes_raise_an_alarm(shop: Shop) -> None:
    switch_on(shop, cap=1_000_000)
    for _ in range(2):
        recharged(shop)
        use_up(shop)
        shop.clock.now_ms += 4 * MINUTE_MS
    assert shop.alarms == []
    recharged(shop)
    assert [(alarm.kind, alarm.organisation_id) for alarm in shop.alarms] == [
        ("recharge_rate", ORG)
    ]
    use_up(shop)
    shop.clock.now_ms += 11 * MINUTE_MS
    recharged(shop)
    assert len(shop.alarms) == 1


def test_a_freeze_stops_everybody_until_it_is_lifted(shop: Shop) -> None:
    switch_on(shop)
    assert shop.desk.do(lambda t: recharge_store.freeze(t, "R7: 1 violation", 1))
    assert not shop.desk.do(lambda t: recharge_store.freeze(t, "R2: 9 violations", 2))
    assert shop.desk.do(recharge_store.frozen) == "R7: 1 violation", "the first cause is kept"
    assert recharged(shop) == []
    assert shop.office.top_ups.top_up(ORG, 100).state == "paid", "people may still pay"
    assert shop.desk.do(recharge_store.thaw)
    assert not shop.desk.do(recharge_store.thaw)
    assert recharged(shop) == [(1_900, "paid")]


def test_frozen_and_expired_credit_and_credit_on_account_do_not_count(shop: Shop) -> None:
    order = shop.office.top_ups.top_up(ORG, 2_000)
    owed = ledger.receivable(ORG, 9_000 * CENT, 1)
    shop.desk.do(lambda t: ledger.open_account(t, owed))
    available = shop.desk.do(lambda t: recharge_store.available_nano(t, ORG, shop.clock.now_ms))
    assert available == 2_000 * CENT
    late_ms = shop.clock.now_ms + 365 * DAY_MS
    assert shop.desk.do(lambda t: recharge_store.available_nano(t, ORG, late_ms)) == 0
    grant = postings.grant_of(order)
    shop.desk.do(lambda t: store.set_kind(t, grant, "prepaid", "disputed"))
    assert shop.desk.do(lambda t: recharge_store.available_nano(t, ORG, shop.clock.now_ms)) == 0


def test_a_kill_in_a_recharge_charges_once(shop: Shop) -> None:
    switch_on(shop)
    shop.switch("faults", "path=/v1/payment_intents&how=lost")
    with pytest.raises(Exception, match="did not answer"):
        recharged(shop)
    assert recharged(shop) == [], "one is under way"
    shop.lose_events()
    shop.clock.now_ms += MINUTE_MS
    shop.office.poller.run()
    assert recharged(shop) == []
    assert (len(shop.made("charge")), shop.credit_nano()) == (1, 2_000 * CENT)
