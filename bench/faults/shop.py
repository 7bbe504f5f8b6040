"""An organisation with a card, a till of Portico's, and a Stripe that is not real, on loopback."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from sqlalchemy import insert

from portico.billing.fake_stripe.app import FakeStripe
from portico.billing.fake_stripe.courier import Courier
from portico.billing.payments.desk import Desk
from portico.billing.payments.model import Alarm
from portico.billing.payments.office import Office, opened
from portico.billing.payments.provider.stripe import Stripe, StripeAccount
from portico.db.database import Database
from portico.db.tables import organisation
from portico.db.transaction import Transaction
from portico.ledger import service as ledger

NOW_MS = 1_795_219_200_000  # 2026-11-21T00:00:00Z
SECRET = "whsec_of_a_shop_that_is_only_a_test"
ORG = "org_1"


class HandClock:
    """Stands still until somebody moves it."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1000

    def wall_ms(self) -> int:
        return self.now_ms


class Port:
    """A server whose app can be exchanged: starting one takes longer than most tests."""

    def __init__(self) -> None:
        self.app: FakeStripe | None = None
        self.url = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@contextmanager
def port() -> Iterator[Port]:
    made = Port()
    listening = socket.create_server(("127.0.0.1", 0))
    made.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    # A connection that is closed for being idle, while a request is on its way, is a fault that
    # nobody asked for here.
    config = uvicorn.Config(
        made,
        log_level="error",
        lifespan="off",
        ws="none",
        access_log=False,
        timeout_keep_alive=3_600,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listening.close()


@dataclass
class Shop:
    database: Database
    stripe_at: Port
    seed: int = 0
    clock: HandClock = field(default_factory=HandClock)
    alarms: list[Alarm] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.fake = FakeStripe(self.clock, Courier(SECRET, self.clock, rng))
        self.stripe_at.app = self.fake
        self.stripe = Stripe(self.account)
        self.desk = self.new_desk(self.stripe)
        self.office = self.new_office(self.desk)

        def begin(transaction: Transaction) -> None:
            run = transaction.connection.execute
            run(insert(organisation).values(id=ORG, name="One", created_at_ms=1))
            ledger.prepare(transaction, 1)

        self.desk.do(begin)

    @property
    def account(self) -> StripeAccount:
        return StripeAccount("sk_test_shop", "test", self.stripe_at.url, retries=0)

    def new_desk(self, stripe: Stripe) -> Desk:
        return Desk(self.database, stripe, self.clock, 365, self.alarms.append)

    def new_office(self, desk: Desk) -> Office:
        return opened(desk, SECRET)

    def keep(self, token: str = "pm_card_visa") -> None:
        self.office.top_ups.keep_card(ORG, token)

    def switch(self, path: str, form: str = "") -> dict[str, Any]:
        """Turn one of the switches under /_fake."""
        result = self.fake.answer("POST", f"/_fake/{path}", "", form, {})
        assert result.status == 200, result.body
        return result.body

    def made(self, kind: str) -> list[dict[str, Any]]:
        """Stripe's objects of a kind, oldest first."""
        return [each for each in self.fake.world.objects.values() if each["object"] == kind]

    def deliver(self) -> list[str]:
        """Every event that waits, through the switches; what came of each."""
        assert self.office.events is not None
        receive = self.office.events.receive
        return [receive(each.body, each.signature).outcome for each in self.fake.courier.letters()]

    def lose_events(self) -> None:
        self.fake.courier.letters()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.desk.do(lambda transaction: transaction.rows(sql))

    def posted(self, account_id: str) -> int:
        """0 for an account that is not there."""
        found = self.rows(f"SELECT posted_nano FROM account WHERE id = '{account_id}'")
        return int(found[0][0]) if found else 0

    def credit_nano(self) -> int:
        """What the organisation can spend, what is set aside included."""
        sql = (
            "SELECT coalesce(sum(posted_nano), 0) FROM account "
            f"WHERE organisation_id = '{ORG}' AND kind = 'prepaid'"
        )
        return int(self.rows(sql)[0][0])

    def unbalanced(self) -> list[tuple[Any, ...]]:
        """Transactions that do not sum to zero; accounts that are not the sum of their entries."""
        return self.rows(
            "SELECT txn_id FROM entry GROUP BY txn_id HAVING sum(amount_nano) <> 0"
        ) + self.rows(
            "SELECT id FROM account WHERE posted_nano <> (SELECT coalesce(sum(amount_nano), 0) "
            "FROM entry WHERE account_id = account.id)"
        )
