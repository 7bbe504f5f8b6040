"""`portico alert`: who is told when a budget nears its end, and what became of it."""

import asyncio
import re
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from portico.app import CannotStart
from portico.app.watching import alerts_of, operator_targets
from portico.billing.alerts import outbox, thresholds
from portico.billing.alerts.model import Alert, AlertRules
from portico.billing.budgets import budgets
from portico.cli.noting import Line, noted
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import moment
from portico.db.transaction import Transaction
from portico.kit import egress
from portico.kit.clock import SystemClock
from portico.kit.ids import new_id
from portico.webhooks.rules import SecretInvalid, secret_bytes, secret_of, secret_text

app = App(name="alert", help="Who is told when a budget nears its end, and what became of it.")

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")


@app.command(name="set")
def set_rules(
    budget_id: str,
    /,
    *,
    at: Annotated[
        str, Parameter(help="Percentages of the cap, such as 50,80,100; empty tells nobody.")
    ],
    webhook: Annotated[str, Parameter(help="URL to post to.")] = "",
    mail: Annotated[str, Parameter(help="Address to write to.")] = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Say when a budget tells, and whom; without --webhook and --mail, the operator.

    Each percentage is told once in every day or month.

    Example: `portico alert set bud_... --at 80,100 --mail team@example.com`
    """
    settings = settings_for(None, server={"data_dir": data_dir})
    wanted = AlertRules(_percents(at), _url(webhook), _mail(mail))
    database = database_of(settings)
    try:
        noted(
            database,
            lambda c: _told_by(Transaction(c), budget_id, wanted),
            lambda owner: Line(owner, "budget.alert", budget_id, {"percents": wanted.percents}),
        )
    except thresholds.UnknownBudget as error:
        stop(Exit.USAGE, str(error))
    if json:
        say_json({"budget_id": budget_id, **asdict(wanted)})
        return
    told = ", ".join(each for each in (wanted.webhook_url, wanted.mail) if each) or "the operator"
    when = ", ".join(f"{each} %" for each in wanted.percents)
    console.print(
        f"{budget_id}: {told} is told at {when}." if when else f"{budget_id}: nobody is told.",
        markup=False,
    )


@app.command(name="list")
def list_all(
    *,
    most: Annotated[int, Parameter(help="The newest so many.")] = 50,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """The newest alerts, to whom they went, and what came of it."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    found = database.read(lambda c: outbox.told(Transaction(c), most))
    if json:
        say_json({"alerts": [asdict(each) for each in found]})
        return
    _show(found)


@app.command(name="test")
def try_out(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Send an alert to the operator's own addresses now.  Exit code 0 only when it arrived everywhere."""
    settings = settings_for(None, server={"data_dir": data_dir})
    database, clock = database_of(settings), SystemClock()
    targets = operator_targets(settings)
    if not targets:
        stop(
            Exit.USAGE,
            "nobody is to be told.",
            fix="Set alerts.webhook_url or mail.to (docs/guides/alerts.md).",
        )
    subject = f"test:{new_id('test')}"
    alert = Alert("alert.test", subject, "", "This is a test: alerts arrive here.", {})
    database.write(lambda c: outbox.tell(Transaction(c), alert, targets, clock.wall_ms()))
    try:
        alerts = alerts_of(settings, database, clock)
    except CannotStart as error:
        stop(Exit.USAGE, error.says)

    async def deliver() -> None:
        while await alerts.deliver():
            continue

    asyncio.run(deliver())
    newest = database.read(lambda c: outbox.told(Transaction(c), 100))
    found = [each for each in newest if each.alert_id == newest[0].alert_id]
    if json:
        say_json({"deliveries": [asdict(each) for each in found]})
    else:
        _show(found)
    if any(each.state != "delivered" for each in found):
        stop(Exit.FAILED, "not delivered; a running server goes on trying.")


@app.command
def secret(
    organisation_id: Annotated[str, Parameter(help="Whose; the operator's own if left out.")] = "",
    /,
    *,
    json: Json = False,
) -> None:
    """The secret that an organisation's webhooks are signed with, for its side to check them."""
    settings = settings_for(None)
    try:
        base = secret_bytes(settings.alerts.webhook_secret)
    except SecretInvalid as error:
        stop(Exit.USAGE, f"alerts.webhook_secret: {error}")
    shown = secret_text(secret_of(base, organisation_id))
    if json:
        say_json({"organisation_id": organisation_id, "secret": shown})
        return
    console.print(shown, markup=False)


def _percents(text: str) -> tuple[int, ...]:
    parts = [part.strip().removesuffix("%").strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 100 for part in parts):
        stop(
            Exit.USAGE,
            f"{text!r} are no percentages; write whole numbers from 1 to 100: 50,80,100.",
        )
    return tuple(sorted({int(part) for part in parts}))


def _url(text: str) -> str:
    if text:
        try:
            egress.place_of(text)
        except egress.Refused as error:
            stop(Exit.USAGE, f"{text}: {error}.")
    return text


def _mail(text: str) -> str:
    if text and not _ADDRESS.fullmatch(text):
        stop(Exit.USAGE, f"{text!r} is no mail address.")
    return text


def _show(found: list[outbox.Told]) -> None:
    say_table(
        ("at (UTC)", "alert", "to", "state", "last answer", "attempts"),
        [
            (
                moment(each.created_at_ms),
                each.kind,
                each.target or "nobody",
                each.state or "-",
                each.last or "-",
                each.attempts,
            )
            for each in found
        ],
        numbers=1,
    )


def _told_by(transaction: Transaction, budget_id: str, wanted: AlertRules) -> str:
    """Whose budget it is.  Raises: UnknownBudget."""
    thresholds.set_rules(transaction, budget_id, wanted)
    return next(each.organisation_id for each in budgets(transaction) if each.id == budget_id)
