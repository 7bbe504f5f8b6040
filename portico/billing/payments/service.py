"""Top-ups: asked for, charged once, credited once, however often anything is tried again.

The order is on disk before Stripe is asked, and its id is the idempotency key there; the credit is
a ledger transaction whose id is made of Stripe's payment.  So every step may be run again by
anybody: the command line, a webhook, the poller, after a kill.
"""

from portico.billing.credits import NotGranted, check_organisation
from portico.billing.payments import postings, recharge_store, store
from portico.billing.payments.desk import DAY_MS, Desk
from portico.billing.payments.model import (
    NANO_PER_MINOR,
    Alarm,
    Intent,
    Order,
    Origin,
    Payer,
    PaymentRefused,
    ProviderRefused,
)
from portico.billing.payments.rules import (
    CREDITED,
    DECLINED,
    GONE,
    SAME_KEY_MS,
    WAITING,
    checked_id,
    checked_minor,
    mismatch,
    stands,
)
from portico.db.transaction import Transaction
from portico.kit.ids import new_id

CURRENCY, METHOD = "usd", "card"
_WAITS = {WAITING: "the cardholder has to confirm it", "": "the payment is under way"}


class Mismatched(Exception):
    """A payment is not what its order asked for.  Nothing was credited."""


class TopUps:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def keep_card(self, organisation_id: str, payment_method_id: str) -> Payer:
        """Keep a card for an organisation's top-ups; the one kept before is used no more.

        Raises: PaymentRefused; ProviderRefused; ProviderUnavailable.
        """
        known = self._desk.do(lambda t: _payer(t, organisation_id))
        customer_id = known.customer_id if known else self._customer(organisation_id)
        method_id = self._desk.stripe.keep_card(customer_id, payment_method_id)
        payer = Payer(organisation_id, customer_id, method_id)
        self._desk.do(lambda t: store.keep_payer(t, payer, self._desk.now_ms()))
        return payer

    def _customer(self, organisation_id: str) -> str:
        name = self._desk.do(
            lambda t: t.rows("SELECT name FROM organisation WHERE id = ?", (organisation_id,))
        )[0][0]
        return self._desk.stripe.customer(organisation_id, name)

    def top_up(self, organisation_id: str, amount_minor: int, order_id: str = "") -> Order:
        """Charge the card that is kept, and credit what was paid.

        order_id: of the caller's own; a second top-up under it does nothing but look again.
        Raises: PaymentRefused, and nothing was asked; ProviderUnavailable, and the order stays
        open for the poller, or for the same call again.
        """
        order = self._desk.do(
            lambda t: self._ordered(t, organisation_id, amount_minor, order_id or new_id("top"))
        )
        return self.push(order) if order.state == "open" else order

    def _ordered(
        self, transaction: Transaction, organisation_id: str, amount_minor: int, order_id: str
    ) -> Order:
        order = self.order_for(transaction, organisation_id, amount_minor, order_id, "manual")
        if store.add_order(transaction, order):
            return order
        known = store.order(transaction, order_id)
        if known is None or (known.organisation_id, known.amount_minor, known.origin) != (
            organisation_id,
            amount_minor,
            "manual",
        ):
            raise PaymentRefused(f"{order_id} is the id of another top-up.")
        return known

    def order_for(
        self,
        transaction: Transaction,
        organisation_id: str,
        amount_minor: int,
        order_id: str,
        origin: Origin,
    ) -> Order:
        """What would be asked, not stored.  Raises: PaymentRefused."""
        checked_minor(amount_minor)
        checked_id(order_id)
        payer = _payer(transaction, organisation_id)
        if payer is None or not payer.payment_method_id:
            raise PaymentRefused(f"{organisation_id} has no card to charge.")
        now_ms = self._desk.now_ms()
        return Order(
            order_id,
            organisation_id,
            origin,
            "open",
            amount_minor,
            amount_minor * NANO_PER_MINOR,
            CURRENCY,
            METHOD,
            payer.customer_id,
            payer.payment_method_id,
            "",
            _WAITS[""],
            now_ms,
            now_ms,
            None,
        )

    def push(self, order: Order) -> Order:
        """Bring an open order forward: charge it, or look how its payment stands.

        Raises: ProviderUnavailable; Mismatched.
        """
        stripe = self._desk.stripe
        if order.intent_id:
            return self.follow(order, stripe.intent(order.intent_id))
        intent: Intent | None
        if self._desk.now_ms() - order.created_at_ms < SAME_KEY_MS:
            try:
                intent = stripe.pay(order)
            except ProviderRefused as refused:
                return self._failed(order, str(refused))
        else:
            # By now Stripe may have forgotten the key, and would charge again.
            intent = stripe.intent_for(order)
        if intent is None:
            return self._failed(order, "Stripe never heard of it")
        return self.follow(order, intent)

    def follow(self, order: Order, intent: Intent) -> Order:
        """What Stripe itself says of its payment becomes true here.  Gives the order as it is now.

        Raises: Mismatched; ProviderUnavailable.
        """
        desk = self._desk
        wrong = mismatch(order, intent, live=desk.stripe.live)
        if wrong:
            raise Mismatched(f"{intent.id} does not pay {order.id}: {wrong}.")
        how, problem = stands(order, intent, desk.now_ms()), intent.problem
        if how == DECLINED and order.state == "open":
            # A payment that could still be confirmed must not be called failed.
            how = stands(order, desk.stripe.cancel(intent.id), desk.now_ms())
        if how == CREDITED:
            desk.do(lambda t: self._credit(t, order, intent.id))
        elif how == GONE:
            return self._failed(order, problem or "the payment was cancelled")
        else:
            says = _WAITS.get(how, problem)
            desk.do(lambda t: store.note_order(t, order.id, intent.id, says, desk.now_ms()))
        return self.get(order.id)

    def get(self, order_id: str) -> Order:
        """Raises: PaymentRefused."""
        found = self._desk.do(lambda t: store.order(t, order_id))
        if found is None:
            raise PaymentRefused(f"There is no top-up {order_id!r}.")
        return found

    def _credit(self, transaction: Transaction, order: Order, intent_id: str) -> None:
        now_ms = self._desk.now_ms()
        expires_at_ms = now_ms + self._desk.credit_days * DAY_MS
        credited = postings.credit(transaction, order, intent_id, expires_at_ms, now_ms)
        if credited and order.origin == "recharge":
            recharge_store.succeeded(transaction, order.organisation_id)

    def _failed(self, order: Order, why: str) -> Order:
        now_ms = self._desk.now_ms()

        def fail(transaction: Transaction) -> bool:
            if not store.fail_order(transaction, order.id, why, now_ms):
                return False
            if order.origin != "recharge":
                return False
            return recharge_store.declined(transaction, order.organisation_id, why, now_ms)

        if self._desk.do(fail):
            says = f"recharge is off after too many declines in a row; the last one: {why}"
            self._desk.tell(Alarm("recharge_off", order.organisation_id, says))
        return self.get(order.id)


def _payer(transaction: Transaction, organisation_id: str) -> Payer | None:
    """Raises: PaymentRefused."""
    try:
        check_organisation(transaction, organisation_id)
    except NotGranted as error:
        raise PaymentRefused(str(error)) from None
    return store.payer(transaction, organisation_id)
