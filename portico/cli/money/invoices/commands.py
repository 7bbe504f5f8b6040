"""`portico invoice`: ask for what was used, take back, book what came in."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from sqlalchemy import Connection

from portico.admission.rules import dollars
from portico.billing.dunning import notices
from portico.billing.invoices import notes, payments, service
from portico.billing.invoices.model import (
    Invoice,
    NotInvoiced,
    Outstanding,
    Period,
    Stored,
    decode,
    encode,
)
from portico.billing.invoices.rules import moment, month
from portico.cli.money.invoices.setup import customer, policy_of, seller_of, tax_rate
from portico.cli.noting import Line, noted
from portico.cli.output import Exit, console, errors, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, scaled, sentence
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock
from portico.settings import Settings

app = App(name="invoice", help="Make, show and correct invoices; book what was paid.")
app.command(customer)
app.command(tax_rate)

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]


@app.command
def make(
    organisation: str,
    /,
    *,
    month_: Annotated[str, Parameter(name="--month", help="Such as 2026-11 (UTC).")],
    so_far: Annotated[
        bool,
        Parameter(
            negative="", help="Up to now, of a month that is not over; the rest comes later."
        ),
    ] = False,
    preview: Annotated[
        bool, Parameter(negative="", help="Show it; no number is used, nothing is written.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Invoice what ORGANISATION used in a month.  Again, it gives the same invoice.

    Example: `portico invoice make org_... --month 2026-11`
    """
    settings, database = _open(data_dir)
    seller = seller_of(settings)
    now_ms = SystemClock().wall_ms()
    try:
        wanted = month(month_)
    except ValueError:
        stop(Exit.USAGE, f"--month: {month_!r} is no month; write it as 2026-11.")
    try:
        if so_far and wanted.start_ms < now_ms < wanted.end_ms:
            wanted = Period(wanted.start_ms, now_ms)
        if preview:
            _show(service.preview(database, organisation, wanted, seller, now_ms), json=json)
            return
        made = service.make(database, organisation, wanted, seller, now_ms)
    except NotInvoiced as error:
        stop(Exit.FAILED, str(error))
    if json:
        say_json({"number": made.invoice.number, "id": made.invoice.id, "new": made.new})
    elif made.new:
        asked = _dollars(made.invoice.due_cents + made.invoice.tax_cents)
        console.print(f"{made.invoice.number}: {asked} to be paid.", markup=False)
    else:
        console.print(f"{made.invoice.number} was made before; nothing changed.", markup=False)


@app.command(name="list")
def list_all(
    *,
    organisation: Annotated[str | None, Parameter(help="Only this one's.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Every invoice and credit note, and what is still to be paid."""
    _, database = _open(data_dir)

    def read(connection: Connection) -> list[tuple[Stored, Outstanding | None]]:
        transaction = Transaction(connection)
        found = service.documents(transaction, organisation)
        unpaid = service.outstanding(transaction, [e for e in found if e.kind == "invoice"])
        return [(each, unpaid.get(each.id)) for each in found]

    found = database.read(read)
    if json:
        say_json({"documents": [_row(each, unpaid) for each, unpaid in found]})
        return
    say_table(
        ("number", "organisation", "issued (UTC)", "due (UTC)", "amount", "to be paid"),
        [
            (
                each.number,
                each.organisation_id,
                moment(each.issued_at_ms)[:10],
                "-" if unpaid is None else moment(each.due_at_ms)[:10],
                _dollars(each.due_cents + each.tax_cents),
                "-" if unpaid is None else _dollars(unpaid.total_cents),
            )
            for each, unpaid in found
        ],
        numbers=2,
    )


@app.command
def show(number: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """An invoice or a credit note.  With --json the document itself, byte for byte what its SHA-256 is of."""
    _, database = _open(data_dir)
    stored = _find(database, number)
    if json:
        sys.stdout.write(stored.document + "\n")
        return
    _show(decode(stored.document), json=False)
    console.print(f"SHA-256 {stored.sha256}", markup=False)


@app.command
def pdf(
    number: str,
    /,
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"), help="The file to write.")],
    data_dir: DataDir = None,
) -> None:
    """Write an invoice or a credit note as PDF: the same bytes every time."""
    # Loading the library takes longer than most commands.
    from portico.billing.invoices.paper.letters import FontUnusable  # noqa: PLC0415
    from portico.billing.invoices.paper.pdf import paper  # noqa: PLC0415

    settings, database = _open(data_dir)
    stored = _find(database, number)
    try:
        printed = paper(decode(stored.document), settings.invoices.font_file)
        output.write_bytes(printed.pdf)
    except FontUnusable as error:
        stop(Exit.USAGE, str(error), fix="invoices.font_file takes a TrueType font (.ttf).")
    except OSError as error:
        stop(Exit.FAILED, f"{output}: {error.strerror}.")
    if printed.missing:
        errors.print(
            f"The font lacks {' '.join(printed.missing)}: written by number.  "
            "Name one that has them with invoices.font_file.",
            markup=False,
        )
    console.print(f"{output}: {stored.number}, {len(printed.pdf)} bytes.", markup=False)


@app.command(name="credit-note")
def credit_note(
    number: str,
    /,
    *,
    line: Annotated[
        tuple[str, ...],
        Parameter(
            help="A line of the invoice, or a part of it in dollars: 1 or 1=0.50; may be repeated."
        ),
    ],
    reason: Annotated[str, Parameter(help="Why; printed on it.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Take back lines of an invoice, or parts of them; never more than a line has.

    Example: `portico invoice credit-note INV-2026-000017 --line 2 --reason "slow answers"`
    """
    try:
        sentence(reason)
    except Unreadable as error:
        stop(Exit.USAGE, f"--reason: {error}")
    settings, database = _open(data_dir)
    seller = seller_of(settings)
    now_ms = SystemClock().wall_ms()
    try:
        wanted = dict(_line(text) for text in line)
        made = noted(
            database,
            lambda c: notes.credit(Transaction(c), number, wanted, reason, seller, now_ms),
            lambda made: Line(
                made.organisation_id, "invoice.credit", made.number, {"of": number, "why": reason}
            ),
        )
    except Unreadable as error:
        stop(Exit.USAGE, f"--line: {error}")
    except NotInvoiced as error:
        stop(Exit.FAILED, str(error), fix="Nothing was credited.")
    if json:
        sys.stdout.write(made.document + "\n")
        return
    note = made.credit_note
    off = _dollars(note.due_cents + note.unpaid_tax_cents)
    back = dollars(note.to_prepaid_nano + note.to_promo_nano)
    console.print(
        f"{made.number}: {off} less to be paid for {note.corrects}, {back} given as credit.",
        markup=False,
    )


@app.command
def pay(
    number: str,
    /,
    *,
    usd: Annotated[str, Parameter(help="How much came in, in dollars.")],
    reference: Annotated[
        str, Parameter(help="The bank's or payer's own id of it: a second time does nothing.")
    ],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Book a payment of an invoice.

    Example: `portico invoice pay INV-2026-000017 --usd 42.10 --reference "bank 2026-12-03/7"`
    """
    _, database = _open(data_dir)
    now_ms = SystemClock().wall_ms()

    def book(connection: Connection) -> tuple[bool, Outstanding, str]:
        transaction = Transaction(connection)
        booked = payments.record_payment(transaction, number, cents, reference, now_ms)
        stored = service.find(transaction, number)
        left = service.outstanding(transaction, [stored])[stored.id]
        return booked, left, stored.organisation_id

    def line(done: tuple[bool, Outstanding, str]) -> Line | None:
        about = {"cents": cents, "reference": reference}
        return Line(done[2], "invoice.pay", number, about) if done[0] else None

    try:
        cents = scaled(usd, 2)
        booked, left, _ = noted(database, book, line)
    except Unreadable as error:
        stop(Exit.USAGE, str(error))
    except NotInvoiced as error:
        stop(Exit.FAILED, str(error), fix="Nothing was booked.")
    if json:
        say_json({"booked": booked, "to_be_paid_cents": str(left.total_cents)})
    elif booked:
        console.print(
            f"{number}: {_dollars(cents)} booked, {_dollars(left.total_cents)} to be paid.",
            markup=False,
        )
    else:
        console.print(f"{reference} was booked before; nothing changed.", markup=False)


@app.command
def remind(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Take the steps of dunning whose day has come: notices, then read-only, then suspended.  A running
    server does so every hour, and delivers the notices.
    """
    # Here, because it brings the server's rooms along, and not every command needs them.
    from portico.app.watching import operator_targets  # noqa: PLC0415 - see above

    settings, database = _open(data_dir)
    policy, operator = policy_of(settings), operator_targets(settings)
    made = notices.go_round(database, policy, operator, SystemClock().wall_ms())
    if json:
        say_json({"notices": made})
        return
    for each in made:
        console.print(f"{each.organisation_id}: {each.kind} about {each.invoice_id}.", markup=False)
    if not made:
        console.print("Nothing is due to be done.")


def _open(data_dir: str | None) -> tuple[Settings, Database]:
    settings = settings_for(None, server={"data_dir": data_dir})
    return settings, database_of(settings)


def _find(database: Database, number: str) -> Stored:
    try:
        return database.read(lambda c: service.find(Transaction(c), number))
    except NotInvoiced as error:
        stop(Exit.FAILED, str(error), fix="`portico invoice list` has them.")


def _line(text: str) -> tuple[int, int | None]:
    """ "2" or "2=0.50".  Raises: Unreadable."""
    place, _, amount = text.partition("=")
    if not place.isascii() or not place.isdigit():
        raise Unreadable(f"{text!r} is no line; write its number, or 1=0.50 for a part of it.")
    return int(place), scaled(amount) if amount else None


def _dollars(cents: int) -> str:
    return dollars(cents * 10_000_000)


def _row(stored: Stored, unpaid: Outstanding | None) -> dict[str, Any]:
    return {
        "id": stored.id,
        "number": stored.number,
        "kind": stored.kind,
        "organisation_id": stored.organisation_id,
        "issued_at": moment(stored.issued_at_ms),
        "due_at": moment(stored.due_at_ms),
        "amount_cents": str(stored.due_cents + stored.tax_cents),
        "to_be_paid_cents": None if unpaid is None else str(unpaid.total_cents),
        "sha256": stored.sha256,
    }


def _show(document: Any, *, json: bool) -> None:
    if json:
        sys.stdout.write(encode(document).decode() + "\n")
        return
    if isinstance(document, Invoice):
        _show_invoice(document)
        return
    console.print(
        f"Credit note {document.number} of {document.issued_at[:10]} for {document.customer.name}, "
        f"about {document.corrects}: {document.reason}",
        markup=False,
    )
    say_table(
        ("line", "model", "tier", "meter", "credited"),
        [(e.line, e.model, e.tier, e.meter, dollars(e.credited_nano)) for e in document.lines],
        numbers=1,
    )


def _show_invoice(invoice: Invoice) -> None:
    head = f"Invoice {invoice.number} of" if invoice.number else "Preview of"
    console.print(
        f"{head} {invoice.issued_at[:10]} for {invoice.customer.name}, "
        f"{invoice.period_start} up to {invoice.period_end}",
        markup=False,
    )
    say_table(
        ("line", "model", "tier", "meter", "units", "per million", "amount"),
        [
            (e.line, e.model, e.tier, e.meter, e.units, dollars(e.nano_per_million),
             dollars(e.net_nano))
            for e in invoice.lines
        ],
        numbers=3,
    )  # fmt: skip
    sums = [("use, exact", dollars(invoice.net_nano))]
    sums += [(f"paid from {e.source} credit", dollars(-e.amount_nano)) for e in invoice.paid_by]
    sums += [
        ("carried in", dollars(invoice.carried_in_nano)),
        ("carried on", dollars(-invoice.carried_out_nano)),
    ]
    sums += [
        (f"tax {e.country} {e.basis_points / 100:.2f} % of {dollars(e.base_nano)}",
         _dollars(e.tax_cents))
        for e in invoice.taxes
    ]  # fmt: skip
    say_table(("sum", "amount"), [*sums, ("to be paid", _dollars(invoice.total_cents))], numbers=1)
    if invoice.tax_note:
        console.print(invoice.tax_note, markup=False)
