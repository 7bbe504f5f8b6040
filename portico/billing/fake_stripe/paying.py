"""Customers, cards, set-ups and payments, in Stripe's shapes."""

from typing import Any

from portico.billing.fake_stripe.cards import (
    CONFIRM,
    DISPUTE,
    NUMBERS,
    REFUSED_AT_ONCE,
    TOKENS,
    WORKS,
)
from portico.billing.fake_stripe.forms import truth
from portico.billing.fake_stripe.going_back import open_dispute
from portico.billing.fake_stripe.world import Failed, Json, World, wrong

_AMOUNT_MIN, _AMOUNT_MAX = 50, 99_999_999
_FEE_FIXED, _FEE_PER_MILLE = 30, 29
_CANCELLABLE = ("requires_payment_method", "requires_confirmation", "requires_action", "processing")
_SAYS = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


def make_customer(world: World, asked: Json, _: str) -> Json:
    made = world.make(
        "cus",
        "customer",
        name=asked.get("name"),
        email=asked.get("email"),
        metadata=asked.get("metadata", {}),
    )
    world.tell("customer.created", made)
    return made


def make_method(world: World, asked: Json, _: str) -> Json:
    token = NUMBERS.get(asked.get("card", {}).get("number", ""))
    if asked.get("type") != "card" or token is None:
        raise wrong("Only cards, and only Stripe's test numbers, are known here.")
    return _method(world, token)


def attach_method(world: World, asked: Json, id: str) -> Json:
    method = _resolved(world, id)
    _refuse_declined(world, method)
    method["customer"] = world.get(asked.get("customer", ""), "customer")["id"]
    world.tell("payment_method.attached", method)
    return method


def make_setup(world: World, asked: Json, _: str) -> Json:
    setup = world.make(
        "seti",
        "setup_intent",
        client_secret=None,
        customer=asked.get("customer"),
        last_setup_error=None,
        metadata=asked.get("metadata", {}),
        next_action=None,
        payment_method=None,
        payment_method_types=asked.get("payment_method_types", ["card"]),
        status="requires_payment_method",
        usage=asked.get("usage", "off_session"),
    )
    setup["client_secret"] = f"{setup['id']}_secret_fake"
    return confirm_setup(world, asked, setup["id"]) if truth(asked.get("confirm")) else setup


def confirm_setup(world: World, asked: Json, id: str) -> Json:
    setup = world.get(id, "setup_intent")
    method = _resolved(world, asked.get("payment_method", ""))
    _refuse_declined(world, method)
    method["customer"] = setup["customer"]
    setup.update(payment_method=method["id"], status="succeeded")
    world.tell("payment_method.attached", method)
    world.tell("setup_intent.succeeded", setup)
    return setup


def make_payment(world: World, asked: Json, _: str) -> Json:
    amount = _amount(asked)
    if asked.get("currency") != "usd":
        raise wrong("Only usd is known here.", param="currency")
    if "customer" in asked:
        world.get(asked["customer"], "customer")
    intent = world.make(
        "pi",
        "payment_intent",
        amount=amount,
        amount_capturable=0,
        amount_received=0,
        canceled_at=None,
        cancellation_reason=None,
        capture_method="automatic_async",
        client_secret=None,
        confirmation_method="automatic",
        currency="usd",
        customer=asked.get("customer"),
        description=asked.get("description"),
        last_payment_error=None,
        latest_charge=None,
        metadata=asked.get("metadata", {}),
        next_action=None,
        payment_method=None,
        payment_method_types=asked.get("payment_method_types", ["card"]),
        status="requires_payment_method",
    )
    intent["client_secret"] = f"{intent['id']}_secret_fake"
    world.tell("payment_intent.created", intent)
    return confirm_payment(world, asked, intent["id"]) if truth(asked.get("confirm")) else intent


def confirm_payment(world: World, asked: Json, id: str) -> Json:
    intent = _unpaid(world, id)
    method = _resolved(world, asked.get("payment_method") or intent["payment_method"] or "")
    intent["payment_method"] = method["id"]
    does = world.behaviours[method["id"]]
    if does == CONFIRM and not truth(asked.get("off_session")):
        intent.update(status="requires_action", next_action={"type": "use_stripe_sdk"})
        world.tell("payment_intent.requires_action", intent)
        return intent
    if does not in (WORKS, DISPUTE):
        raise _declined(world, intent, "authentication_required" if does == CONFIRM else does)
    return _charged(world, intent, method, disputed=does == DISPUTE)


def authenticate(world: World, asked: Json, id: str) -> Json:
    """The cardholder confirms (`outcome=succeeded`), or does not."""
    intent = world.get(id, "payment_intent")
    if intent["status"] != "requires_action":
        raise wrong(f"This PaymentIntent is {intent['status']}; nobody has to confirm it.")
    if asked.get("outcome", "succeeded") != "succeeded":
        problem = {"code": "payment_intent_authentication_failure", "type": "card_error"}
        intent.update(
            status="requires_payment_method", last_payment_error=problem, next_action=None
        )
        world.tell("payment_intent.payment_failed", intent)
        return intent
    method = world.get(intent["payment_method"], "payment_method")
    return _charged(world, intent, method, disputed=False)


def cancel_payment(world: World, asked: Json, id: str) -> Json:
    intent = world.get(id, "payment_intent")
    if intent["status"] not in _CANCELLABLE:
        raise _unexpected(intent, "canceled")
    intent.update(
        status="canceled",
        canceled_at=world.now_s(),
        cancellation_reason=asked.get("cancellation_reason"),
        next_action=None,
    )
    world.tell("payment_intent.canceled", intent)
    return intent


def _charged(world: World, intent: Json, method: Json, *, disputed: bool) -> Json:
    charge = world.make(
        "ch",
        "charge",
        amount=intent["amount"],
        amount_captured=intent["amount"],
        amount_refunded=0,
        balance_transaction=None,
        captured=True,
        currency=intent["currency"],
        customer=intent["customer"],
        disputed=False,
        failure_code=None,
        metadata=intent["metadata"],
        paid=True,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={"type": method["type"], "card": method["card"]},
        refunded=False,
        status="succeeded",
    )
    fee = _FEE_FIXED + intent["amount"] * _FEE_PER_MILLE // 1000
    moved = world.move_balance(intent["amount"], "charge", charge["id"], fee)
    charge["balance_transaction"] = moved["id"]
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        last_payment_error=None,
        latest_charge=charge["id"],
        next_action=None,
    )
    world.tell("charge.succeeded", charge)
    world.tell("payment_intent.succeeded", intent)
    if disputed:
        open_dispute(world, charge, charge["amount"])
    return intent


def _declined(world: World, intent: Json, why: str) -> Failed:
    code = why if why in ("expired_card", "authentication_required") else "card_declined"
    says = _SAYS.get(why, "Your card was declined.")
    problem = {"type": "card_error", "code": code, "decline_code": why, "message": says}
    intent.update(status="requires_payment_method", last_payment_error=problem)
    world.tell("payment_intent.payment_failed", intent)
    more: dict[str, Any] = {"code": code, "decline_code": why, "payment_intent": dict(intent)}
    return Failed(402, "card_error", says, executed=True, **more)


def _unpaid(world: World, id: str) -> Json:
    intent = world.get(id, "payment_intent")
    if intent["status"] not in _CANCELLABLE:
        raise _unexpected(intent, "confirmed")
    return intent


def _unexpected(intent: Json, wanted: str) -> Failed:
    return wrong(
        f"This PaymentIntent has a status of {intent['status']} and cannot be {wanted}.",
        code="payment_intent_unexpected_state",
        payment_intent=dict(intent),
    )


def _amount(asked: Json) -> int:
    text = asked.get("amount", "")
    if not text.isdigit():
        raise wrong(f"Invalid integer: {text}", param="amount", code="parameter_invalid_integer")
    if not _AMOUNT_MIN <= int(text) <= _AMOUNT_MAX:
        raise wrong("Amount must be at least $0.50 usd.", param="amount", code="amount_too_small")
    return int(text)


def _resolved(world: World, id: str) -> Json:
    """A payment method; a test token becomes a new one every time, as at Stripe."""
    return _method(world, id) if id in TOKENS else world.get(id, "payment_method")


def _method(world: World, token: str) -> Json:
    last4, does = TOKENS[token]
    made = world.make(
        "pm",
        "payment_method",
        type="card",
        card={"brand": "visa", "last4": last4, "exp_month": 12, "exp_year": 2034},
        customer=None,
        metadata={"token": token},
    )
    world.behaviours[made["id"]] = does
    return made


def _refuse_declined(world: World, method: Json) -> None:
    if method["metadata"]["token"] in REFUSED_AT_ONCE:
        does = world.behaviours[method["id"]]
        says = _SAYS.get(does, "Your card was declined.")
        raise Failed(
            402, "card_error", says, executed=True, code="card_declined", decline_code=does
        )
