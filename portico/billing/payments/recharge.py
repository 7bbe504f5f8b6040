"""Top-ups by themselves: below a threshold, up to a target, never above a month's cap."""

from portico.admission.rules import window_ms
from portico.billing.payments import recharge_store, store
from portico.billing.payments.desk import Desk
from portico.billing.payments.model import Alarm, Order, PaymentRefused, RechargeRule
from portico.billing.payments.rules import ALARM_COUNT, ALARM_WITHIN_MS, recharge_minor
from portico.billing.payments.service import TopUps
from portico.db.transaction import Transaction
from portico.kit.ids import new_id


class Recharge:
    def __init__(self, desk: Desk, top_ups: TopUps) -> None:
        self._desk = desk
        self._top_ups = top_ups

    def switch_on(
        self,
        organisation_id: str,
        *,
        threshold_nano: int,
        target_nano: int,
        cap_minor: int,
        author: str,
    ) -> RechargeRule:
        """Raises: PaymentRefused."""
        if not 0 <= threshold_nano < target_nano:
            raise PaymentRefused("The target must be above the threshold, and that not below 0.")
        if cap_minor <= 0:
            raise PaymentRefused("A recharge has a monthly cap above 0.")
        now_ms = self._desk.now_ms()
        rule = RechargeRule(
            organisation_id,
            True,
            threshold_nano,
            target_nano,
            cap_minor,
            0,
            0,
            "",
            author,
            now_ms,
        )

        def write(transaction: Transaction) -> None:
            payer = store.payer(transaction, organisation_id)
            if payer is None or not payer.payment_method_id:
                raise PaymentRefused(f"{organisation_id} has no card to charge.")
            recharge_store.set_rule(transaction, rule)

        self._desk.do(write)
        return rule

    def run(self) -> list[Order]:
        """One round over everybody who is due.  Gives what was charged, or tried.

        Raises: ProviderUnavailable, and the poller goes on with that order; the driver's errors.
        """
        due = self._desk.do(lambda t: recharge_store.due(t, self._desk.now_ms()))
        begun = (self._begun(organisation_id) for organisation_id in due)
        return [self._top_ups.push(order) for order in begun if order is not None]

    def _begun(self, organisation_id: str) -> Order | None:
        order, alarm = self._desk.do(lambda t: self._begin(t, organisation_id))
        if alarm is not None:
            self._desk.tell(alarm)
        return order

    def _begin(
        self, transaction: Transaction, organisation_id: str
    ) -> tuple[Order | None, Alarm | None]:
        """In one transaction with the balance it is decided on."""
        now_ms = self._desk.now_ms()
        rule = recharge_store.rule(transaction, organisation_id)
        if rule is None:
            return None, None
        since_ms, until_ms = window_ms("month", now_ms)
        available = recharge_store.available_nano(transaction, organisation_id, now_ms)
        charged = recharge_store.charged_minor(transaction, organisation_id, since_ms, until_ms)
        amount_minor = recharge_minor(rule, available, charged)
        if not amount_minor:
            return None, None
        order = self._top_ups.order_for(
            transaction, organisation_id, amount_minor, new_id("top"), "recharge"
        )
        if not recharge_store.begin(transaction, order, since_ms, until_ms):
            return None, None
        tried = recharge_store.begun_since(transaction, organisation_id, now_ms - ALARM_WITHIN_MS)
        if tried < ALARM_COUNT:
            return order, None
        minutes = ALARM_WITHIN_MS // 60_000
        return order, Alarm("recharge_rate", organisation_id, f"{tried} in {minutes} minutes")
