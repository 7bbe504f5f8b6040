"""`portico payment`: cards, top-ups, refunds, recharge."""

from typing import Annotated, NoReturn

from cyclopts import App, Parameter

from portico.accounts.actors.login import login
from portico.admission.rules import dollars
from portico.billing.payments import recharge_store, store
from portico.billing.payments.desk import Desk
from portico.billing.payments.differences import psp_differences
from portico.billing.payments.model import (
    NANO_PER_MINOR,
    Order,
    PaymentRefused,
    ProviderRefused,
    ProviderUnavailable,
    Refund,
)
from portico.billing.payments.office import opened
from portico.billing.payments.provider.stripe import SdkMissing, Stripe, StripeAccount
from portico.billing.payments.rules import minor_of
from portico.billing.payments.service import Mismatched
from portico.cli.noting import Line, noted, noted_after
from portico.cli.output import Exit, console, say_json, say_table, stop
from portico.cli.place import database_of, settings_for
from portico.cli.words import Unreadable, moment, scaled, sentence
from portico.db.transaction import Transaction
from portico.kit.clock import SystemClock

app = App(name="payment", help="Keep cards, take top-ups, pay back, recharge.")
recharge = App(name="recharge", help="Top-ups by themselves, under a monthly cap.")
app.command(recharge)

DataDir = Annotated[str | None, Parameter(help="Folder of the server's data.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON.")]
_REFUSALS = (PaymentRefused, ProviderRefused, Unreadable, Mismatched)
_LISTED = 100
_SETTLES_MS = 600_000


@app.command
def card(
    organisation: str,
    payment_method: Annotated[str, Parameter(help="Stripe's id of it, pm_...")],
    /,
    *,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Keep a card for the top-ups of ORGANISATION; the one kept before is used no more.

    Example: `portico payment card org_... pm_card_visa` (a card of Stripe's test mode)
    """
    desk = _desk(data_dir)
    try:
        payer = opened(desk).top_ups.keep_card(organisation, payment_method)
    except (*_REFUSALS, ProviderUnavailable) as error:
        _refuse(error)
    noted_after(desk.database, Line(organisation, "payment.card", payer.payment_method_id))
    if json:
        say_json({"organisation_id": organisation, "payment_method": payer.payment_method_id})
        return
    console.print(f"{organisation} pays with {payer.payment_method_id}.", markup=False)


@app.command(name="topup")
def top_up(
    organisation: str,
    /,
    *,
    usd: Annotated[str, Parameter(help="How much, in dollars and cents.")],
    id: Annotated[
        str | None, Parameter(help="Your own id of it: a second top-up under it charges nothing.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Charge the card of ORGANISATION and credit what was paid; a running server counts it at once.

    Example: `portico payment topup org_... --usd 25`
    """
    desk = _desk(data_dir)
    try:
        order = opened(desk).top_ups.top_up(organisation, minor_of(scaled(usd)), id or "")
    except (*_REFUSALS, ProviderUnavailable) as error:
        _refuse(error)
    about = {"nano": order.amount_nano, "state": order.state}
    noted_after(desk.database, Line(organisation, "payment.top_up", order.id, about))
    if json:
        say_json(_order(order))
    elif order.state == "paid":
        says = f"{organisation}: {dollars(order.amount_nano)} paid ({order.id})."
        console.print(says, markup=False)
    elif order.state == "open":
        console.print(f"{order.id} is open: {order.says}.", markup=False)
    if order.state == "failed":
        stop(Exit.FAILED, f"{order.id} was not paid: {order.says}.", fix="Nothing was charged.")


@app.command(name="list")
def list_all(
    *,
    organisation: Annotated[str | None, Parameter(help="Only this one's.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """The newest top-ups, and what became of each."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    found = database.read(lambda c: store.orders(Transaction(c), organisation, _LISTED))
    if json:
        say_json({"top_ups": [_order(each) for each in found]})
        return
    say_table(
        ("id", "organisation", "made (UTC)", "by", "state", "says", "amount"),
        [
            (
                each.id,
                each.organisation_id,
                moment(each.created_at_ms),
                each.origin,
                each.state,
                each.says or "-",
                dollars(each.amount_nano),
            )
            for each in found
        ],
        numbers=1,
    )


@app.command
def refund(
    top_up_id: Annotated[str, Parameter(help="Id of the top-up.")],
    /,
    *,
    usd: Annotated[str | None, Parameter(help="How much; all that is left if left out.")] = None,
    id: Annotated[
        str | None, Parameter(help="Your own id of it: a second refund under it does nothing.")
    ] = None,
    reason: Annotated[str, Parameter(help="Why; kept with it.")] = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Pay credit that is neither spent nor set aside back to the card it was paid with."""
    desk = _desk(data_dir)
    try:
        minor = None if usd is None else minor_of(scaled(usd))
        why = f"{login()}: {sentence(reason)}" if reason else login()
        made = opened(desk).refunds.refund(top_up_id, minor, why, id or "")
    except (*_REFUSALS, ProviderUnavailable) as error:
        _refuse(error)
    about = {"top_up": top_up_id, "nano": made.amount_nano, "state": made.state, "reason": why}
    of_it = desk.do(lambda transaction: store.order(transaction, top_up_id))
    owner = "" if of_it is None else of_it.organisation_id
    noted_after(desk.database, Line(owner, "payment.refund", made.id, about))
    if json:
        say_json(_refund(made))
    elif made.state != "failed":
        how = "paid back" if made.state == "paid" else "on its way back"
        says = f"{top_up_id}: {dollars(made.amount_nano)} {how} ({made.id})."
        console.print(says, markup=False)
    if made.state == "failed":
        stop(Exit.FAILED, f"Stripe did not pay {made.id} out.", fix="It is credit again.")


@app.command
def poll(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Look once at everything that is open; a running server does so by itself."""
    desk = _desk(data_dir)
    try:
        polled = opened(desk).poller.run()
    except ProviderUnavailable as error:
        _refuse(error)
    if json:
        say_json(polled)
        return
    console.print(
        f"looked at {polled.orders} top-ups, {polled.refunds} refunds, {polled.disputes} disputes."
    )


@app.command
def compare(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Compare Stripe's balance with the ledger, line by line (R7).  Exit code 0 only when they agree.

    Fees and payouts are left out, and what only one side has had for less than ten minutes.
    """
    desk = _desk(data_dir)
    try:
        lines = desk.stripe.balance_lines(0)
    except (ProviderRefused, ProviderUnavailable) as error:
        _refuse(error)
    before_ms = desk.now_ms() - _SETTLES_MS
    found = desk.do(lambda t: psp_differences(t, lines, before_ms))
    if json:
        say_json({"ok": not found, "lines": len(lines), "differences": found})
    else:
        for each in found:
            console.print(
                f"{each.txn_id}: Stripe {_shown(each.provider_nano)}, "
                f"ledger {_shown(each.ledger_nano)}",
                markup=False,
            )
        console.print(f"{len(lines)} lines, {len(found)} differences.")
    if found:
        raise SystemExit(Exit.FAILED)


@recharge.command
def on(
    organisation: str,
    /,
    *,
    below: Annotated[str, Parameter(help="Recharge when less than this is left, in dollars.")],
    to: Annotated[str, Parameter(help="Up to this, in dollars.")],
    cap: Annotated[str, Parameter(help="The most that is charged in a month (UTC), in dollars.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Top ORGANISATION up by itself, never above the cap of a month.

    Example: `portico payment recharge on org_... --below 5 --to 25 --cap 100`
    """
    desk = _desk(data_dir)
    try:
        rule = opened(desk).recharge.switch_on(
            organisation,
            threshold_nano=scaled(below),
            target_nano=scaled(to),
            cap_minor=minor_of(scaled(cap)),
            author=login(),
        )
    except _REFUSALS as error:
        _refuse(error)
    about = {"below_nano": rule.threshold_nano, "to_nano": rule.target_nano}
    about |= {"cap_nano": rule.cap_minor * NANO_PER_MINOR}
    noted_after(desk.database, Line(organisation, "recharge.on", organisation, about))
    if json:
        say_json(rule)
        return
    console.print(
        f"{organisation}: below {dollars(rule.threshold_nano)} it is topped up to "
        f"{dollars(rule.target_nano)}, by {dollars(rule.cap_minor * NANO_PER_MINOR)} a month at "
        "most.",
        markup=False,
    )


@recharge.command
def off(organisation: str, /, *, data_dir: DataDir = None, json: Json = False) -> None:
    """Recharge ORGANISATION no more.  What is under way is seen through."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    done = noted(
        database,
        lambda c: recharge_store.switch_off(Transaction(c), organisation, login(), now_ms),
        lambda done: Line(organisation, "recharge.off", organisation) if done else None,
    )
    if not done:
        stop(Exit.FAILED, f"{organisation} has no recharge.")
    if json:
        say_json({"organisation_id": organisation, "enabled": False})
        return
    console.print(f"{organisation} is not recharged any more.", markup=False)


@recharge.command(name="list")
def list_rules(*, data_dir: DataDir = None, json: Json = False) -> None:
    """Every rule, and whether everything is frozen."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    rules = database.read(lambda c: recharge_store.rules(Transaction(c)))
    frozen = database.read(lambda c: recharge_store.frozen(Transaction(c)))
    if json:
        say_json({"frozen": frozen, "rules": rules})
        return
    if frozen is not None:
        console.print(f"Frozen: {frozen}.", markup=False)
    say_table(
        ("organisation", "on", "says", "below", "to", "a month"),
        [
            (
                rule.organisation_id,
                "yes" if rule.enabled else "no",
                rule.says or "-",
                dollars(rule.threshold_nano),
                dollars(rule.target_nano),
                dollars(rule.cap_minor * NANO_PER_MINOR),
            )
            for rule in rules
        ],
        numbers=3,
    )


@recharge.command
def freeze(
    reason: Annotated[str, Parameter(help="Why; shown until it is lifted.")],
    /,
    *,
    data_dir: DataDir = None,
) -> None:
    """Recharge nobody.  An audit that finds the books wrong does so, too."""
    try:
        sentence(reason)
    except Unreadable as error:
        stop(Exit.USAGE, str(error))
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    now_ms = SystemClock().wall_ms()
    done = noted(
        database,
        lambda c: recharge_store.freeze(Transaction(c), reason, now_ms),
        lambda done: Line("", "recharge.freeze", "recharge", {"reason": reason}) if done else None,
    )
    console.print("Recharge is frozen." if done else "It is frozen already.")


@recharge.command
def thaw(*, data_dir: DataDir = None) -> None:
    """Lift the freeze, once the books are right."""
    database = database_of(settings_for(None, server={"data_dir": data_dir}))
    done = noted(
        database,
        lambda c: recharge_store.thaw(Transaction(c)),
        lambda done: Line("", "recharge.thaw", "recharge") if done else None,
    )
    console.print("Recharge goes on." if done else "It was not frozen.")


def _desk(data_dir: str | None) -> Desk:
    settings = settings_for(None, server={"data_dir": data_dir})
    if not settings.stripe.secret_key:
        stop(
            Exit.USAGE,
            "payments are not set up.",
            fix="Set PORTICO_STRIPE_SECRET_KEY, or try them out with `portico fake-stripe`.",
        )
    wanted = settings.stripe
    try:
        stripe = Stripe(StripeAccount(wanted.secret_key, wanted.mode, wanted.api_base))
    except (ValueError, SdkMissing) as error:
        stop(Exit.USAGE, f"stripe: {error}")
    return Desk(database_of(settings), stripe, SystemClock(), wanted.credit_days)


def _refuse(error: Exception) -> NoReturn:
    if isinstance(error, ProviderUnavailable):
        stop(
            Exit.FAILED,
            f"{error}",
            fix="What was begun goes on by itself: a running server, or `portico payment poll`.",
        )
    stop(Exit.USAGE if isinstance(error, Unreadable) else Exit.FAILED, str(error))


def _order(order: Order) -> dict[str, object]:
    return {
        "id": order.id,
        "organisation_id": order.organisation_id,
        "state": order.state,
        "says": order.says,
        "origin": order.origin,
        "amount_nano_usd": str(order.amount_nano),
        "payment_intent": order.intent_id,
        "created_at_ms": order.created_at_ms,
    }


def _refund(made: Refund) -> dict[str, object]:
    return {
        "id": made.id,
        "top_up_id": made.top_up_id,
        "state": made.state,
        "amount_nano_usd": str(made.amount_nano),
        "refund": made.provider_id,
    }


def _shown(nano: int | None) -> str:
    return "nothing" if nano is None else dollars(nano)
