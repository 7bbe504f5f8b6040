"""Dunning: one run takes the steps whose time has come; a payment is looked at as it comes in.

An organisation is closed by the floors of its accounts, the guard that every hold passes anyway: a
floor at what is left lets nothing be held, on every machine, from that commit on.  What a request
in flight gives back can be held until the next run, which closes again.
"""

from functools import partial

from sqlalchemy import Connection

from portico.billing.dunning import rules, store
from portico.billing.dunning.model import RESTORED, Closed, Notice, Policy, State
from portico.billing.invoices import service as invoices
from portico.billing.invoices.model import Stored
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.ids import new_id
from portico.ledger import service as ledger
from portico.ledger.model import AMOUNT_MAX_NANO, Account


def run(database: Database, policy: Policy, now_ms: int) -> list[Notice]:
    """Look at everything that is overdue; the new notices.  Run it hourly or daily: each step is
    taken once, whoever else runs it.

    A notice whose kind begins with `notice_` is also the moment to try to collect again.
    Raises: sqlalchemy.exc.DBAPIError.
    """
    made: list[Notice] = []
    overdue = database.read(lambda c: invoices.overdue(Transaction(c), now_ms))
    for organisation_id in sorted({each.organisation_id for each in overdue}):
        step = partial(_advance, organisation_id=organisation_id, policy=policy, now_ms=now_ms)
        # A transaction each: requests of one organisation do not wait for those of another.
        made += database.write(step)
    return made


def advance(
    transaction: Transaction, organisation_id: str, policy: Policy, now_ms: int
) -> list[Notice]:
    """Take the steps of one organisation whose time has come; the new notices."""
    invoices.lock_accounts(transaction, organisation_id)
    taken: dict[str, dict[str, int]] = {}
    for notice in store.notices(transaction, organisation_id):
        taken.setdefault(notice.invoice_id, {})[notice.kind] = notice.due_at_ms
    made = []
    for invoice in invoices.overdue(transaction, now_ms, organisation_id):
        step = rules.next_step(invoice.due_at_ms, taken.get(invoice.id, {}), policy, now_ms)
        if step is not None:
            made += _notice(transaction, invoice, step.kind, now_ms)
    return made + review(transaction, organisation_id, now_ms)


def review(transaction: Transaction, organisation_id: str, now_ms: int) -> list[Notice]:
    """Bring an organisation's state in line with what is unpaid, and its accounts with its state.
    Takes no step; the notices that it is in good standing again.

    The caller holds the locks of its accounts (`invoices.lock_accounts`).
    """
    unpaid = {each.id for each in invoices.overdue(transaction, now_ms, organisation_id)}
    notices = store.notices(transaction, organisation_id)
    state = rules.state_of(each.kind for each in notices if each.invoice_id in unpaid)
    before, closed = store.state(transaction, organisation_id)
    if state == before == "good":
        return []
    floors = _hold_to(transaction, organisation_id, state, closed)
    store.put_state(transaction, organisation_id, state, floors, now_ms)
    if state != "good":
        return []
    harmed = {each.invoice_id for each in notices if rules.state_of([each.kind]) != "good"}
    paid = [each for each in invoices.documents(transaction, organisation_id) if each.id in harmed]
    return [notice for each in paid for notice in _notice(transaction, each, RESTORED, now_ms)]


def _advance(
    connection: Connection, organisation_id: str, policy: Policy, now_ms: int
) -> list[Notice]:
    return advance(Transaction(connection), organisation_id, policy, now_ms)


def state_of(transaction: Transaction, organisation_id: str) -> State:
    return store.state(transaction, organisation_id)[0]


def unsent(transaction: Transaction, now_ms: int) -> list[Notice]:
    """What a sender has to take, oldest first."""
    return store.unsent(transaction, now_ms)


def mark_sent(transaction: Transaction, notice_id: str, now_ms: int) -> bool:
    """False where it was sent before: of two senders, one."""
    return store.mark_sent(transaction, notice_id, now_ms)


def _notice(transaction: Transaction, invoice: Stored, kind: str, now_ms: int) -> list[Notice]:
    owner = invoice.organisation_id
    recipient = invoices.mail_of(transaction, owner)
    notice = Notice(new_id("notice"), owner, invoice.id, kind, recipient, now_ms, None)
    return [notice] if store.add_notice(transaction, notice) else []


def _hold_to(
    transaction: Transaction, organisation_id: str, state: State, closed: dict[str, Closed]
) -> dict[str, Closed]:
    """Close and open the accounts as the state says; those that are closed now."""
    floors: dict[str, Closed] = {}
    for account in ledger.accounts_of(transaction, organisation_id):
        known = closed.get(account.id)
        if rules.closes(state, account.kind):
            floors[account.id] = _close(transaction, account, known)
        elif known is not None and account.floor_nano == known.is_nano:
            ledger.set_floor(transaction, account.id, known.was_nano)
    return floors


def _close(transaction: Transaction, account: Account, known: Closed | None) -> Closed:
    """known: how it was closed before.  A floor that somebody has changed since is the one that
    it gets back."""
    assert account.floor_nano is not None
    ours = known is not None and account.floor_nano == known.is_nano
    was_nano = known.was_nano if known is not None and ours else account.floor_nano
    now_nano = ledger.set_floor(transaction, account.id, AMOUNT_MAX_NANO)
    assert now_nano is not None
    return Closed(was_nano, now_nano)
