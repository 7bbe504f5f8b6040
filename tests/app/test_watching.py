"""What a server does about unpaid invoices by itself, on a clock that the test holds."""

import asyncio
import email
import email.policy
import json
from typing import Any

import pytest

from portico.app.failure import CannotStart
from portico.app.watching import watching
from portico.billing.invoices.service import documents
from portico.db.database import Database
from portico.ledger.model import Held, Short
from portico.settings import Settings, load
from tests.billing.alerts.inbox import Clock, Hook, Mailbox, hook, mailbox
from tests.billing.invoices.shop import DAY_MS, DOLLAR, Shop, ms

pytestmark = pytest.mark.anyio
DUE_MS = ms("2026-03-15")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def settings_of(box: Mailbox, there: Hook) -> Settings:
    mail: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": box.port,
        "security": "none",
        "to": "ops@example.org",
    }
    alerts: dict[str, Any] = {
        "every_s": 0.01,
        "webhook_url": there.url,
        "webhook_secret": SECRET,
        "private_addresses_allowed": True,
    }
    # How often it looks; the clock of the test says what it finds.
    flags = {"mail": mail, "alerts": alerts, "dunning": {"every_s": 0.01}, "audit": {"every_s": 0}}
    return load(environment={}, flags=flags)


@pytest.fixture
def shop(database: Database) -> Shop:
    """org_1 owes $2.38, due on 2026-03-15."""
    made = Shop(database, "org_1", now_ms=ms("2026-02-03"))
    made.taxes("DE", 1900)
    made.may_owe(10 * DOLLAR)
    made.is_customer()
    made.uses({"input_text": 1_000_000})
    made.now_ms = ms("2026-03-01")
    assert made.invoice("2026-02").due_at_ms == DUE_MS
    return made


class Told:
    """Waits until so many mails and so many webhooks are there."""

    def __init__(self, box: Mailbox, there: Hook) -> None:
        self._lists: tuple[list[Any], list[Any]] = (box.mails, there.posts)
        self._more = asyncio.Event()
        box.on_mail = there.on_post = self._more.set

    async def both(self, count: int) -> None:
        async with asyncio.timeout(30):
            while not all(len(each) >= count for each in self._lists):
                self._more.clear()
                await self._more.wait()
        assert [len(each) for each in self._lists] == [count, count]


def subject(mail: str) -> str:
    said = email.message_from_string(mail.replace("\r\n", "\n"), policy=email.policy.default)
    assert said["To"] == "pay@example.org"
    return str(said["Subject"]).strip()


async def test_who_does_not_pay_is_told_then_closed_and_open_again_when_it_is_paid(
    shop: Shop,
) -> None:
    clock = Clock(DUE_MS - 1)
    async with mailbox() as box, hook() as there:
        arrived = Told(box, there)
        works = watching(settings_of(box, there), shop.database, clock)
        serving = [asyncio.get_running_loop().create_task(work()) for work in works]
        for told, day in enumerate((0, 3, 7, 14, 21, 28), 1):
            clock.now_ms = DUE_MS + day * DAY_MS
            await arrived.both(told)
        assert isinstance(shop.hold(1), Short), "suspended"
        shop.now_ms = clock.now_ms
        (invoice,) = shop.do(lambda t: documents(t, "org_1"))
        shop.pays(invoice, 238)
        assert isinstance(shop.hold(1), Held)
        clock.now_ms += 1_000
        await arrived.both(7)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
    unpaid = "Portico: $2.38 of invoice INV-2026-000001 was due on 2026-03-15 and is not paid"
    assert [subject(mail) for mail in box.mails] == [
        *[f"{unpaid}."] * 4,
        f"{unpaid}: org_1 gets nothing more on account; its own credit still pays.",
        f"{unpaid}: nothing that costs is admitted for org_1. Its data stays.",
        "Portico: Nothing is overdue any more: org_1 is in good standing again.",
    ]
    assert [json.loads(post.body)["type"] for post in there.posts] == [
        *["invoice.overdue"] * 4,
        "organisation.read_only",
        "organisation.suspended",
        "organisation.restored",
    ]
    assert all(post.is_signed_with(SECRET) for post in there.posts), "the operator's own secret"
    assert shop.rows("SELECT count(*) FROM dunning_notice WHERE sent_at_ms IS NULL") == [(0,)]


def test_days_that_do_not_rise_do_not_start(database: Database) -> None:
    settings = load(environment={}, flags={"dunning": {"read_only_day": 1}})
    with pytest.raises(CannotStart, match="must rise"):
        watching(settings, database, Clock(DUE_MS))
