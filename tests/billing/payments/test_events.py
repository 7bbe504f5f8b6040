"""No event moves money: what is not signed, or claims another thing than its order asked for,
credits nothing; what is true is credited once, in whatever order and however often it arrives."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import stripe

from bench.faults import topups
from bench.faults.shop import NOW_MS, ORG, SECRET, Port, Shop
from portico.billing.payments.model import Order
from portico.billing.payments.provider.signature import NotSigned, Signatures, header_for
from portico.db.database import Database

Json = dict[str, Any]
AT_S = NOW_MS // 1000


@pytest.fixture
def paid(shop: Shop) -> Order:
    """Charged at Stripe and not credited here; its true event is lost."""
    shop.keep("pm_card_authenticationRequired")
    order = shop.office.top_ups.top_up(ORG, 1_000)
    shop.switch(f"payment_intents/{order.intent_id}/authenticate")
    shop.lose_events()
    return order


def true_event(shop: Shop) -> Json:
    events = [each for each in shop.made("event") if each["type"] == "payment_intent.succeeded"]
    return copy.deepcopy(events[-1])


def received(shop: Shop, event: Json, secret: str = SECRET, at_s: int = AT_S) -> tuple[bool, str]:
    assert shop.office.events is not None
    body = msgspec.json.encode(event)
    answer = shop.office.events.receive(body, header_for(secret, body, at_s))
    return answer.accepted, answer.outcome


def test_the_true_event_credits(shop: Shop, paid: Order) -> None:
    event = true_event(shop)
    assert received(shop, event) == (True, "paid")
    assert received(shop, event) == (True, "known")
    assert received(shop, {**event, "id": "evt_other"}) == (True, "paid before")
    assert shop.credit_nano() == paid.amount_nano
    assert (shop.unbalanced(), shop.alarms) == ([], [])


@pytest.mark.parametrize(
    ("secret", "at_s", "why"),
    [
        ("whsec_of_somebody_else_altogether_", AT_S, "No signature matches"),
        ("", AT_S, "No signature matches"),
        (SECRET, AT_S - 301, "signed 301 s ago"),
        (SECRET, AT_S + 301, "signed -301 s ago"),
    ],
)
def test_a_forged_or_old_event_credits_nothing(
    shop: Shop, paid: Order, secret: str, at_s: int, why: str
) -> None:
    accepted, outcome = received(shop, true_event(shop), secret, at_s)
    assert not accepted
    assert why in outcome
    assert (shop.credit_nano(), shop.rows("SELECT * FROM payment_event")) == (0, [])


@pytest.mark.parametrize("secret", ["", " " * 40, "short", "x" * 31])
def test_a_secret_that_could_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="32 characters"):
        Signatures(secret)


@pytest.mark.parametrize(
    "header",
    ["", "t=", "v1=ab", f"t={AT_S}", f"t={AT_S},v0=ab", f"t={AT_S},t={AT_S},v1=ab", "t=²,v1=ab"],
)
def test_a_header_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(NotSigned):
        Signatures(SECRET).check(b"{}", header, AT_S)


@pytest.mark.parametrize(
    ("body", "signed", "secret"),
    [
        (b'{"a":1}', b'{"a":1}', SECRET),
        (b'{"a":2}', b'{"a":1}', SECRET),
        (b"{}", b"{}", SECRET + "x"),
        (b"", b"", SECRET),
    ],
)
def test_our_check_and_the_sdks_agree(body: bytes, signed: bytes, secret: str) -> None:
    header = header_for(secret, signed, AT_S)
    try:
        Signatures(SECRET).check(body, header, AT_S)
        ours = True
    except NotSigned:
        ours = False
    try:
        theirs = stripe.WebhookSignature.verify_header(body, header, SECRET)
    except stripe.SignatureVerificationError:
        theirs = False
    assert ours == theirs


def claim(**changes: Any) -> Callable[[Json], None]:
    def change(event: Json) -> None:
        event["data"]["object"].update(changes)

    return change


def of_order(order_id: str) -> Callable[[Json], None]:
    return claim(metadata={"portico_order": order_id})


LIES = {
    "amount": claim(amount=1_000_000, amount_received=1_000_000),
    "less received": claim(amount_received=999),
    "currency": claim(currency="jpy"),
    "customer": claim(customer="cus_other"),
    "method": claim(payment_method_types=["us_bank_account"]),
    "two methods": claim(payment_method_types=["card", "link"]),
    "payment": claim(id="pi_other"),
    "order": of_order("top_other"),
    "no order": claim(metadata={}),
    "mode": lambda event: event.update(livemode=True),
    "mode of the payment": claim(livemode=True),
}


def test_an_event_that_claims_something_else_credits_nothing(shop: Shop, paid: Order) -> None:
    for lie, tell in LIES.items():
        event = true_event(shop)
        tell(event)
        event["id"] = f"evt_{lie}"
        accepted, outcome = received(shop, event)
        assert accepted, "Stripe need not send it again"
        assert outcome.startswith("refused: "), lie
        assert shop.credit_nano() == 0, lie
        stored = shop.rows(f"SELECT outcome FROM payment_event WHERE id = '{event['id']}'")
        assert stored == [(outcome,)]
    assert [alarm.kind for alarm in shop.alarms] == ["event_refused"] * len(LIES)
    assert received(shop, true_event(shop)) == (True, "paid")


THERE: dict[str, Json] = {
    "amount": {"amount": 2_000, "amount_received": 2_000},
    "less received": {"amount_received": 999},
    "currency": {"currency": "eur"},
    "customer": {"customer": "cus_other"},
    "status": {"status": "processing"},
    "order": {"metadata": {"portico_order": "top_other"}},
    "mode": {"livemode": True},
}


def test_what_stripe_itself_says_decides(shop: Shop, paid: Order) -> None:
    true = copy.deepcopy(shop.fake.world.objects[paid.intent_id])
    for what, change in THERE.items():
        event = true_event(shop)
        event["id"] = f"evt_{what}"
        shop.fake.world.objects[paid.intent_id] = {**true, **change}
        received(shop, event)
        assert shop.credit_nano() == 0, what


def test_paid_by_another_method_than_the_order_says_credits_nothing(
    shop: Shop, paid: Order
) -> None:
    event = true_event(shop)
    charge = shop.made("charge")[-1]
    charge["payment_method_details"] = {"type": "us_bank_account"}
    _, outcome = received(shop, event)
    assert "method" in outcome
    assert shop.credit_nano() == 0


def test_the_event_of_another_order_credits_neither(shop: Shop, paid: Order) -> None:
    """Somebody pays a small order and names a large one."""
    shop.keep("pm_card_authenticationRequired")
    large = shop.office.top_ups.top_up(ORG, 900_000)
    event = true_event(shop)
    of_order(large.id)(event)
    shop.fake.world.objects[paid.intent_id]["metadata"] = {"portico_order": large.id}
    received(shop, event)
    assert shop.credit_nano() == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"id":"evt","type":"x","livemode":false}',
        b"\xff",
        b'{"data":{"object":7}}',
    ],
)
def test_what_is_signed_and_no_event_is_refused(shop: Shop, body: bytes) -> None:
    assert shop.office.events is not None
    answer = shop.office.events.receive(body, header_for(SECRET, body, AT_S))
    assert not answer.accepted


def test_an_event_is_sent_again_when_stripe_cannot_be_asked(shop: Shop, paid: Order) -> None:
    """It must not count as known before it had its effect."""
    event = true_event(shop)
    shop.fake.world.objects[paid.intent_id].update(status="processing")
    assert received(shop, event) == (True, "open")
    shop.fake.world.objects[paid.intent_id].update(status="succeeded")
    assert received(shop, {**event, "id": "evt_later"}) == (True, "paid")


def test_top_ups_are_credited_once_in_whatever_way_events_arrive(
    database: Database, stripe_at: Port
) -> None:
    result = topups.run(Shop(database, stripe_at, seed=7), count=60)
    assert result.exact, result


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_thousand_top_ups(database: Database, stripe_at: Port) -> None:
    result = topups.run(Shop(database, stripe_at, seed=11), count=1_000)
    assert result.exact, result
