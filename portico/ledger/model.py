"""Accounts, holds and transactions.  Amounts are whole nano-USD.

(Structs of msgspec, but for what a transaction changes: each is made for every paid request, and a
frozen dataclass costs several times as much.)
"""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

Kind = Literal[
    "prepaid",  # paid credit of an organisation; floor 0
    "promo",  # one grant of free credit; floor 0, may expire
    "receivable",  # what an organisation owes; floor minus its approved limit
    "disputed",  # paid credit whose payment is disputed; pays for nothing until that is decided
    "limit",  # one window of a budget; carries no entries
    "revenue",
    "discount",
    "cash_clearing",
    "refunds",
    "breakage",
    "tax_payable",
    "absorbed_overrun",
    "cogs",
    "provider_payable",
]
EndState = Literal["settled", "void", "expired"]

AMOUNT_MAX_NANO = 2**62 - 1
"""Largest amount, and largest balance in either direction: two of them still add up within the 64
bits of a column, so no sum can overflow before it is refused."""

Part = tuple[str, int]
"""(account id, nano) of a hold."""


@dataclass(slots=True)
class Account:
    """A row, inside a transaction that holds its lock.  `posted_nano - held_nano` never falls
    below `floor_nano` (None: no floor)."""

    id: str
    kind: Kind
    organisation_id: str
    posted_nano: int
    held_nano: int
    floor_nano: int | None
    priority: int
    expires_at_ms: int | None
    created_at_ms: int

    @property
    def spendable_nano(self) -> int | None:
        """What may still be held; None: anything."""
        if self.floor_nano is None:
            return None
        return self.posted_nano - self.held_nano - self.floor_nano


class Limit(msgspec.Struct, frozen=True):
    """One window of a budget that a hold must fit into.

    account_id: "limit:<budget id>:<start of the window in ms>"; made by the first hold in it.
    scope, scope_id, period, ends_at_ms: for the refusal's words and its reset time.
    """

    account_id: str
    scope: str
    scope_id: str
    period: str
    cap_nano: int
    ends_at_ms: int


class Wish(msgspec.Struct, frozen=True):
    """A hold asked for.  The funding accounts are found by organisation; the limits are named.

    amount_nano: the worst case, from 1 to `AMOUNT_MAX_NANO`.
    quote: pricing.model.Quote as JSON.
    Raises: ValueError.
    """

    request_id: str
    organisation_id: str
    amount_nano: int
    limits: tuple[Limit, ...]
    quote: str
    ttl_ms: int

    def __post_init__(self) -> None:
        if not 0 < self.amount_nano <= AMOUNT_MAX_NANO:
            raise ValueError(f"{self.request_id}: {self.amount_nano} nano-USD cannot be held.")


class Headroom(msgspec.Struct, frozen=True):
    """What is left beside everything that is held.

    balance_nano: of the funds; None: no end to them.
    limit, limit_nano: the tightest window and what is left of it; None and 0 where there is none.
    """

    balance_nano: int | None
    limit: Limit | None = None
    limit_nano: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """An open hold.  parts: funding accounts first, then limits; each limit carries the whole.

    headroom: once this was held; None for a hold that was there already.
    """

    request_id: str
    amount_nano: int
    parts: tuple[Part, ...]
    headroom: Headroom | None = field(default=None, compare=False)


class Short(msgspec.Struct, frozen=True):
    """Why a hold was refused.

    limit: the window that is full; None when the funds are short.
    available_nano: what could be held now.
    in_flight_nano: what other open requests hold there: it may come back.
    """

    limit: Limit | None
    available_nano: int
    in_flight_nano: int


class Bill(msgspec.Struct, frozen=True):
    """What a settled request costs, ready for its receipt.

    lines: pricing.model.Line objects as JSON.  net_nano: the charge as rated; what is above the
    hold is absorbed, not charged.  Raises: ValueError, for a negative or impossible amount.
    """

    project_id: str
    key_id: str
    model: str
    tier: str
    outcome: str
    lines: str
    terms_id: str
    list_nano: int
    net_nano: int

    def __post_init__(self) -> None:
        for nano in (self.list_nano, self.net_nano):
            if not 0 <= nano <= AMOUNT_MAX_NANO:
                raise ValueError(f"{nano} nano-USD cannot be charged.")


class Settlement(msgspec.Struct, frozen=True):
    """The end of a hold.  bill: None voids it, and nothing is charged."""

    request_id: str
    state: EndState
    bill: Bill | None


class Settled(msgspec.Struct, frozen=True):
    """What came of a settlement.  charged_nano + absorbed_nano is what it was rated at."""

    charged_nano: int
    absorbed_nano: int


class WouldOverdraw(Exception):
    """A posting would bring an account below its floor or beyond `AMOUNT_MAX_NANO`, or does not
    find it.  Whoever began the transaction undoes it: a part of the batch may be written."""


class Posting(msgspec.Struct, frozen=True):
    """One transaction: an id that is its idempotency key, and entries that sum to zero.

    Raises: ValueError.
    """

    id: str
    kind: str
    organisation_id: str
    reason: str
    entries: tuple[Part, ...]

    def __post_init__(self) -> None:
        total_nano, names = 0, set()
        for account_id, nano in self.entries:
            if not 0 < abs(nano) <= AMOUNT_MAX_NANO:
                raise ValueError(f"{self.id} has an amount that is none: {self.entries}.")
            total_nano += nano
            names.add(account_id)
        if total_nano != 0:
            raise ValueError(f"The entries of {self.id} do not sum to zero: {self.entries}.")
        if len(names) != len(self.entries):
            raise ValueError(f"{self.id} names an account twice: {self.entries}.")
