"""Whom invoices are made out to, and the table of tax rates."""

import re

from portico.billing.invoices import store
from portico.billing.invoices.model import Customer, NotInvoiced, Party, TaxRate
from portico.billing.invoices.tax import TaxRule, rule_for, vat_id
from portico.db.transaction import Transaction
from portico.kit.ids import new_id
from portico.kit.visible import unseen

STANDARD = "standard"
_MAIL = re.compile(r"[^\s@,;<>\"]{1,64}@[^\s@,;<>\"]{1,253}")
"""Enough to be sure that it is one address: whether somebody reads it, nobody can see from it."""
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_BASIS_POINTS_MAX = 10_000


def set_customer(transaction: Transaction, customer: Customer, now_ms: int) -> Customer:
    """From the next invoice on.  Gives it as stored.

    Raises: NotInvoiced; VatIdWrong.
    """
    party = customer.party
    _check_organisation(transaction, customer.organisation_id)
    if not party.name.strip():
        raise NotInvoiced("A customer needs a name.")
    for text in (party.name, *party.address, customer.mail):
        found = unseen(text)
        if found:
            raise NotInvoiced(f"{text[:100]!r} has the character {found} in it; leave it out.")
    if customer.mail and not (customer.mail.isascii() and _MAIL.fullmatch(customer.mail)):
        raise NotInvoiced(f"{customer.mail[:100]!r} is no mail address.")
    country = country_code(party.country) if party.country else ""
    checked = Party(
        name=party.name.strip(),
        address=tuple(line.strip() for line in party.address if line.strip()),
        country=country,
        vat_id=vat_id(country, party.vat_id),
    )
    store.put_customer(
        transaction,
        (
            customer.organisation_id,
            checked.name,
            "\n".join(checked.address),
            checked.country,
            checked.vat_id,
            customer.tax_kind,
            customer.mail,
            now_ms,
        ),
    )
    return Customer(customer.organisation_id, checked, customer.tax_kind, customer.mail)


def customer_of(transaction: Transaction, organisation_id: str) -> Customer:
    """Who nobody described has the organisation's name and no country.  Raises: NotInvoiced."""
    found = store.customer(transaction, organisation_id)
    if found is None:
        name = _check_organisation(transaction, organisation_id)
        return Customer(
            organisation_id, Party(name=name, address=(), country="", vat_id=""), STANDARD, ""
        )
    name, address, country, vat, tax_kind, mail = found
    lines = tuple(address.split("\n")) if address else ()
    party = Party(name=name, address=lines, country=country, vat_id=vat)
    return Customer(organisation_id, party, tax_kind, mail)


def add_tax_rate(transaction: Transaction, rate: TaxRate, author: str, now_ms: int) -> bool:
    """False where there is one of that country and kind from the same moment on: rates are never
    changed.  Raises: NotInvoiced."""
    country = country_code(rate.country)
    if not 0 <= rate.basis_points <= _BASIS_POINTS_MAX:
        raise NotInvoiced("A tax rate lies between 0 and 100 percent.")
    row = (
        new_id("rate"),
        country,
        rate.kind,
        rate.basis_points,
        rate.valid_from_ms,
        author,
        now_ms,
    )
    return store.add_rate(transaction, row)


def tax_rates(transaction: Transaction) -> list[TaxRate]:
    """By country and kind, oldest first."""
    return store.rates(transaction)


def tax_rule(transaction: Transaction, seller: Party, customer: Customer) -> TaxRule:
    """Raises: NotInvoiced."""
    country = customer.party.country or seller.country
    rates = [
        rate
        for rate in store.rates(transaction)
        if rate.country == country and rate.kind == customer.tax_kind
    ]
    return rule_for(seller.country, customer.party.country, customer.party.vat_id, rates)


def country_code(text: str) -> str:
    """Raises: NotInvoiced."""
    if not _COUNTRY.fullmatch(text.upper()):
        raise NotInvoiced(f"{text!r} is no country; write two letters, such as DE.")
    return text.upper()


def _check_organisation(transaction: Transaction, organisation_id: str) -> str:
    """Its name.  Raises: NotInvoiced."""
    name = store.organisation_name(transaction, organisation_id)
    if name is None:
        raise NotInvoiced(f"There is no organisation {organisation_id!r}.")
    return name
