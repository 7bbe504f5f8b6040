"""Notices on their way: the outbox takes them, brings them, and tries again.

A notice counts as sent in the very commit that puts it into the outbox: whoever dies in between
leaves it to the next round, and nobody is told twice.
"""

from functools import partial

from sqlalchemy import Connection

from portico.billing.alerts import outbox
from portico.billing.alerts.model import Target
from portico.billing.alerts.rules import customer_and
from portico.billing.dunning import rules, service
from portico.billing.dunning.model import RESTORED, Notice, Policy
from portico.billing.invoices import service as invoices
from portico.db.database import Database
from portico.db.transaction import Transaction


def go_round(
    database: Database, policy: Policy, operator: tuple[Target, ...], now_ms: int
) -> list[Notice]:
    """Take the steps whose time has come, and see that whoever they concern hears of it; the
    notices that the outbox took.  Raises: sqlalchemy.exc.DBAPIError."""
    service.run(database, policy, now_ms)
    return hand_over(database, operator, now_ms)


def hand_over(database: Database, operator: tuple[Target, ...], now_ms: int) -> list[Notice]:
    """Give the outbox what it has not got; the notices that it took."""
    waiting = database.read(lambda c: service.unsent(Transaction(c), now_ms))
    return [
        notice
        for notice in waiting
        if database.write(partial(_hand_over, notice=notice, operator=operator, now_ms=now_ms))
    ]


def _hand_over(
    connection: Connection, notice: Notice, operator: tuple[Target, ...], now_ms: int
) -> bool:
    """False where another server was faster."""
    transaction = Transaction(connection)
    if not service.mark_sent(transaction, notice.id, now_ms):
        return False
    invoice = invoices.find(transaction, notice.invoice_id)
    unpaid_cents = invoices.outstanding(transaction, [invoice])[invoice.id].total_cents
    # Paid while the notice lay here: it is kept as an alert to nobody.
    moot = notice.kind != RESTORED and unpaid_cents <= 0
    alert = rules.alert(notice, invoice, unpaid_cents)
    if moot:
        outbox.keep(transaction, alert, now_ms)
    else:
        outbox.tell(transaction, alert, customer_and(operator, notice.recipient), now_ms)
    return True
