"""What becomes of a hold when its request ends."""

import logging

import msgspec

from portico.canon.usage import Meters
from portico.ledger.model import Bill, Settlement
from portico.pricing.model import Quote
from portico.pricing.owed import PAID
from portico.pricing.rules import CannotRate, rate

log = logging.getLogger(__name__)


def settlement_of(
    request_id: str,
    outcome: str,
    quote: Quote,
    meters: Meters | None,
    project_id: str,
    key_id: str,
) -> Settlement:
    """meters: None when nothing was generated.

    Usage that has no amount (a meter without a price, a count below zero, one beyond every limit)
    is charged as nothing and told to the operator: it is the engine's word against reason.
    """
    if meters is None or outcome not in PAID:
        return Settlement(request_id, "void", None)
    try:
        charge = rate(quote, meters)
    except CannotRate as error:
        log.error("%s is not charged: %s", request_id, error)
        return Settlement(request_id, "void", None)
    bill = Bill(
        project_id,
        key_id,
        quote.model,
        quote.tier,
        outcome,
        msgspec.json.encode(charge.lines).decode(),
        quote.terms_id,
        charge.list_nano,
        charge.net_nano,
    )
    return Settlement(request_id, "settled", bill)
