"""Keeps allowances and expiry up with the calendar.  Several servers may do so at once."""

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy import Connection

from portico.billing import credits
from portico.billing.alerts import outbox
from portico.billing.alerts.model import Target
from portico.billing.plans import store
from portico.billing.plans.model import Allowance, Due, Period, Renewal
from portico.billing.plans.rules import NOTICE_DAYS, due, notice
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import Clock
from portico.kit.ids import new_id

EVERY_S = 30.0
_DAY_MS = 86_400_000
log = logging.getLogger(__name__)


def set_allowance(
    transaction: Transaction, organisation_id: str, period: Period, nano: int, now_ms: int
) -> Allowance:
    """From the window under way on.  An organisation may have several; each is granted.

    Raises: credits.NotGranted.
    """
    if nano <= 0:
        raise credits.NotGranted("An allowance must be above 0.")
    credits.check_organisation(transaction, organisation_id)
    made = Allowance(new_id("allow"), organisation_id, period, nano, now_ms, None)
    store.add(transaction, made)
    _grant(transaction, [made], now_ms)
    return made


def end_allowance(transaction: Transaction, allowance_id: str, now_ms: int) -> bool:
    """What was granted stays until its window ends.  False where there is none that goes on."""
    return store.end(transaction, allowance_id, now_ms)


def allowances(transaction: Transaction, now_ms: int) -> list[Allowance]:
    """Those that go on."""
    return store.allowances(transaction, now_ms)


def keep_up(transaction: Transaction, operator: Sequence[Target], now_ms: int) -> Renewal:
    """Everything the calendar asks for at `now_ms`; doing it again does nothing.

    operator: who is told of credit that is about to expire.
    """
    granted = _grant(transaction, store.allowances(transaction, now_ms), now_ms)
    expired = credits.expire(transaction, now_ms)
    told = 0
    for each in store.expiring(transaction, now_ms, now_ms + max(NOTICE_DAYS) * _DAY_MS + 1):
        # The rest of a day's or month's allowance goes as a matter of course.
        if each.account_id.startswith("promo:allow_"):
            continue
        alert = notice(each, now_ms)
        if alert is not None:
            told += outbox.tell(transaction, alert, operator, now_ms)
    return Renewal(tuple(granted), tuple(expired), told)


def _grant(transaction: Transaction, wanted: Sequence[Allowance], now_ms: int) -> list[str]:
    grants = due(wanted, now_ms)
    known = store.granted(transaction, [each.id for each in grants])
    return [
        each.id
        for each in grants
        if each.id not in known and credits.grant(transaction, _credit(each), now_ms)
    ]


def _credit(due: Due) -> credits.Credit:
    return credits.Credit(
        due.id, due.organisation_id, due.nano, "promo", due.expires_at_ms, due.reason
    )


class Upkeep:
    """operator: who is told of credit that is about to expire."""

    def __init__(self, database: Database, clock: Clock, operator: Sequence[Target]) -> None:
        self._database = database
        self._clock = clock
        self._operator = tuple(operator)

    async def run(self) -> None:
        """Ends when cancelled."""
        while True:
            await self.go_round()
            await asyncio.sleep(EVERY_S)

    async def go_round(self) -> None:
        """Once.  What the database will not take now waits for the next time."""
        try:
            done = await asyncio.to_thread(self._database.write, self._keep_up)
        except Exception as error:
            trouble = self._database.backend.trouble(error)
            if trouble is None:
                raise
            log.warning("allowances and expiry wait: %s", trouble.says)
            return
        if done.granted or done.expired:
            log.info("%d grants made, %d expired", len(done.granted), len(done.expired))

    def _keep_up(self, connection: Connection) -> Renewal:
        return keep_up(Transaction(connection), self._operator, self._clock.wall_ms())
