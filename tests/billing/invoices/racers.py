"""What processes of a race do.  A module of its own: they import it by its name.

They work on the database without the writers' turns: the locks of the invoices have to be enough.
"""

import itertools
import signal
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from bench.faults.place import Address, Place
from portico.billing.alerts import outbox
from portico.billing.invoices import notes, payments, service
from portico.billing.invoices.model import NotInvoiced
from portico.billing.invoices.rules import month
from portico.billing.monthly import Monthly
from portico.db.database import connect_database
from portico.db.transaction import Transaction
from tests.billing.invoices.shop import DOLLAR, SELLER, ms

OWNERS = [f"org_{number}" for number in range(1, 9)]
NOW_MS = ms("2026-03-01")


def done(place: Place, work: Callable[[Transaction], str]) -> str:
    """The answer, or what kind of refusal it was.  `Place.run` tries again after a deadlock."""
    try:
        return place.run(work)
    except NotInvoiced as error:
        return type(error).__name__


def finalise_all(address: Address, first: int) -> list[str]:
    """Every organisation's February, beginning with another one in each process."""
    place = Place(address)
    made = []
    for number in range(len(OWNERS)):
        owner = OWNERS[(first + number) % len(OWNERS)]

        def work(transaction: Transaction, owner: str = owner) -> str:
            draft = service.draft(transaction, owner, month("2026-02"), SELLER, NOW_MS)
            return service.finalise(transaction, draft, SELLER, NOW_MS).number

        made.append(done(place, work))
    place.close()
    return made


def credit_once(transaction: Transaction, invoice_id: str, nano: int) -> str:
    return notes.credit(transaction, invoice_id, {1: nano}, "", SELLER, NOW_MS).number


def credit_all(address: Address, invoice_id: str, _: int) -> list[str]:
    place = Place(address)
    work = partial(credit_once, invoice_id=invoice_id, nano=DOLLAR // 2)
    made = [done(place, work) for _ in range(3)]
    place.close()
    return made


def pay_once(transaction: Transaction, invoice_id: str, cents: int, reference: str) -> str:
    booked = payments.record_payment(transaction, invoice_id, cents, reference, NOW_MS)
    return reference if booked else "again"


def pay_all(address: Address, invoice_id: str, _: int) -> list[str]:
    place = Place(address)
    made = [
        done(place, partial(pay_once, invoice_id=invoice_id, cents=60, reference=f"bank {number}"))
        for number in range(6)
    ]
    place.close()
    return made


def die_before_commit(address: Address) -> None:
    place = Place(address)
    place.begin()
    transaction = Transaction(place.connection)
    draft = service.draft(transaction, "org_1", month("2026-02"), SELLER, NOW_MS)
    service.finalise(transaction, draft, SELLER, NOW_MS)
    signal.raise_signal(signal.SIGKILL)


def months_all(address: Address, _: int) -> list[str]:
    """A server's round, without the claim that would keep it from the others'."""
    database = connect_database(address.folder, address.url)
    return [each.number for each in Monthly(database, SELLER, ()).go_round(NOW_MS)]


def die_at_third(address: Address) -> None:
    """Killed with the third invoice written and not committed."""
    told = itertools.count(1)

    def dies(*given: Any) -> bool:
        if next(told) == 3:
            signal.raise_signal(signal.SIGKILL)
        return True

    outbox.tell = cast(Any, dies)
    months_all(address, 0)
