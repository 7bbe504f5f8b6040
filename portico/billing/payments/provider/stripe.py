"""Stripe through its own SDK.  Blocking: for threads and the command line.

The SDK (extra `stripe`) is loaded when the first adapter is made: whoever takes no payments does
not need it.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from portico.billing.payments.model import (
    BalanceLine,
    DisputeSeen,
    Intent,
    Order,
    ProviderRefused,
    ProviderUnavailable,
    Refund,
    RefundSeen,
)
from portico.billing.payments.provider.wire import (
    ORDER,
    REFUND,
    balance_line_of,
    dispute_of,
    intent_of,
    named,
    refund_of,
)

if TYPE_CHECKING:
    from stripe import StripeClient

_CHARGED: list[str] = ["latest_charge"]
_TIMEOUT_S = 20.0
_MISUSE = (400, 404)
"""What asking again will not mend.  A key that is not accepted is not among them: it says nothing
about what an earlier call did."""


class SdkMissing(Exception):
    """Payments are asked for, and the SDK is not installed."""


@dataclass(frozen=True, slots=True)
class StripeAccount:
    """secret_key: sk_... or rk_....  api_base: "" for Stripe itself.  retries: of the SDK, for
    calls that did not get through; always under the same idempotency key.

    Raises: ValueError, for a key of the other mode.
    """

    secret_key: str
    mode: Literal["test", "live"]
    api_base: str = ""
    retries: int = 2

    def __post_init__(self) -> None:
        if not self.secret_key.startswith((f"sk_{self.mode}_", f"rk_{self.mode}_")):
            raise ValueError(
                f"The secret key is not one of {self.mode} mode: those start with "
                f"sk_{self.mode}_ or rk_{self.mode}_."
            )
        if self.mode == "live" and self.api_base:
            raise ValueError("A live key is sent to Stripe and nowhere else: leave api_base empty.")


class Stripe:
    """Every method may raise: ProviderUnavailable, when nobody knows what was done; and
    ProviderRefused, when the request itself is wrong."""

    def __init__(self, account: StripeAccount) -> None:
        """Raises: SdkMissing."""
        try:
            import stripe  # noqa: PLC0415 - an extra, and slow to load
        except ImportError:
            raise SdkMissing("Payments need the Stripe SDK: install `portico[stripe]`.") from None
        # It tells of every call as if that were news.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self.live = account.mode == "live"
        self._sdk = stripe
        self._client: StripeClient = stripe.StripeClient(
            account.secret_key,
            base_addresses={"api": account.api_base} if account.api_base else None,
            max_network_retries=account.retries,
            http_client=stripe.RequestsClient(timeout=_TIMEOUT_S),
        )

    def customer(self, organisation_id: str, name: str) -> str:
        """The id of a customer for an organisation: the same one when asked again within a day."""
        made = self._ask(
            lambda: self._client.v1.customers.create(
                {"name": name, "metadata": {"portico_organisation": organisation_id}},
                {"idempotency_key": f"customer:{organisation_id}"},
            )
        )
        return str(made["id"])

    def keep_card(self, customer_id: str, payment_method_id: str) -> str:
        """Keep a payment method for charges that its owner is not present at; the id it has now."""
        keep: Callable[..., Any] = self._client.v1.setup_intents.create
        asked = {
            "customer": customer_id,
            "payment_method": payment_method_id,
            "payment_method_types": ["card"],
            "usage": "off_session",
            "confirm": True,
        }
        setup = self._ask(lambda: keep(asked))
        if setup["status"] != "succeeded":
            raise ProviderRefused(
                f"Stripe says {setup['status']}: the card's owner has to confirm it; use another card."
            )
        return named(setup["payment_method"])

    def pay(self, order: Order) -> Intent:
        """Charge what the order says: once, however often it is asked.  A declined card is an
        answer, not an error."""
        asked: dict[str, Any] = {
            "amount": order.amount_minor,
            "currency": order.currency,
            "customer": order.customer_id,
            "payment_method": order.payment_method_id,
            "payment_method_types": [order.method],
            "confirm": True,
            "metadata": {ORDER: order.id},
            "expand": _CHARGED,
        }
        if order.origin == "recharge":
            asked["off_session"] = True
        pay: Callable[..., Any] = self._client.v1.payment_intents.create
        return intent_of(self._ask(lambda: pay(asked, {"idempotency_key": order.id})))

    def intent(self, intent_id: str) -> Intent:
        return intent_of(
            self._ask(
                lambda: self._client.v1.payment_intents.retrieve(
                    intent_id, {"expand": ["latest_charge"]}
                )
            )
        )

    def intent_for(self, order: Order) -> Intent | None:
        """The payment that remembers this order, looked for among its customer's."""
        listed = self._pages(
            lambda: self._client.v1.payment_intents.list(
                {
                    "customer": order.customer_id,
                    "created": {"gte": order.created_at_ms // 1000 - 60},
                    "limit": 100,
                }
            )
        )
        found = next((each for each in listed if intent_of(each).order_id == order.id), None)
        return None if found is None else self.intent(found["id"])

    def cancel(self, intent_id: str) -> Intent:
        """So that it can never be paid.  One that cannot be cancelled is given as it is."""
        with suppress(ProviderRefused):  # paid in between, or cancelled before: the next line tells
            self._ask(lambda: self._client.v1.payment_intents.cancel(intent_id))
        return self.intent(intent_id)

    def refund(self, refund: Refund, intent_id: str) -> RefundSeen:
        return refund_of(
            self._ask(
                lambda: self._client.v1.refunds.create(
                    {
                        "payment_intent": intent_id,
                        "amount": refund.amount_minor,
                        "metadata": {REFUND: refund.id},
                    },
                    {"idempotency_key": refund.id},
                )
            )
        )

    def refund_seen(self, provider_id: str) -> RefundSeen:
        return refund_of(self._ask(lambda: self._client.v1.refunds.retrieve(provider_id)))

    def refund_for(self, refund: Refund, intent_id: str) -> RefundSeen | None:
        """The refund that remembers ours, looked for among its payment's."""
        listed = self._pages(
            lambda: self._client.v1.refunds.list({"payment_intent": intent_id, "limit": 100})
        )
        seen = (refund_of(each) for each in listed)
        return next((each for each in seen if each.our_id == refund.id), None)

    def dispute(self, dispute_id: str) -> DisputeSeen:
        return dispute_of(self._ask(lambda: self._client.v1.disputes.retrieve(dispute_id)))

    def disputes(self, since_s: int) -> list[DisputeSeen]:
        """Those opened since."""
        listed = self._pages(
            lambda: self._client.v1.disputes.list({"created": {"gte": since_s}, "limit": 100})
        )
        return [dispute_of(each) for each in listed]

    def balance_lines(self, since_s: int) -> list[BalanceLine]:
        listed = self._pages(
            lambda: self._client.v1.balance_transactions.list(
                {"created": {"gte": since_s}, "limit": 100, "expand": ["data.source"]}
            )
        )
        lines = (balance_line_of(each) for each in listed)
        return [line for line in lines if line is not None]

    def _pages(self, first: Callable[[], Any]) -> Iterator[dict[str, Any]]:
        page = self._answered(first)
        pages = page.auto_paging_iter()
        while (each := self._answered(lambda: next(pages, None))) is not None:
            yield each.to_dict()

    def _ask(self, call: Callable[[], Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._answered(call).to_dict()
        return found

    def _answered(self, call: Callable[[], Any]) -> Any:
        sdk = self._sdk
        try:
            return call()
        except sdk.CardError as error:
            about = (error.json_body or {}).get("error", {}).get("payment_intent")
            if about is None:
                raise ProviderRefused(str(error.user_message or error)) from error
            return _Declined(about)
        except sdk.RateLimitError as error:
            raise ProviderUnavailable("Stripe asks to be asked less often.") from error
        except sdk.StripeError as error:
            if error.http_status in _MISUSE:
                raise ProviderRefused(str(error.user_message or error)) from error
            raise ProviderUnavailable(f"Stripe did not answer: {error}") from error


class _Declined:
    """The payment that an error of a card carries."""

    def __init__(self, intent: dict[str, Any]) -> None:
        self._intent = intent

    def to_dict(self) -> dict[str, Any]:
        return self._intent
