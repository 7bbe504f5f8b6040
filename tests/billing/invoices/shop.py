"""Organisations that use and pay, at moments of the test's choosing."""

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import insert

from portico.billing.credits import Credit, grant, set_credit_limit
from portico.billing.invoices import customers, notes, payments, service
from portico.billing.invoices.model import Customer, Party, Period, Seller, Stored, TaxRate
from portico.billing.invoices.rules import month
from portico.db.database import Database
from portico.db.tables import organisation, terms
from portico.db.transaction import Transaction
from portico.ledger import service as ledger
from portico.ledger.model import Bill, Held, Settlement, Wish
from portico.pricing.model import Line
from portico.pricing.rules import line

T = TypeVar("T")
DAY_MS = 86_400_000
DOLLAR = 1_000_000_000
SELLER = Seller(
    entity="main",
    party=Party(
        name="Portico Models GmbH",
        address=("Hauptstraße 1", "10115 Berlin"),
        country="DE",
        vat_id="DE123456789",
    ),
    invoice_prefix="INV-",
    credit_note_prefix="CN-",
    tax_point="use",
    due_days=14,
)
UNTAXED = msgspec.structs.replace(SELLER.party, country="")


def ms(text: str) -> int:
    """ "2026-11-21" or "2026-11-21T08:00" in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def seller(**other: Any) -> Seller:
    fields = {name: getattr(SELLER, name) for name in Seller.__slots__}
    return Seller(**(fields | other))


class Shop:
    """`now_ms` is the clock of everything that is done."""

    def __init__(self, database: Database, *owners: str, now_ms: int = ms("2026-01-01")) -> None:
        self.database = database
        self.now_ms = now_ms
        self.names = itertools.count(1)

        def begin(transaction: Transaction) -> None:
            ledger.prepare(transaction, 1)
            for owner in owners or ("org_1",):
                row = {"id": owner, "name": f"{owner} Ltd", "created_at_ms": 1}
                transaction.connection.execute(insert(organisation).values(**row))

        self.do(begin)

    def do(self, work: Callable[[Transaction], T]) -> T:
        return self.database.write(lambda connection: work(Transaction(connection)))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.do(lambda transaction: transaction.rows(sql))

    def posted(self, account_id: str) -> int:
        found = self.rows(f"SELECT posted_nano FROM account WHERE id = '{account_id}'")
        return int(found[0][0]) if found else 0

    def may_owe(self, nano: int, owner: str = "org_1") -> None:
        self.do(lambda t: set_credit_limit(t, owner, nano, self.now_ms))

    def gets(self, nano: int, kind: Any = "paid", owner: str = "org_1") -> None:
        credit = Credit(f"g{next(self.names)}", owner, nano, kind, None, "")
        self.do(lambda t: grant(t, credit, self.now_ms))

    def hold(self, nano: int, owner: str = "org_1") -> Any:
        request_id = f"req_{next(self.names):06d}"
        wish = Wish(request_id, owner, nano, (), "{}", DAY_MS)
        return self.do(lambda t: ledger.hold(t, [wish], self.now_ms, "inst_1"))[0]

    def uses(
        self,
        units: Mapping[str, int],
        owner: str = "org_1",
        model: str = "m",
        tier: str = "standard",
        price: int = 2_000_000_000,
        share: tuple[int, int] = (1, 1),
        hold_nano: int | None = None,
    ) -> str:
        """Use `units` by meter at `price` per million; the request's id."""
        lines = tuple(
            Line(meter, count, "p", price, line(count, price), line(count, price, *share))
            for meter, count in units.items()
        )
        listed, net = sum(each.list_nano for each in lines), sum(each.net_nano for each in lines)
        held = self.hold(max(1, net) if hold_nano is None else hold_nano, owner)
        assert isinstance(held, Held), held
        text = msgspec.json.encode(lines).decode()
        agreed = self._agreed(owner, share)
        bill = Bill("proj_1", "key_1", model, tier, "completed", text, agreed, listed, net)
        end = Settlement(held.request_id, "settled", bill)
        self.do(lambda t: ledger.settle(t, [end], self.now_ms))
        return held.request_id

    def is_customer(self, country: str = "DE", vat_id: str = "", owner: str = "org_1") -> None:
        party = Party(
            name="Kundin AG", address=("Ring 5", "80331 München"), country=country, vat_id=vat_id
        )
        made = Customer(owner, party, "standard", "pay@example.org")
        self.do(lambda t: customers.set_customer(t, made, self.now_ms))

    def taxes(self, country: str, basis_points: int, since: str = "2020-01-01") -> None:
        rate = TaxRate(country, "standard", basis_points, ms(since))
        self.do(lambda t: customers.add_tax_rate(t, rate, "ada", self.now_ms))

    def _agreed(self, owner: str, share: tuple[int, int]) -> str:
        """The id of terms with that share, for the audit to rate again by."""
        if share == (1, 1):
            return ""
        name = f"terms_{owner}_{share[0]}_{share[1]}"
        row = (name, owner, "postpaid", "", *share, "[]", "", hash(share) % 2**40, "", 1)
        self.do(lambda t: t.insert(terms, [row], "ON CONFLICT DO NOTHING"))
        return name

    def invoice(
        self, period: str | Period, owner: str = "org_1", by: Seller | None = None
    ) -> Stored:
        wanted = month(period) if isinstance(period, str) else period
        return service.make(self.database, owner, wanted, by or seller(), self.now_ms).invoice

    def credits(self, invoice: Stored, wanted: Mapping[int, int | None]) -> Stored:
        return self.do(
            lambda t: notes.credit(t, invoice.id, wanted, "slow answers", SELLER, self.now_ms)
        )

    def pays(self, invoice: Stored, cents: int, reference: str = "bank 1") -> bool:
        return self.do(
            lambda t: payments.record_payment(t, invoice.id, cents, reference, self.now_ms)
        )

    def outstanding(self, invoice: Stored) -> int:
        """Cents."""
        return self.do(lambda t: service.outstanding(t, [invoice]))[invoice.id].total_cents
