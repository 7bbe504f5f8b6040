"""What watches the books while serving: alerts, audits, signed ends of chains, unpaid invoices."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import Connection

from portico.app.collecting import collecting
from portico.app.failure import CannotStart
from portico.app.payments import desk_of
from portico.audit import service as audit
from portico.billing.alerts.mail import Mails, MailServer
from portico.billing.alerts.model import Delivery, Target
from portico.billing.alerts.service import Alerts
from portico.billing.alerts.webhook import Webhooks
from portico.billing.auditing import AskProvider, Auditor
from portico.billing.payments.recharge_store import freeze
from portico.billing.plans.service import Upkeep
from portico.billing.proofs.heads import opened_keys
from portico.billing.proofs.keys import KeysLost
from portico.billing.rounds import Rounds
from portico.callers.pepper import read_peppers
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.kit.clock import Clock
from portico.kit.ids import new_id
from portico.routing.keys import seal_of
from portico.settings import Settings
from portico.webhooks.endpoints import destination
from portico.webhooks.model import Destination
from portico.webhooks.rules import SecretInvalid, secret_bytes

_HEADS_EVERY_S = 3_600.0
log = logging.getLogger(__name__)


def operator_targets(settings: Settings) -> tuple[Target, ...]:
    named = (Target("webhook", settings.alerts.webhook_url), Target("mail", settings.mail.to))
    return tuple(each for each in named if each.address)


def alerts_of(settings: Settings, database: Database, clock: Clock) -> Alerts:
    """Raises: CannotStart."""
    wanted, mail = settings.alerts, settings.mail
    try:
        secret = secret_bytes(wanted.webhook_secret) if wanted.webhook_secret else None
    except SecretInvalid as error:
        raise CannotStart("settings", f"alerts.webhook_secret: {error}") from error
    webhooks = Webhooks(
        secret,
        clock,
        operator_url=wanted.webhook_url,
        find=partial(_find, database, clock),
        private_allowed=wanted.private_addresses_allowed,
    )
    server = MailServer(mail.host, mail.port, mail.sender, mail.security, mail.user, mail.password)
    return Alerts(
        database,
        clock,
        {"webhook": webhooks, "mail": Mails(server, clock)},
        operator_targets(settings),
        wanted.every_s,
    )


async def _find(database: Database, clock: Clock, delivery: Delivery) -> Destination | None:
    """Where an endpoint is now, and what signs for it."""

    def find(connection: Connection) -> Destination | None:
        return destination(
            Transaction(connection),
            seal_of(read_peppers(database.data_dir)),
            delivery.organisation_id,
            delivery.target,
            clock.wall_ms(),
        )

    return await asyncio.to_thread(database.read, find)


def watching(
    settings: Settings, database: Database, clock: Clock
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """Work beside the road, to be started once the door opens.  Raises: CannotStart."""
    alerts = alerts_of(settings, database, clock)
    operator, owner = operator_targets(settings), new_id("inst")
    rounds = [*collecting(settings, database, clock, owner, operator)]
    if settings.audit.every_s:
        rounds.append(_auditing(settings, database, clock, owner, operator))
    rounds.append(_signing(database, clock, owner))
    upkeep = Upkeep(database, clock, operator)
    return (alerts.run, upkeep.run, *(each.run for each in rounds))


def _auditing(
    settings: Settings, database: Database, clock: Clock, owner: str, operator: tuple[Target, ...]
) -> Rounds:
    # Now, so that a backup and the next server of a shared database find the key from the start;
    # where it was lost, every audit says so.
    with suppress(KeysLost, OSError):
        opened_keys(database)
    provider = ask_provider(settings, database, clock)
    auditor = Auditor(database, clock, owner, operator, freeze, provider)
    return Rounds(database, clock, owner, "audit", settings.audit.every_s, auditor.go_round)


def _signing(database: Database, clock: Clock, owner: str) -> Rounds:
    """Where the chains of who changed what end, signed every hour."""

    def sign(now_ms: int) -> None:
        try:
            key = opened_keys(database)[-1]
        except (KeysLost, OSError) as error:
            log.warning("the audit log's chains are not signed: %s", error)
            return
        database.write(lambda c: audit.sign_heads(c, key.id, key.sign, now_ms))

    return Rounds(database, clock, owner, "audit heads", _HEADS_EVERY_S, sign)


def ask_provider(settings: Settings, database: Database, clock: Clock) -> AskProvider | None:
    """None where no payments are taken.  Raises: CannotStart."""
    if not settings.stripe.secret_key:
        return None
    stripe = desk_of(settings, database, clock).stripe
    return lambda: stripe.balance_lines(0)
