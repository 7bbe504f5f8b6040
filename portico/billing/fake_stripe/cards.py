"""What each of Stripe's test cards does when it is charged.

https://docs.stripe.com/testing: the tokens and numbers are Stripe's own.
"""

WORKS, CONFIRM, DISPUTE = "works", "confirm", "dispute"

# token: (last four digits, what it does: WORKS, CONFIRM, DISPUTE, or how it is declined)
TOKENS = {
    "pm_card_visa": ("4242", WORKS),
    "pm_card_mastercard": ("4444", WORKS),
    "pm_card_authenticationRequired": ("3184", CONFIRM),
    "pm_card_createDispute": ("0259", DISPUTE),
    "pm_card_chargeCustomerFail": ("0341", "generic_decline"),
    "pm_card_chargeDeclined": ("0002", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("9995", "insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": ("0069", "expired_card"),
}
NUMBERS = {
    "4242424242424242": "pm_card_visa",
    "5555555555554444": "pm_card_mastercard",
    "4000002760003184": "pm_card_authenticationRequired",
    "4000000000000259": "pm_card_createDispute",
    "4000000000000341": "pm_card_chargeCustomerFail",
    "4000000000000002": "pm_card_chargeDeclined",
    "4000000000009995": "pm_card_chargeDeclinedInsufficientFunds",
    "4000000000000069": "pm_card_chargeDeclinedExpiredCard",
}
REFUSED_AT_ONCE = frozenset(
    {
        "pm_card_chargeDeclined",
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclinedExpiredCard",
    }
)
"""Declined when they are to be kept, too; the others only when they are charged."""
