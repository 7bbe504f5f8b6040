"""The Stripe of our own does what Stripe says it does, as far as the official SDK can tell."""

import random
from typing import Any

import pytest
import stripe
from stripe import StripeClient

from bench.faults.shop import HandClock, Port
from portico.billing.fake_stripe.app import FakeStripe
from portico.billing.fake_stripe.courier import Courier, Switches, mixed
from portico.billing.fake_stripe.forms import read

SECRET = "whsec_of_a_fake_that_is_only_a_test"


@pytest.fixture
def fake(stripe_at: Port) -> FakeStripe:
    clock = HandClock()
    stripe_at.app = FakeStripe(clock, Courier(SECRET, clock, random.Random(1)))
    return stripe_at.app


@pytest.fixture
def client(fake: FakeStripe, stripe_at: Port) -> StripeClient:
    """The official one, unchanged but for its address."""
    return StripeClient("sk_test_any", base_addresses={"api": stripe_at.url}, max_network_retries=0)


def pay(client: StripeClient, card: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    asked: dict[str, Any] = {
        "amount": 1_000,
        "currency": "usd",
        "payment_method": card,
        "payment_method_types": ["card"],
        "confirm": True,
        **more,
    }
    key = asked.pop("key", None)
    create: Any = client.v1.payment_intents.create
    intent: stripe.PaymentIntent = create(asked, {"idempotency_key": key} if key else {})
    return intent


def test_a_payment_and_what_hangs_on_it(client: StripeClient) -> None:
    customer = client.v1.customers.create({"name": "One", "metadata": {"our": "id"}})
    assert client.v1.customers.retrieve(customer.id).to_dict()["metadata"] == {"our": "id"}
    intent = pay(client, customer=customer.id, expand=["latest_charge.balance_transaction"])
    charge: Any = intent.latest_charge
    assert (intent.status, intent.amount_received) == ("succeeded", 1_000)
    assert (charge.balance_transaction.amount, charge.balance_transaction.net) == (1_000, 941)
    assert charge.payment_method_details.type == "card"
    found = client.v1.payment_intents.list({"customer": customer.id})
    assert [each.id for each in found.data] == [intent.id]


def test_lists_are_read_page_by_page_newest_first(client: StripeClient) -> None:
    made = [pay(client, amount=100 + number).id for number in range(7)]
    pages = client.v1.payment_intents.list({"limit": 3})
    assert [each.id for each in pages.auto_paging_iter()] == made[::-1]
    lines = client.v1.balance_transactions.list({"limit": 2, "expand": ["data.source"]})
    sources: list[Any] = [each.source for each in lines.auto_paging_iter()]
    assert [each.payment_intent for each in sources] == made[::-1]


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_declines_by_test_card(
    client: StripeClient, card: str, code: str, decline_code: str
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, card)
    assert declined.value.code == code
    assert declined.value.error is not None
    assert declined.value.error.decline_code == decline_code
    intent = declined.value.error.payment_intent
    assert intent is not None
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


def test_a_card_that_asks_for_its_holder(client: StripeClient, fake: FakeStripe) -> None:
    card = "pm_card_authenticationRequired"
    intent = pay(client, card)
    assert intent.status == "requires_action"
    fake.answer("POST", f"/_fake/payment_intents/{intent.id}/authenticate", "", "", {})
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    with pytest.raises(stripe.CardError) as declined:
        pay(client, card, off_session=True)
    assert declined.value.code == "authentication_required"
    refused = pay(client, card)
    fake.answer(
        "POST", f"/_fake/payment_intents/{refused.id}/authenticate", "", "outcome=failed", {}
    )
    assert client.v1.payment_intents.retrieve(refused.id).status == "requires_payment_method"


def test_a_set_up_keeps_a_card_or_says_why_not(client: StripeClient) -> None:
    customer = client.v1.customers.create({"name": "One"})
    create: Any = client.v1.setup_intents.create
    kept = create({"customer": customer.id, "payment_method": "pm_card_visa", "confirm": True})
    method = client.v1.payment_methods.retrieve(kept.payment_method)
    assert (kept.status, method.customer) == ("succeeded", customer.id)
    with pytest.raises(stripe.CardError):
        create(
            {"customer": customer.id, "payment_method": "pm_card_chargeDeclined", "confirm": True}
        )


def test_the_first_result_of_a_key_is_kept(client: StripeClient, fake: FakeStripe) -> None:
    first = pay(client, key="k1")
    again = pay(client, key="k1")
    assert (again.id, len(client.v1.charges.list().data)) == (first.id, 1)
    response: Any = again.last_response
    assert response.headers["idempotent-replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        pay(client, key="k1", amount=1_001)
    with pytest.raises(stripe.CardError):
        pay(client, "pm_card_chargeDeclined", key="k2")
    with pytest.raises(stripe.CardError):
        pay(client, "pm_card_chargeDeclined", key="k2")
    assert len(client.v1.payment_intents.list().data) == 2


def test_a_500_is_kept_a_failed_check_is_not(client: StripeClient, fake: FakeStripe) -> None:
    fake.faults["POST /v1/payment_intents"] = "stored"
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            pay(client, key="k1")
    with pytest.raises(stripe.InvalidRequestError):
        pay(client, key="k2", amount=49)
    assert pay(client, key="k2").status == "succeeded"


def test_refunds_end_at_what_was_charged(client: StripeClient) -> None:
    intent = pay(client)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 400})
    assert refund.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="greater"):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 601})
    client.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        client.v1.refunds.create({"payment_intent": intent.id})
    amounts = [each.amount for each in client.v1.balance_transactions.list().data]
    assert amounts == [-600, -400, 1_000]


def test_disputes_move_the_balance_and_are_decided_by_evidence(client: StripeClient) -> None:
    intent = pay(client, "pm_card_createDispute")
    (dispute,) = client.v1.disputes.list().data
    assert (dispute.payment_intent, dispute.status) == (intent.id, "needs_response")
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        client.v1.refunds.create({"payment_intent": intent.id})
    won = client.v1.disputes.update(
        dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}}
    )
    lines = client.v1.balance_transactions.list().data
    assert won.status == "won"
    assert [(line.reporting_category, line.amount) for line in lines] == [
        ("dispute_reversal", 1_000),
        ("dispute", -1_000),
        ("charge", 1_000),
    ]
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        client.v1.disputes.close(dispute.id)


def test_events_are_signed_so_that_the_sdk_believes_them(
    client: StripeClient, fake: FakeStripe
) -> None:
    pay(client)
    letters = fake.courier.letters()
    long_ago_s = 10**10
    for letter in letters:
        event = stripe.Webhook.construct_event(letter.body, letter.signature, SECRET, long_ago_s)
        assert event.id == letter.event_id
    assert fake.courier.letters() == []
    fake.answer("POST", f"/_fake/events/{letters[0].event_id}/replay", "", "", {})
    assert [each.event_id for each in fake.courier.letters()] == [letters[0].event_id]


def test_a_key_that_is_not_of_test_mode_is_refused(stripe_at: Port, fake: FakeStripe) -> None:
    client = StripeClient("sk_live_x", base_addresses={"api": stripe_at.url}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError):
        client.v1.customers.list()


def test_switches_lose_double_and_reorder() -> None:
    events: list[dict[str, Any]] = [{"id": str(number)} for number in range(1_000)]
    rng = random.Random(5)
    assert mixed(events, Switches(), rng) == events
    assert mixed(events, Switches(drop=1), rng) == []
    assert mixed(events, Switches(duplicate=1), rng) == [each for each in events for _ in range(2)]
    shuffled = mixed(events, Switches(reorder=0.3), rng)
    assert shuffled != events
    assert sorted(shuffled, key=lambda each: int(each["id"])) == events
    some = mixed(events, Switches(drop=0.3, duplicate=0.3), rng)
    assert 800 < len(some) < 1_050


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("a=1&b[c]=2&b[d][e]=3", {"a": "1", "b": {"c": "2", "d": {"e": "3"}}}),
        ("a[0]=x&a[1]=y", {"a": ["x", "y"]}),
        ("a[]=x&a[]=y", {"a": ["x", "y"]}),
        ("a[0][b]=1&a[1][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
        ("a=%C3%BC&b=", {"a": "ü", "b": ""}),
        ("", {}),
    ],
)
def test_forms_are_read_as_stripe_reads_them(text: str, means: dict[str, Any]) -> None:
    assert read(text) == means
