"""Months that are over become invoices by themselves, for organisations that pay later.

An invoice and the word of it are one transaction, and the database gives a receipt and a period to
one invoice only: servers may do this beside each other, and die over it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from portico.admission.rules import window_ms
from portico.billing.alerts import outbox
from portico.billing.alerts.model import Alert, Target
from portico.billing.alerts.rules import customer_and
from portico.billing.invoices.customers import customer_of
from portico.billing.invoices.model import NotInvoiced, Seller, Stored
from portico.billing.invoices.rules import Draft, alert, month_of, paid_later
from portico.billing.invoices.service import Overtaken, finalise, next_draft, open_since_ms
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.pricing.model import Terms
from portico.pricing.service import organisations, read_book

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Monthly:
    """operator: told of what cannot be invoiced, and where a customer has no mail address."""

    database: Database
    seller: Seller
    operator: tuple[Target, ...]

    def go_round(self, now_ms: int) -> list[Stored]:
        """Invoice every month that is over, oldest first; what was made.  Blocking.

        What cannot be invoiced is told to the operator, once a month, and stops nobody else's.
        Raises: sqlalchemy.exc.DBAPIError.
        """
        made: list[Stored] = []
        for owner in self.database.read(lambda c: _waiting(c, now_ms)):
            try:
                self._catch_up(owner, made, now_ms)
            except NotInvoiced as error:
                self._not_made(owner, str(error), now_ms)
        return made

    def _catch_up(self, owner: str, made: list[Stored], now_ms: int) -> None:
        """Raises: NotInvoiced."""
        while True:
            found = self.database.read(
                lambda c: next_draft(Transaction(c), owner, self.seller, now_ms)
            )
            if found is None:
                return
            try:
                made.append(self._make(found, now_ms))
            except Overtaken:
                continue  # by another server, which has written it

    def _make(self, found: Draft, now_ms: int) -> Stored:
        """Raises: Overtaken."""

        def write(connection: Connection) -> Stored:
            transaction = Transaction(connection)
            stored = finalise(transaction, found, self.seller, now_ms)
            mail = customer_of(transaction, stored.organisation_id).mail
            outbox.tell(transaction, alert(stored), customer_and(self.operator, mail), now_ms)
            return stored

        return self.database.write(write)

    def _not_made(self, owner: str, why: str, now_ms: int) -> None:
        log.warning("%s is not invoiced: %s", owner, why)
        wanted = Alert(
            kind="invoice.not_made",
            subject=f"not_invoiced:{owner}:{month_of(now_ms)}",
            organisation_id="",
            says=f"{owner} is not invoiced: {why}",
            data={"organisation_id": owner},
        )
        self.database.write(lambda c: outbox.tell(Transaction(c), wanted, self.operator, now_ms))


def _waiting(connection: Connection, now_ms: int) -> list[str]:
    """Organisations that pay later and have receipts of a month that is over on no invoice."""
    transaction, book = Transaction(connection), read_book(connection)
    return [
        owner
        for owner in organisations(connection)
        if _waits(transaction, owner, book.terms(owner), window_ms("month", now_ms)[0])
    ]


def _waits(transaction: Transaction, owner: str, terms: Sequence[Terms], until_ms: int) -> bool:
    if not paid_later(terms, 0, until_ms):
        return False
    since_ms = open_since_ms(transaction, owner)
    return since_ms is not None and since_ms < until_ms and paid_later(terms, since_ms, until_ms)
