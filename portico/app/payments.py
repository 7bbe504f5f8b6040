"""Taking payments while serving: events come in, the rest is looked up."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from portico import errors
from portico.app.failure import CannotStart
from portico.billing.alerts import outbox
from portico.billing.alerts.model import Alert, Target
from portico.billing.payments.desk import DAY_MS, Desk, tell_the_log
from portico.billing.payments.model import Alarm, ProviderRefused, ProviderUnavailable
from portico.billing.payments.office import Office, opened
from portico.billing.payments.provider.stripe import SdkMissing, Stripe, StripeAccount
from portico.billing.payments.service import Mismatched
from portico.billing.payments.webhook import Events, Received
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.door.endpoints.webhook import Webhook
from portico.door.routes import Route
from portico.kit.clock import Clock
from portico.settings import Settings

_THREADS = 2
_WAITING_MAX = 200
"""Events in line; more are sent again by Stripe."""
log = logging.getLogger(__name__)


def desk_of(
    settings: Settings,
    database: Database,
    clock: Clock,
    tell: Callable[[Alarm], None] = tell_the_log,
) -> Desk:
    """Raises: CannotStart."""
    wanted = settings.stripe
    try:
        stripe = Stripe(StripeAccount(wanted.secret_key, wanted.mode, wanted.api_base))
    except (ValueError, SdkMissing) as error:
        raise CannotStart("settings", f"stripe: {error}") from error
    return Desk(database, stripe, clock, wanted.credit_days, tell)


def telling(
    database: Database, clock: Clock, operator: Collection[Target]
) -> Callable[[Alarm], None]:
    """Alarms in the log, and once a day each kind of them to the operator."""

    def tell(alarm: Alarm) -> None:
        tell_the_log(alarm)
        now_ms = clock.wall_ms()
        subject = f"payment:{alarm.kind}:{alarm.organisation_id}:{now_ms // DAY_MS}"
        about = {"alarm": alarm.kind, "organisation_id": alarm.organisation_id}
        alert = Alert("payment.alarm", subject, "", alarm.says, about)
        try:
            database.write(lambda c: outbox.tell(Transaction(c), alert, operator, now_ms))
        except Exception as error:
            if database.backend.trouble(error) is None:
                raise
            log.warning("an alarm is in the log only: %s", error)

    return tell


class Till:
    """Everything blocking runs on threads of its own: Stripe may be slow, and the event loop and
    everybody else's threads must not notice."""

    def __init__(self, desk: Desk, office: Office, poll_s: float) -> None:
        self._desk = desk
        self._office = office
        self._poll_s = poll_s
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="portico-pay")
        self._waiting = 0

    def routes(self) -> list[Route]:
        """None without a secret to know Stripe's events by."""
        events = self._office.events
        if events is None:
            return []

        async def receive(body: bytes, signature: str) -> Received:
            return await self._receive(events, body, signature)

        webhook = Webhook(receive)
        summary = "Where Stripe tells of payments; signed."
        return [Route("POST", "/v1/webhooks/stripe", webhook.handle, summary, open=True)]

    async def run(self) -> None:
        """Poll and recharge, for ever.  The first round finds what the last process left."""
        while True:
            await self._round(self._office.poller.run)
            await self._round(self._office.recharge.run)
            await asyncio.sleep(self._poll_s)

    async def close(self) -> None:
        """Waits for what is under way."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _round(self, work: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, work)
        except (ProviderUnavailable, ProviderRefused, Mismatched) as error:
            log.warning("payments: %s", error)
        except Exception as error:
            trouble = self._desk.database.backend.trouble(error)
            if trouble is None:
                raise
            log.warning("payments wait: %s", trouble.says)

    async def _receive(self, events: Events, body: bytes, signature: str) -> Received:
        event = events.read(body, signature)
        if isinstance(event, Received):
            return event
        if self._waiting >= _WAITING_MAX:
            raise errors.OVERLOADED(
                "Too many events wait.", limit=_WAITING_MAX, retry_after_ms=10_000
            )
        self._waiting += 1
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, events.handle, event)
        except ProviderUnavailable as error:
            raise errors.UPSTREAM_FAILED(f"{error}  Send the event again.") from error
        except Exception as error:
            trouble = self._desk.database.backend.trouble(error)
            if trouble is None:
                raise
            raise errors.STORAGE_UNAVAILABLE(
                f"The event was not handled: {trouble.says}.", retry_after_ms=10_000
            ) from error
        finally:
            self._waiting -= 1


@dataclass(frozen=True, slots=True)
class Taking:
    """What the rest of the server needs of it: both empty where no payments are taken."""

    routes: tuple[Route, ...] = ()
    follow: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = ()
    """Work beside the road, to be started once the door opens."""


@asynccontextmanager
async def taking_payments(
    settings: Settings, database: Database, clock: Clock, operator: Collection[Target]
) -> AsyncIterator[Taking]:
    """Raises: CannotStart."""
    if not settings.stripe.secret_key:
        yield Taking()
        return
    tell = telling(database, clock, operator)
    desk = await asyncio.to_thread(desk_of, settings, database, clock, tell)
    till = Till(desk, opened(desk, settings.stripe.webhook_secret), settings.stripe.poll_s)
    try:
        yield Taking(tuple(till.routes()), (till.run,))
    finally:
        await till.close()
