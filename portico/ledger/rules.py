"""Who can pay, out of what, and what a settled hold comes to.  Pure; amounts are nano-USD."""

import hashlib
from collections.abc import Iterable, Sequence

from portico.ledger.model import Account, Headroom, Limit, Part, Short

GENESIS = bytes(32)
"""What the first receipt of a chain names as the one before it."""


def in_order(accounts: Iterable[Account], now_ms: int) -> list[Account]:
    """Funding accounts in the order in which they are used up: by priority, then by what expires
    first, then by age.  Expired ones are left out; their rest is breakage, not money."""
    usable = [a for a in accounts if a.expires_at_ms is None or a.expires_at_ms > now_ms]
    return sorted(
        usable,
        key=lambda a: (
            a.priority,
            a.expires_at_ms is None,
            a.expires_at_ms or 0,
            a.created_at_ms,
            a.id,
        ),
    )


def set_aside(
    amount_nano: int,
    funding: Sequence[Account],
    limits: Sequence[tuple[Limit, Account]],
) -> tuple[Part, ...] | Short:
    """Hold `amount_nano` in these accounts, which are changed, or say why not and change nothing.

    The whole amount is held in every limit, and once in the funding accounts together, in order.
    """
    for limit, account in limits:
        left_nano = _left_of(limit, account)
        if left_nano < amount_nano:
            return Short(limit, max(left_nano, 0), account.held_nano)
    parts: list[tuple[Account, int]] = []
    missing_nano = amount_nano
    for account in funding:
        spendable = account.spendable_nano
        taken = missing_nano if spendable is None else min(missing_nano, max(spendable, 0))
        if taken:
            parts.append((account, taken))
            missing_nano -= taken
    if missing_nano:
        in_flight = sum(account.held_nano for account in funding)
        return Short(None, amount_nano - missing_nano, in_flight)
    parts += [(account, amount_nano) for _, account in limits]
    for account, taken in parts:
        account.held_nano += taken
    return tuple((account.id, taken) for account, taken in parts)


def headroom(funding: Sequence[Account], limits: Sequence[tuple[Limit, Account]]) -> Headroom:
    """After a hold: what the next one finds."""
    spendable = [account.spendable_nano for account in funding]
    endless = None in spendable
    balance_nano = None if endless else sum(max(nano or 0, 0) for nano in spendable)
    if not limits:
        return Headroom(balance_nano)
    left_nano, at = min((_left_of(*each), at) for at, each in enumerate(limits))
    return Headroom(balance_nano, limits[at][0], max(0, left_nano))


def _left_of(limit: Limit, account: Account) -> int:
    # The floor follows a cap that was lowered only down to what is spent or held already.
    left_nano = limit.cap_nano + account.posted_nano - account.held_nano
    stored_nano = account.spendable_nano
    return left_nano if stored_nano is None else min(left_nano, stored_nano)


def is_limit(account_id: str) -> bool:
    return account_id.startswith("limit:")


def paid_from(parts: Sequence[Part], net_nano: int) -> tuple[tuple[Part, ...], int]:
    """(what each funding account pays, what nobody pays) of a charge against its hold.

    Accounts pay in the order in which they were held.  What the charge has above the hold is the
    operator's loss: a balance never goes below what was set aside.
    """
    paid: list[Part] = []
    missing_nano = net_nano
    for account_id, held_nano in parts:
        if is_limit(account_id):
            continue
        share = min(held_nano, missing_nano)
        if share:
            paid.append((account_id, share))
            missing_nano -= share
    return tuple(paid), missing_nano


def merged(parts: Sequence[Part], more: Sequence[Part]) -> tuple[Part, ...]:
    """Two sets of parts as one; funding accounts stay before limits, in the order of first use."""
    total: dict[str, int] = {}
    for account_id, nano in sorted((*parts, *more), key=lambda part: is_limit(part[0])):
        total[account_id] = total.get(account_id, 0) + nano
    return tuple(total.items())


def link(previous: bytes, receipt: bytes) -> bytes:
    """The hash of a receipt in its chain: it changes if this one or any before it does."""
    return hashlib.sha256(previous + receipt).digest()
