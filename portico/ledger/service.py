"""The ledger's verbs: hold, extend, settle, post.  Each takes a whole batch inside the caller's
transaction and costs the same few statements for one request as for a hundred.

Every verb may run again after a commit whose fate is unknown: what is there already is left alone.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from portico.db.transaction import Row, Transaction
from portico.ledger import receipts, store
from portico.ledger.model import (
    AMOUNT_MAX_NANO,
    Account,
    Headroom,
    Held,
    Kind,
    Limit,
    Part,
    Posting,
    Settled,
    Settlement,
    Short,
    Wish,
    WouldOverdraw,
)
from portico.ledger.rules import headroom, in_order, is_limit, merged, paid_from, set_aside

REVENUE: Kind = "revenue"
ABSORBED: Kind = "absorbed_overrun"
PREPAID_PRIORITY, RECEIVABLE_PRIORITY = 50, 90


def hold(
    transaction: Transaction, wishes: Sequence[Wish], now_ms: int, owner: str
) -> list[Held | Short]:
    """Set the worst case of each request aside, in the order given; one answer per wish.

    A request that has a hold already, in whatever state, is answered with that one.
    now_ms: wall clock.  owner: the serving process that answers for these holds.
    """
    known = store.known_holds(transaction, [wish.request_id for wish in wishes])
    new: dict[str, Wish] = {}
    for wish in wishes:
        if wish.request_id not in known:
            new.setdefault(wish.request_id, wish)
    answers: dict[str, Held | Short] = {key: Held(*row) for key, row in known.items()}
    if new:
        funds = _Funds(transaction, new.values(), now_ms)
        rows: list[Row] = []
        for wish in new.values():
            parts = funds.set_aside(wish.organisation_id, wish.amount_nano, wish.limits)
            if isinstance(parts, Short):
                answers[wish.request_id] = parts
                continue
            left = funds.headroom(wish.organisation_id, wish.limits)
            answers[wish.request_id] = Held(wish.request_id, wish.amount_nano, parts, left)
            rows.append(_hold_row(wish, parts, owner, now_ms))
        funds.write()
        store.add_holds(transaction, rows)
    return [answers[wish.request_id] for wish in wishes]


def extend(
    transaction: Transaction, wishes: Sequence[Wish], now_ms: int
) -> list[Held | Short | None]:
    """Raise open holds to `amount_nano` each; None for one that is no longer open."""
    opened = store.open_holds(transaction, [wish.request_id for wish in wishes])
    due = [wish for wish in wishes if wish.request_id in opened]
    if not due:
        return [None] * len(wishes)
    funds = _Funds(transaction, due, now_ms)
    raised: dict[str, tuple[int, Sequence[Part]]] = {}
    answers: list[Held | Short | None] = []
    for wish in wishes:
        if wish.request_id not in opened:
            answers.append(None)
            continue
        organisation_id, amount_nano, parts = opened[wish.request_id]
        more_nano = wish.amount_nano - amount_nano
        if more_nano <= 0:
            answers.append(Held(wish.request_id, amount_nano, parts))
            continue
        more = funds.set_aside(organisation_id, more_nano, wish.limits)
        if isinstance(more, Short):
            answers.append(more)
            continue
        parts = merged(parts, more)
        raised[wish.request_id] = (wish.amount_nano, parts)
        opened[wish.request_id] = (organisation_id, wish.amount_nano, parts)
        answers.append(Held(wish.request_id, wish.amount_nano, parts))
    funds.write()
    store.widen_holds(transaction, raised)
    return answers


def settle(
    transaction: Transaction, settlements: Sequence[Settlement], now_ms: int
) -> list[Settled | None]:
    """End holds, once each: None for one that had ended already (or ends twice in this batch: the
    first counts), and nothing is done for it."""
    first: dict[str, Settlement] = {}
    for each in settlements:
        first.setdefault(each.request_id, each)
    ended = _resolve(transaction, first.values(), now_ms)
    due = [each for each in first.values() if each.request_id in ended]
    if not due:
        return [None] * len(settlements)
    moves = _Moves()
    postings: list[Posting] = []
    outcomes: dict[str, Settled] = {}
    for each in due:
        organisation_id, parts = ended[each.request_id]
        moves.release(parts)
        if each.bill is None:
            outcomes[each.request_id] = Settled(0, 0)
            continue
        paid, absorbed_nano = paid_from(parts, each.bill.net_nano)
        charged_nano = each.bill.net_nano - absorbed_nano
        outcomes[each.request_id] = Settled(charged_nano, absorbed_nano)
        moves.count_against_limits(parts, charged_nano)
        if each.bill.net_nano:
            postings.append(_charge(each.request_id, organisation_id, paid, absorbed_nano))
    moves.post(postings)
    moves.write(transaction)
    store.add_txns(transaction, _txn_rows(postings, now_ms))
    store.add_entries(transaction, _entry_rows(postings))
    owners = {request_id: row[0] for request_id, row in ended.items()}
    receipts.add(transaction, due, owners, outcomes, now_ms)
    return [outcomes.pop(each.request_id, None) for each in settlements]


def post(transaction: Transaction, postings: Sequence[Posting], now_ms: int) -> list[bool]:
    """Write transactions that are not there yet; one answer each, False for one that was.

    Raises: WouldOverdraw, when an account would fall below its floor or is not there.
    """
    first: dict[str, Posting] = {}
    for each in postings:
        first.setdefault(each.id, each)
    claimed = store.claim_txns(transaction, _txn_rows(list(first.values()), now_ms))
    new = [each for each in first.values() if each.id in claimed]
    moves = _Moves()
    moves.post(new)
    moves.write(transaction)
    store.add_entries(transaction, _entry_rows(new))
    answers: list[bool] = []
    for each in postings:
        answers.append(each.id in claimed)
        claimed.discard(each.id)
    return answers


def set_floor(transaction: Transaction, account_id: str, floor_nano: int) -> int | None:
    """Change how far an account may go: its credit limit, or the cap of its window, as a negative.

    A floor above what is left cannot be kept by the past, so it goes as far as that: from now on
    nothing can be held, and it is for the caller to ask again when some of it has come back.
    Gives the floor it has now; None where there is no such account.
    """
    return store.set_floor(transaction, account_id, floor_nano)


def prepare(transaction: Transaction, now_ms: int) -> None:
    """Open the operator's own accounts that every settlement needs.  Once, before the first."""
    names: tuple[Kind, ...] = (REVENUE, ABSORBED)
    wanted = [Account(name, name, "", 0, 0, None, 0, None, now_ms) for name in names]
    store.add_accounts(transaction, wanted)


def open_account(transaction: Transaction, account: Account) -> None:
    """Does nothing where it is open already."""
    store.add_accounts(transaction, [account])


def accounts_of(transaction: Transaction, organisation_id: str) -> list[Account]:
    """By id.  organisation_id: "" for the operator's own."""
    return store.accounts(transaction, organisation_id)


def prepaid(organisation_id: str, now_ms: int) -> Account:
    """The account of an organisation's paid credit, empty."""
    name = f"prepaid:{organisation_id}"
    return Account(name, "prepaid", organisation_id, 0, 0, 0, PREPAID_PRIORITY, None, now_ms)


def receivable(organisation_id: str, credit_limit_nano: int, now_ms: int) -> Account:
    """The account of what an organisation owes, up to its approved limit."""
    name = f"receivable:{organisation_id}"
    floor_nano = -credit_limit_nano
    return Account(
        name, "receivable", organisation_id, 0, 0, floor_nano, RECEIVABLE_PRIORITY, None, now_ms
    )


class _Funds:
    """The accounts a batch may draw on: locked, decided on in memory, written back in one go."""

    def __init__(self, transaction: Transaction, wishes: Collection[Wish], now_ms: int) -> None:
        self._transaction = transaction
        limits = {limit.account_id: (limit, w) for w in wishes for limit in w.limits}
        owners = {wish.organisation_id for wish in wishes}
        found = {a.id: a for a in store.lock_funds(transaction, owners, limits)}
        missing = [(*limits[name], now_ms) for name in limits if name not in found]
        if missing:  # the first hold of a window
            store.add_accounts(transaction, [_limit_account(*each) for each in missing])
            found = {a.id: a for a in store.lock_funds(transaction, owners, limits)}
        self._accounts = found
        self._held_before = {a.id: a.held_nano for a in found.values()}
        self._funding: defaultdict[str, list[Account]] = defaultdict(list)
        for account in in_order(found.values(), now_ms):
            if account.kind != "limit":
                self._funding[account.organisation_id].append(account)

    def set_aside(
        self, organisation_id: str, amount_nano: int, limits: Sequence[Limit]
    ) -> tuple[Part, ...] | Short:
        return set_aside(amount_nano, self._funding[organisation_id], self._windows(limits))

    def headroom(self, organisation_id: str, limits: Sequence[Limit]) -> Headroom:
        return headroom(self._funding[organisation_id], self._windows(limits))

    def _windows(self, limits: Sequence[Limit]) -> list[tuple[Limit, Account]]:
        return [(limit, self._accounts[limit.account_id]) for limit in limits]

    def write(self) -> None:
        moves = _Moves()
        for account in self._accounts.values():
            moves.add(account.id, 0, account.held_nano - self._held_before[account.id])
        moves.write(self._transaction)


class _Moves:
    """What a batch changes about each account, summed, so that each row is written once."""

    def __init__(self) -> None:
        self._changes: dict[str, tuple[int, int]] = {}

    def add(self, account_id: str, posted_nano: int, held_nano: int) -> None:
        posted_before, held_before = self._changes.get(account_id, (0, 0))
        self._changes[account_id] = (posted_before + posted_nano, held_before + held_nano)

    def release(self, parts: Sequence[Part]) -> None:
        for account_id, held_nano in parts:
            self.add(account_id, 0, -held_nano)

    def count_against_limits(self, parts: Sequence[Part], charged_nano: int) -> None:
        for account_id, held_nano in parts:
            if is_limit(account_id):
                # A window that was opened half way through a stream holds only the rest of it.
                self.add(account_id, -min(held_nano, charged_nano), 0)

    def post(self, postings: Sequence[Posting]) -> None:
        for posting in postings:
            for account_id, nano in posting.entries:
                self.add(account_id, nano, 0)

    def write(self, transaction: Transaction) -> None:
        """Raises: WouldOverdraw."""
        changes = {name: change for name, change in self._changes.items() if change != (0, 0)}
        possible = all(
            max(abs(posted), abs(held)) <= AMOUNT_MAX_NANO for posted, held in changes.values()
        )
        if changes and not (possible and store.move(transaction, changes) == len(changes)):
            raise WouldOverdraw(f"An account does not allow its part of {changes}.")


def _resolve(
    transaction: Transaction, settlements: Collection[Settlement], now_ms: int
) -> dict[str, tuple[str, tuple[Part, ...]]]:
    """(organisation, parts) by id of the holds that these end."""
    ended: dict[str, tuple[str, tuple[Part, ...]]] = {}
    for state in sorted({each.state for each in settlements}):
        ids = sorted(each.request_id for each in settlements if each.state == state)
        ended |= store.resolve_holds(transaction, ids, state, now_ms)
    return ended


def _hold_row(wish: Wish, parts: Sequence[Part], owner: str, now_ms: int) -> Row:
    return (
        wish.request_id,
        wish.organisation_id,
        "open",
        wish.amount_nano,
        store.parts_text(parts),
        wish.quote,
        owner,
        now_ms,
        wish.ttl_ms,
        None,
    )


def _limit_account(limit: Limit, wish: Wish, now_ms: int) -> Account:
    return Account(
        limit.account_id,
        "limit",
        wish.organisation_id,
        0,
        0,
        -limit.cap_nano,
        0,
        limit.ends_at_ms,
        now_ms,
    )


def _charge(
    request_id: str, organisation_id: str, paid: Sequence[Part], absorbed_nano: int
) -> Posting:
    entries = [(account_id, -nano) for account_id, nano in paid]
    if absorbed_nano:
        entries.append((ABSORBED, -absorbed_nano))
    entries.append((REVENUE, -sum(nano for _, nano in entries)))
    return Posting(f"settle:{request_id}", "charge", organisation_id, "", tuple(entries))


def _txn_rows(postings: Sequence[Posting], now_ms: int) -> list[Row]:
    return [(p.id, p.kind, p.organisation_id, p.reason, now_ms) for p in postings]


def _entry_rows(postings: Sequence[Posting]) -> list[Row]:
    return [(p.id, account_id, nano) for p in postings for account_id, nano in p.entries]
