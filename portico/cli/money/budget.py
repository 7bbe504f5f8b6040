"""`portico budget`: caps by day and month."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.admission.rules import dollars
from portico.billing import budgets
from portico.cli.noting import Line, noted
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, scaled
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock

app = App(name="budget", help="Cap what a key, project or organisation may spend.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]


@app.command(name="set")
def set_one(
    scope: Annotated[budgets.Scope, Parameter(help="What is capped.")],
    id: Annotated[str, Parameter(help="Its id.")],
    /,
    *,
    period: Annotated[budgets.Period, Parameter(help="Per calendar day or month, UTC.")],
    usd: Annotated[str, Parameter(help="The cap, in dollars.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Cap what SCOPE ID may spend.  A running server knows a new budget within 2 seconds, a changed cap at
    once.

    Example: `portico budget set key key_... --period month --usd 50`
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
            lambda c: budgets.set_budget(Transaction(c), scope, id, period, nano, now_ms),
            lambda made: Line(made.organisation_id, "budget.set", made.id, _about(made)),
        )
    except (budgets.UnknownScope, ValueError) as error:
        stop(Exit.USAGE, str(error))
    if json:
        say_json(asdict(made))
        return
    console.print(f"{made.id}: {scope} {id} may spend {dollars(nano)} a {period}.", markup=False)


@app.command(name="list")
def list_all(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Every budget."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    found = database.read(lambda c: budgets.budgets(Transaction(c)))
    if json:
        say_json({"budgets": [asdict(each) for each in found]})
        return
    say_table(
        ("id", "scope", "of", "period", "cap"),
        [(b.id, b.scope, b.scope_id, b.period, dollars(b.cap_nano)) for b in found],
        numbers=1,
    )


@app.command
def remove(budget_id: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Lift a cap.  What was spent under it stays in the books."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    removed = noted(database, lambda c: _removed(Transaction(c), budget_id), _line)
    if removed is None:
        stop(
            Exit.FAILED, f"there is no budget {budget_id!r}.", fix="`portico budget list` has them."
        )
    if json:
        say_json({"removed": budget_id})
        return
    console.print(f"{budget_id} is lifted.", markup=False)


def _removed(transaction: Transaction, budget_id: str) -> budgets.StoredBudget | None:
    """As it was; None where there is none."""
    found = [each for each in budgets.budgets(transaction) if each.id == budget_id]
    return found[0] if found and budgets.remove_budget(transaction, budget_id) else None


def _line(removed: budgets.StoredBudget | None) -> Line | None:
    if removed is None:
        return None
    return Line(removed.organisation_id, "budget.remove", removed.id, before=_about(removed))


def _about(budget: budgets.StoredBudget) -> dict[str, object]:
    told = asdict(budget)
    return {name: told[name] for name in ("scope", "scope_id", "period", "cap_nano")}
