"""Asking for money while serving: who invoices, when a month becomes an invoice, who is told."""

from collections.abc import Iterator
from functools import partial

from portico.app.failure import CannotStart
from portico.billing.alerts.model import Target
from portico.billing.dunning import notices
from portico.billing.dunning.model import Policy
from portico.billing.invoices.model import NotInvoiced, Party, Seller
from portico.billing.invoices.rules import check_seller
from portico.billing.monthly import Monthly
from portico.billing.rounds import Rounds
from portico.db.database import Database
from portico.kit.clock import Clock
from portico.settings import Settings

_MONTHS_EVERY_S = 3_600.0
"""How soon a month that is over becomes an invoice."""


def seller_of(settings: Settings) -> Seller:
    """Who invoices, as the settings say.  Raises: CannotStart."""
    section = settings.invoices
    party = Party(
        name=section.seller_name,
        address=section.seller_address,
        country=section.seller_country,
        vat_id=section.seller_vat_id,
    )
    try:
        return Seller(
            entity=section.entity,
            party=party,
            invoice_prefix=section.number_prefix,
            credit_note_prefix=section.credit_note_prefix,
            tax_point=section.tax_point,
            due_days=section.due_days,
        )
    except ValueError as error:
        fix = "Set invoices.number_prefix or credit_note_prefix."
        raise CannotStart("settings", str(error), fix) from error


def policy_of(settings: Settings) -> Policy:
    """Days of dunning, as the settings say.  Raises: CannotStart."""
    section = settings.dunning
    try:
        return Policy(section.notice_days, section.read_only_day, section.suspended_day)
    except ValueError as error:
        raise CannotStart("settings", str(error)) from error


def collecting(
    settings: Settings,
    database: Database,
    clock: Clock,
    owner: str,
    operator: tuple[Target, ...],
) -> Iterator[Rounds]:
    """owner: this serving process.  Raises: CannotStart."""
    if settings.invoices.automatic:
        monthly = Monthly(database, _seller_for_all(settings), operator)
        yield Rounds(database, clock, owner, "invoices", _MONTHS_EVERY_S, monthly.go_round)
    every_s = settings.dunning.every_s
    if every_s:
        remind = partial(notices.go_round, database, policy_of(settings), operator)
        yield Rounds(database, clock, owner, "dunning", every_s, remind)


def _seller_for_all(settings: Settings) -> Seller:
    """Raises: CannotStart, also where nobody would be asking for the money."""
    seller = seller_of(settings)
    try:
        check_seller(seller.party)
    except NotInvoiced as error:
        raise CannotStart(
            "settings", str(error), "Set it, or invoices.automatic = false."
        ) from error
    return seller
