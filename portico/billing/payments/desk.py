"""What every payment needs: the books, the provider, the time, and whom to tell."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from portico.billing.payments.model import Alarm
from portico.billing.payments.provider.stripe import Stripe
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import Clock

T = TypeVar("T")
DAY_MS = 86_400_000
log = logging.getLogger(__name__)


def tell_the_log(alarm: Alarm) -> None:
    log.error("payments: %s %s: %s", alarm.kind, alarm.organisation_id, alarm.says)


@dataclass(frozen=True, slots=True)
class Desk:
    """credit_days: how long credit that was paid for lasts.  tell: must not wait or raise."""

    database: Database
    stripe: Stripe
    clock: Clock
    credit_days: int = 365
    tell: Callable[[Alarm], None] = tell_the_log

    def do(self, work: Callable[[Transaction], T]) -> T:
        """In a transaction of its own.  Raises: sqlalchemy.exc.DBAPIError, the driver's errors."""
        return self.database.write(lambda connection: work(Transaction(connection)))

    def now_ms(self) -> int:
        return self.clock.wall_ms()
