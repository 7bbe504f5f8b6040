"""What invoices need before the first: whom they are made out to, tax rates, who invoices."""

import re
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from portico.accounts.actors.login import login
from portico.billing.dunning.model import Policy
from portico.billing.invoices import customers
from portico.billing.invoices.model import Customer, NotInvoiced, Party, Seller, TaxRate
from portico.billing.invoices.tax import VatIdWrong
from portico.cli.noting import Line, noted
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, moment, moment_ms
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock
from portico.settings import Settings

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
_PERCENT = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?%?", re.ASCII)
_ALWAYS_MS = 0


def customer(
    organisation: str,
    /,
    *,
    name: Annotated[str, Parameter(help="Full name, as on the invoice.")],
    address: Annotated[
        tuple[str, ...], Parameter(help="A line of the address; may be repeated.")
    ] = (),
    country: Annotated[str, Parameter(help="Two letters, such as DE.")] = "",
    vat_id: Annotated[str, Parameter(help="VAT id; in the EU its form is checked.")] = "",
    tax_kind: Annotated[
        str, Parameter(help="Which of the country's tax rates counts.")
    ] = customers.STANDARD,
    mail: Annotated[str, Parameter(help="Where notices about unpaid invoices go.")] = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Say to whom ORGANISATION's invoices are made out, from the next one on.

    Example: `portico invoice customer org_... --name "Kundin AG" --address "Ring 5" --country DE`
    """
    party = Party(name=name, address=address, country=country.upper(), vat_id=vat_id)
    wish = Customer(organisation, party, tax_kind, mail)
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    try:
        made = noted(
            database,
            lambda c: customers.set_customer(Transaction(c), wish, now_ms),
            lambda made: Line(
                organisation,
                "invoice.customer",
                organisation,  # names and addresses stand in the customer, not in a log for ever
                {"country": made.party.country, "tax_kind": made.tax_kind},
            ),
        )
    except (NotInvoiced, VatIdWrong) as error:
        stop(Exit.USAGE, str(error), fix="Nothing was stored.")
    if json:
        say_json(made)
        return
    shown = [made.party.name, *made.party.address, made.party.country, made.party.vat_id]
    console.print(f"{organisation}: {', '.join(each for each in shown if each)}.", markup=False)


def tax_rate(
    country: Annotated[
        str | None, Parameter(help="Two letters; all are listed if left out.")
    ] = None,
    percent: Annotated[str | None, Parameter(help="Such as 19 or 8.1.")] = None,
    /,
    *,
    kind: Annotated[str, Parameter(help="Name of the rate.")] = customers.STANDARD,
    from_: Annotated[
        str | None, Parameter(name="--from", help="From this day on (UTC); always if left out.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Add the tax rate of COUNTRY, or list all.  A rate is never changed: a new one starts on its day.

    Example: `portico invoice tax-rate DE 19`
    """
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    if country is not None:
        try:
            since_ms = _ALWAYS_MS if from_ is None else moment_ms(from_)
            rate = TaxRate(country.upper(), kind, _basis_points(percent), since_ms)
            now_ms = SystemClock().wall_ms()
            added = noted(
                database,
                lambda c: customers.add_tax_rate(Transaction(c), rate, login(), now_ms),
                lambda added: (
                    Line("", "invoice.tax_rate", rate.country, asdict(rate)) if added else None
                ),
            )
        except (Unreadable, NotInvoiced) as error:
            stop(Exit.USAGE, str(error), fix="Nothing was stored.")
        if not added:
            stop(Exit.FAILED, f"{country.upper()} has a {kind} rate from that moment on already.")
    found = database.read(lambda c: customers.tax_rates(Transaction(c)))
    if json:
        say_json({"tax_rates": found})
        return
    say_table(
        ("country", "kind", "from (UTC)", "percent"),
        [
            (r.country, r.kind, "always" if not r.valid_from_ms else moment(r.valid_from_ms),
             f"{r.basis_points / 100:.2f}")
            for r in found
        ],
        numbers=1,
    )  # fmt: skip


def seller_of(settings: Settings) -> Seller:
    """Who invoices, as the settings say."""
    # Here, because it brings the server's rooms along, and not every command needs them.
    from portico.app import CannotStart, collecting  # noqa: PLC0415 - see above

    try:
        return collecting.seller_of(settings)
    except CannotStart as error:
        stop(Exit.USAGE, error.says, fix=error.fix)


def policy_of(settings: Settings) -> Policy:
    """Days of dunning, as the settings say."""
    from portico.app import CannotStart, collecting  # noqa: PLC0415 - see above

    try:
        return collecting.policy_of(settings)
    except CannotStart as error:
        stop(Exit.USAGE, error.says)


def _basis_points(text: str | None) -> int:
    """ "8.1" is 810.  Raises: Unreadable."""
    found = _PERCENT.fullmatch(text or "")
    if found is None:
        raise Unreadable(f"{text!r} is no tax rate; write percent, such as 19 or 8.1.")
    return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))
