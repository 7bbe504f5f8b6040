"""Refunds and disputes, in Stripe's shapes."""

from portico.billing.fake_stripe.world import Json, World, wrong

_DISPUTE_FEE = 1_500


def make_refund(world: World, asked: Json, _: str) -> Json:
    intent = world.get(asked.get("payment_intent", ""), "payment_intent")
    if not intent["latest_charge"]:
        raise wrong(f"This PaymentIntent ({intent['id']}) does not have a successful charge.")
    charge = world.get(intent["latest_charge"], "charge")
    if charge["disputed"]:
        raise wrong(f"Charge {charge['id']} has been charged back.", code="charge_disputed")
    left = charge["amount"] - charge["amount_refunded"]
    amount = int(asked.get("amount") or left)
    if left == 0:
        raise wrong(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    if not 0 < amount <= left:
        raise wrong(f"Refund amount (${amount / 100:.2f}) is greater than unrefunded amount.")
    refund = world.make(
        "re",
        "refund",
        amount=amount,
        balance_transaction=None,
        charge=charge["id"],
        currency=charge["currency"],
        metadata=asked.get("metadata", {}),
        payment_intent=intent["id"],
        reason=asked.get("reason"),
        status="succeeded",
        failure_balance_transaction=None,
        failure_reason=None,
    )
    refund["balance_transaction"] = world.move_balance(-amount, "refund", refund["id"])["id"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.tell("refund.created", refund)
    world.tell("charge.refunded", charge)
    return refund


def fail_refund(world: World, asked: Json, id: str) -> Json:
    """The payer's bank sends it back, days later."""
    refund = world.get(id, "refund")
    if refund["status"] != "succeeded":
        raise wrong(f"The refund is {refund['status']}.")
    refund.update(status="failed", failure_reason=asked.get("reason", "expired_or_canceled_card"))
    world.get(refund["charge"], "charge")["amount_refunded"] -= refund["amount"]
    moved = world.move_balance(refund["amount"], "refund_failure", refund["id"])
    refund["failure_balance_transaction"] = moved["id"]
    world.tell("refund.failed", refund)
    return refund


def dispute_charge(world: World, asked: Json, id: str) -> Json:
    """The payer goes to the bank.  amount: of it, all if left out."""
    charge = world.get(id, "charge")
    return open_dispute(world, charge, int(asked.get("amount") or charge["amount"]))


def open_dispute(world: World, charge: Json, amount: int) -> Json:
    dispute = world.make(
        "dp",
        "dispute",
        amount=amount,
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        evidence={},
        is_charge_refundable=False,
        metadata={},
        payment_intent=charge["payment_intent"],
        reason="fraudulent",
        status="needs_response",
    )
    charge["disputed"] = True
    _move(world, dispute, -amount, "dispute", _DISPUTE_FEE)
    world.tell("charge.dispute.created", dispute)
    world.tell("charge.dispute.funds_withdrawn", dispute)
    return dispute


def answer_dispute(world: World, asked: Json, id: str) -> Json:
    """With `winning_evidence` or `losing_evidence` as its text it is decided at once, as in
    Stripe's test mode."""
    dispute = _undecided(world, id)
    evidence = asked.get("evidence", {})
    dispute["evidence"] = evidence
    text = evidence.get("uncategorized_text")
    if text == "winning_evidence":
        dispute["status"] = "won"
        _move(world, dispute, dispute["amount"], "dispute_reversal", 0)
        world.tell("charge.dispute.funds_reinstated", dispute)
        world.tell("charge.dispute.closed", dispute)
    elif text == "losing_evidence":
        return close_dispute(world, {}, id)
    else:
        dispute["status"] = "under_review"
        world.tell("charge.dispute.updated", dispute)
    return dispute


def close_dispute(world: World, _: Json, id: str) -> Json:
    """Given up."""
    dispute = _undecided(world, id)
    dispute["status"] = "lost"
    world.tell("charge.dispute.closed", dispute)
    return dispute


def _undecided(world: World, id: str) -> Json:
    dispute = world.get(id, "dispute")
    if dispute["status"] in ("won", "lost"):
        raise wrong("This dispute is already closed.")
    return dispute


def _move(world: World, dispute: Json, amount: int, category: str, fee: int) -> None:
    moved = world.move_balance(amount, category, dispute["id"], fee, "adjustment")
    dispute["balance_transactions"].append(dict(moved))
