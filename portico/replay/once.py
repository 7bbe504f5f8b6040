"""A change that is made once, however often it is asked for: claim, change and answer are one commit.

For changes that are nothing but database work (the admin API); what runs a model takes its claim
long before it ends, see `claims`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from portico.db.transaction import Transaction
from portico.kit.clock import Clock
from portico.replay import service, store
from portico.replay.model import Answer, Ended, Replayed, Stored, Wish
from portico.replay.rules import in_use, objection

_OWNER = "once"
"""No claim of its is ever seen open from outside."""


class Done(NamedTuple):
    """status, body: of the answer.  again: it was made before, and nothing was done now."""

    status: int
    body: bytes
    again: bool


def once(
    connection: Connection,
    wish: Wish,
    now_ms: int,
    keep_ms: int,
    change: Callable[[], tuple[int, bytes]],
) -> Done:
    """change: gives the answer that is kept.  What it raises undoes the claim with everything else
    in the transaction, so that the next try runs.

    Raises: what `change` raises; Refusal: idempotency_key_reused (409).
    """
    transaction = Transaction(connection)
    standing = service.take(transaction, [wish], now_ms, _OWNER, now_ms + keep_ms)[0]
    assert standing is not None  # it is, for a wish
    if standing.request_id == wish.request_id:
        status, body = change()
        answer = Answer(status, b"", False, body, b"", b"")
        service.finish(transaction, [Ended(wish.request_id, keep_ms, answer)], {}, now_ms)
        return Done(status, body, again=False)
    refusal = objection(standing, wish)
    if refusal is not None:
        raise refusal
    stored = store.stored(connection, standing.request_id)
    if stored is None or stored.body is None:
        raise in_use(wish)
    return Done(stored.status, stored.body, again=True)


@dataclass(frozen=True, slots=True)
class Once:
    """`once` for a change whose answer is known before it is made.  keep_ms: how long that is kept."""

    wish: Wish
    clock: Clock
    keep_ms: int

    def claim(self, connection: Connection, body: bytes) -> None:
        """In front of the change, in its commit.  body: the answer.

        Raises: Replayed, where it was made before; Refusal: idempotency_key_reused (409)."""
        done = once(connection, self.wish, self.clock.wall_ms(), self.keep_ms, lambda: (200, body))
        if done.again:
            raise Replayed(Stored(self.wish.request_id, done.status, b"", False, done.body))
