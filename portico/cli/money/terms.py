"""`portico terms`: how organisations pay."""

from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from portico.accounts.actors.model import operator
from portico.accounts.catalogue.terms import set_terms
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, discount, moment, moment_ms
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.pricing.model import Terms, TermsKind, TermsWish
from portico.pricing.service import organisations, read_book

app = App(name="terms", help="Show and set how organisations pay.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]


@app.command
def show(
    organisation: Annotated[str | None, Parameter(help="Its id; every one if left out.")] = None,
    /,
    *,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """What has been agreed: the terms in force, and those that take effect later."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    names, book = database.read(lambda c: (organisations(c), read_book(c)))
    if organisation is not None and organisation not in names:
        stop(
            Exit.FAILED,
            f"there is no organisation {organisation!r}.",
            fix="`portico terms show` lists them.",
        )
    now_ms = SystemClock().wall_ms()
    found: list[tuple[str, str, Terms]] = []
    for organisation_id in names if organisation is None else [organisation]:
        found.append((organisation_id, "now", book.terms_of(organisation_id, now_ms)))
        later = [t for t in book.terms(organisation_id) if t.effective_from_ms > now_ms]
        found += [(organisation_id, "later", terms) for terms in later]
    if json:
        rows = [{**_shown(t), "organisation_id": o, "when": when} for o, when, t in found]
        say_json({"terms": rows})
        return
    say_table(
        ("organisation", "name", "terms", "pays", "discounts", "plan", "consent", "from (UTC)"),
        [(o, names[o], *_row(terms)) for o, _, terms in found],
    )


@app.command(name="set")
def set_one(
    organisation: str,
    /,
    *,
    kind: Annotated[TermsKind, Parameter(help="How it pays.")],
    plan: Annotated[str, Parameter(help="Prices of this plan come before general ones.")] = "",
    discount_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--discount",
            help="What is taken off, such as contract=20% or contributor=1/5; may be repeated.",
        ),
    ] = (),
    consent: Annotated[
        str, Parameter(help="Version of the data-sharing consent behind a contributor discount.")
    ] = "",
    from_: Annotated[
        str | None, Parameter(name="--from", help="From this date on (UTC); now if left out.")
    ] = None,
    author: Annotated[str | None, Parameter(help="Who agreed it; your login name.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Agree with ORGANISATION how it pays from now on, or from a day on.  Everything is said anew: a discount
    that is left out is gone.

    Example: `portico terms set org_... --kind prepaid --discount contract=12.5%`
    """
    try:
        wish = TermsWish(
            organisation_id=organisation,
            kind=kind,
            plan=plan,
            discounts=tuple(discount(text) for text in discount_),
            consent=consent,
            effective_from_ms=None if from_ is None else moment_ms(from_),
        )
    except Unreadable as error:
        stop(Exit.USAGE, str(error))
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    clock = SystemClock()
    try:
        terms = database.write(lambda c: set_terms(operator(c, clock), wish, author or ""))
    except Refusal as refusal:
        stop(Exit.USAGE, refusal.message, fix="Nothing was stored.")
    if json:
        say_json(_shown(terms))
        return
    kinds, pays, discounts, *_, since = _row(terms)
    off = "" if discounts == "-" else f" ({discounts})"
    console.print(f"{organisation}: {kinds}, pays {pays}{off}, from {since}.", markup=False)


def _row(terms: Terms) -> tuple[str, ...]:
    off = [
        f"{each.kind} -{each.denominator - each.numerator}/{each.denominator}"
        for each in terms.discounts
    ]
    return (
        terms.kind,
        _pays(terms),
        ", ".join(off) or "-",
        terms.plan or "-",
        terms.consent or "-",
        moment(terms.effective_from_ms) if terms.id else "never set",
    )


def _pays(terms: Terms) -> str:
    if terms.kind == "internal":
        return "nothing"
    if terms.share_numerator == terms.share_denominator:
        return "the list price"
    return f"{terms.share_numerator}/{terms.share_denominator} of the list price"


def _shown(terms: Terms) -> dict[str, Any]:
    return msgspec.structs.asdict(terms)
