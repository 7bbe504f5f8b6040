"""`portico credit`: money that organisations may spend."""

from typing import Annotated

from cyclopts import App, Parameter
from sqlalchemy import Connection

from portico.accounts.actors.login import login
from portico.admission.rules import dollars
from portico.billing import credits
from portico.cli.noting import Line, noted
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, moment, moment_ms, scaled, sentence
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock
from portico.kit.ids import new_id
from portico.ledger import service as ledger
from portico.ledger.model import Account
from portico.pricing.service import organisations

app = App(name="credit", help="Grant credit, set credit limits, see what is left.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
_SPENT_FROM = ("promo", "prepaid", "receivable")


@app.command
def grant(
    organisation: str,
    /,
    *,
    usd: Annotated[str, Parameter(help="How much, in dollars.")],
    promo: Annotated[
        bool, Parameter(negative="", help="A gift: used up before paid credit, and may expire.")
    ] = False,
    commit: Annotated[
        bool, Parameter(negative="", help="Paid for ahead: used or lost by the day it expires.")
    ] = False,
    expires: Annotated[
        str | None,
        Parameter(help="Last moment of a gift or commitment (UTC), such as 2027-01-01."),
    ] = None,
    id: Annotated[
        str | None, Parameter(help="Your own id of it: a second grant under it does nothing.")
    ] = None,
    reason: Annotated[str, Parameter(help="Why; kept in the ledger.")] = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Give ORGANISATION credit; a running server counts it at once.

    Example: `portico credit grant org_... --usd 25 --reason "invoice 17"`
    """
    try:
        nano = scaled(usd)
        expires_at_ms = None if expires is None else moment_ms(expires)
        why = f"{login()}: {sentence(reason)}" if reason else login()
    except Unreadable as error:
        stop(Exit.USAGE, str(error))
    credit = credits.Credit(
        id or new_id("grant"),
        organisation,
        nano,
        _kind(promo, commit),
        expires_at_ms,
        why,
    )
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    try:
        granted = noted(
            database,
            lambda c: credits.grant(Transaction(c), credit, now_ms),
            lambda granted: _granted(credit) if granted else None,
        )
    except (credits.NotGranted, ValueError) as error:
        stop(Exit.USAGE, str(error), fix="Nothing was granted.")
    if json:
        say_json({"id": credit.id, "granted": granted, "nano_usd": str(nano), "kind": credit.kind})
    elif granted:
        console.print(f"{organisation}: {dollars(nano)} granted ({credit.id}).", markup=False)
    else:
        console.print(f"{credit.id} was granted before; nothing changed.", markup=False)


@app.command
def limit(
    organisation: str,
    /,
    *,
    usd: Annotated[str, Parameter(help="How much it may owe, in dollars.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Let ORGANISATION owe up to a limit (postpaid)."""
    try:
        nano = scaled(usd)
    except Unreadable as error:
        stop(Exit.USAGE, str(error))
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    try:
        reached = noted(
            database,
            lambda c: credits.set_credit_limit(Transaction(c), organisation, nano, now_ms),
            lambda limit: Line(organisation, "credit.limit", organisation, {"limit_nano": limit}),
        )
    except (credits.NotGranted, ValueError) as error:
        stop(Exit.USAGE, str(error))
    if json:
        say_json({"organisation_id": organisation, "limit_nano_usd": str(reached)})
        return
    console.print(f"{organisation} may owe up to {dollars(reached)}.", markup=False)
    if reached != nano:
        console.print("  -> lower is not possible now: that much is owed or set aside.")


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """What every organisation can spend, and what of it is set aside."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    names = database.read(organisations)
    found = database.read(lambda connection: _spendable(connection, list(names)))
    if json:
        say_json({"accounts": [_shown(account) for account in found]})
        return
    say_table(
        ("organisation", "kind", "expires (UTC)", "balance", "set aside", "free"),
        [
            (
                each.organisation_id,
                each.kind,
                "-" if each.expires_at_ms is None else moment(each.expires_at_ms),
                dollars(each.posted_nano),
                dollars(each.held_nano),
                dollars(each.spendable_nano or 0),
            )
            for each in found
        ],
        numbers=3,
    )


@app.command
def expire(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Turn what is left of expired credit into breakage.  A server does so by itself."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    expired = database.write(lambda c: credits.expire(Transaction(c), now_ms))
    if json:
        say_json({"expired": [{"account": a, "nano_usd": str(nano)} for a, nano in expired]})
        return
    for account, nano in expired:
        console.print(f"{account}: {dollars(nano)} expired.", markup=False)
    if not expired:
        console.print("Nothing has expired.")


def _granted(credit: credits.Credit) -> Line:
    about = {"nano": credit.nano, "kind": credit.kind, "reason": credit.reason}
    return Line(credit.organisation_id, "credit.grant", credit.id, about)


def _kind(promo: bool, commit: bool) -> credits.CreditKind:
    if promo and commit:
        stop(Exit.USAGE, "--promo and --commit exclude each other.")
    return "promo" if promo else "commit" if commit else "paid"


def _spendable(connection: Connection, owners: list[str]) -> list[Account]:
    transaction = Transaction(connection)
    accounts = [each for owner in owners for each in ledger.accounts_of(transaction, owner)]
    return [account for account in accounts if account.kind in _SPENT_FROM]


def _shown(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "organisation_id": account.organisation_id,
        "kind": account.kind,
        "balance_nano_usd": str(account.posted_nano),
        "held_nano_usd": str(account.held_nano),
        "expires_at_ms": account.expires_at_ms,
    }
