"""`portico allowance`: credit that comes anew each day or month."""

from typing import Annotated

from cyclopts import App, Parameter

from portico.admission.rules import dollars
from portico.billing.credits import NotGranted
from portico.billing.plans import service
from portico.billing.plans.model import Allowance, Period
from portico.cli.noting import Line, noted
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, moment, scaled
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock

app = App(name="allowance", help="Give an organisation credit anew in every day or month.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]


@app.command(name="set")
def set_one(
    organisation: str,
    /,
    *,
    usd: Annotated[str, Parameter(help="How much each time, in dollars.")],
    period: Annotated[Period, Parameter(help="Calendar day or month, UTC.")] = "month",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Grant ORGANISATION credit now and at the start of every day or month; what is left of it expires at the
    end.  It is used up before credit that was paid for.

    Example: `portico allowance set org_... --usd 5 --period month`
    """
    try:
        nano = scaled(usd)
    except Unreadable as error:
        stop(Exit.USAGE, str(error))
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    try:
        made = noted(
            database,
            lambda c: service.set_allowance(Transaction(c), organisation, period, nano, now_ms),
            lambda made: Line(organisation, "allowance.set", made.id, _about(made)),
        )
    except (NotGranted, ValueError) as error:
        stop(Exit.USAGE, str(error), fix="Nothing was granted.")
    if json:
        say_json(_shown(made))
        return
    console.print(
        f"{organisation}: {dollars(nano)} each {period} ({made.id}), the first one now.",
        markup=False,
    )


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Allowances that go on."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    found = database.read(lambda c: service.allowances(Transaction(c), now_ms))
    if json:
        say_json({"allowances": [_shown(each) for each in found]})
        return
    say_table(
        ("id", "organisation", "each", "since (UTC)", "amount"),
        [
            (a.id, a.organisation_id, a.period, moment(a.created_at_ms), dollars(a.nano))
            for a in found
        ],
        numbers=1,
    )


@app.command
def end(allowance_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Grant no more of it.  What was granted stays until its day or month ends."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    ended = noted(database, lambda c: _ended(Transaction(c), allowance_id, now_ms), _line)
    if ended is None:
        stop(
            Exit.FAILED,
            f"there is no allowance {allowance_id!r} that goes on.",
            fix="`portico allowance list` has them.",
        )
    if json:
        say_json({"id": allowance_id, "ended": True})
        return
    console.print(f"{allowance_id} is granted no more.", markup=False)


def _shown(allowance: Allowance) -> dict[str, object]:
    return {
        "id": allowance.id,
        "organisation_id": allowance.organisation_id,
        "period": allowance.period,
        "nano_usd": str(allowance.nano),
        "created_at_ms": allowance.created_at_ms,
    }


def _ended(transaction: Transaction, allowance_id: str, now_ms: int) -> Allowance | None:
    """As it was; None where none of this id goes on."""
    found = [each for each in service.allowances(transaction, now_ms) if each.id == allowance_id]
    return found[0] if found and service.end_allowance(transaction, allowance_id, now_ms) else None


def _line(ended: Allowance | None) -> Line | None:
    if ended is None:
        return None
    return Line(ended.organisation_id, "allowance.end", ended.id, before=_about(ended))


def _about(allowance: Allowance) -> dict[str, object]:
    return {"period": allowance.period, "nano": allowance.nano}
