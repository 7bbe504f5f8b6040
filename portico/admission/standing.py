"""Where a caller stands: what its organisation can spend, and what is left of each budget."""

from dataclasses import dataclass

from sqlalchemy import Connection

from portico.admission.budgets import Budgets
from portico.admission.rules import headroom_lines
from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.kit.clock import Clock
from portico.ledger import service as ledger
from portico.ledger.model import Account, Headroom, Limit, Short
from portico.ledger.rules import in_order

FUNDING = ("promo", "prepaid")


@dataclass(frozen=True, slots=True)
class Window:
    """One budget now.  Amounts in nano-USD; remaining_nano never falls below 0."""

    limit: Limit
    spent_nano: int
    held_nano: int
    remaining_nano: int


@dataclass(frozen=True, slots=True)
class Standing:
    """accounts: those that can pay, in the order in which they are used up; expired ones cannot."""

    accounts: tuple[Account, ...]
    windows: tuple[Window, ...]

    def shorts(self, amount_nano: int) -> list[Short]:
        """Every reason why a hold of `amount_nano` would be refused now."""
        found = [
            Short(window.limit, window.remaining_nano, window.held_nano)
            for window in self.windows
            if window.remaining_nano < amount_nano
        ]
        available_nano = self.available_nano
        if available_nano is not None and available_nano < amount_nano:
            held_nano = sum(account.held_nano for account in self.accounts)
            found.append(Short(None, available_nano, held_nano))
        return found

    def lines(self) -> bytes:
        """Header lines: what can be spent, and what is left of the tightest budget."""
        tightest = min(self.windows, key=lambda window: window.remaining_nano, default=None)
        if tightest is None:
            return headroom_lines(Headroom(self.available_nano))
        left_nano = tightest.remaining_nano
        return headroom_lines(Headroom(self.available_nano, tightest.limit, left_nano))

    @property
    def available_nano(self) -> int | None:
        """What a new request could set aside, budgets left out; None: no end to it."""
        spendable = [account.spendable_nano for account in self.accounts]
        return None if None in spendable else sum(max(0, each or 0) for each in spendable)


class Standings:
    """Read on a thread; nothing here waits for the writer."""

    def __init__(self, readers: Readers, budgets: Budgets, clock: Clock) -> None:
        self._readers = readers
        self._budgets = budgets
        self._clock = clock

    async def of(self, caller: Caller) -> Standing:
        """Raises: sqlalchemy.exc.DBAPIError."""
        limits = self._budgets.limits(caller)

        def read(connection: Connection) -> Standing:
            found = ledger.accounts_of(Transaction(connection), caller.organisation_id)
            by_id = {account.id: account for account in found}
            funding = [account for account in found if _may_pay(account)]
            return Standing(
                tuple(in_order(funding, self._clock.wall_ms())),
                tuple(_window(limit, by_id.get(limit.account_id)) for limit in limits),
            )

        return await self._readers.run(read, tenant=caller.organisation_id)


def _may_pay(account: Account) -> bool:
    """Spent grants leave empty accounts behind, of which nobody wants to hear."""
    if account.kind == "receivable":
        return True
    return account.kind in FUNDING and (account.posted_nano > 0 or account.held_nano > 0)


def _window(limit: Limit, account: Account | None) -> Window:
    """A window that nothing was held in yet has no account."""
    if account is None:
        return Window(limit, 0, 0, limit.cap_nano)
    return Window(
        limit, -account.posted_nano, account.held_nano, max(0, account.spendable_nano or 0)
    )
