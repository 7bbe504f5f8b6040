"""A ledger in a transaction that is undone when the law has been looked at."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from bench.faults.audit import violations
from bench.faults.place import Place
from portico.db.transaction import Transaction
from portico.ledger import model, owners, receipts, rules, service, store

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Rooms:
    """The ledger's modules: the real ones, or a mutant's."""

    model: ModuleType = model
    rules: ModuleType = rules
    store: ModuleType = store
    receipts: ModuleType = receipts
    service: ModuleType = service
    owners: ModuleType = owners


@dataclass
class World:
    """Every verb runs in a savepoint of its own, as in the writer, and is checked when it ends.

    Amounts are small numbers of nano-USD, so that a failing law can be read.
    """

    transaction: Transaction
    driver: Any
    rooms: Rooms = field(default_factory=Rooms)
    now_ms: int = NOW_MS

    def __post_init__(self) -> None:
        self.rooms.service.prepare(self.transaction, self.now_ms)
        clearing = self.account("cash_clearing", "", "cash_clearing", floor_nano=None)
        self.rooms.service.open_account(self.transaction, clearing)

    # Accounts

    def account(
        self,
        account_id: str,
        organisation_id: str,
        kind: str,
        floor_nano: int | None = 0,
        priority: int = 50,
        expires_at_ms: int | None = None,
    ) -> Any:
        return self.rooms.model.Account(
            account_id,
            kind,
            organisation_id,
            0,
            0,
            floor_nano,
            priority,
            expires_at_ms,
            self.now_ms,
        )

    def fund(self, account_id: str, nano: int, **words: Any) -> str:
        """An account of the organisation behind the colon, with money in it; its name."""
        kind, _, owner = account_id.partition(":")
        words.setdefault("floor_nano", 0)
        with self.step() as transaction:
            account = self.account(account_id, owner.partition(":")[0], kind, **words)
            self.rooms.service.open_account(transaction, account)
            if nano:
                posting = self.posting(
                    f"fund:{account_id}", (account_id, nano), ("cash_clearing", -nano)
                )
                self.rooms.service.post(transaction, [posting], self.now_ms)
        return account_id

    def balance(self, account_id: str) -> tuple[int, int]:
        """(posted, held)."""
        found = self.transaction.rows(
            "SELECT posted_nano, held_nano FROM account WHERE id = ?", (account_id,)
        )
        return (found[0][0], found[0][1])

    # Nouns

    def limit(self, account_id: str, cap_nano: int) -> Any:
        return self.rooms.model.Limit(
            account_id, "key", "key_a", "day", cap_nano, self.now_ms + DAY_MS
        )

    def wish(
        self,
        request_id: str,
        amount_nano: int,
        owner: str = "a",
        limits: Sequence[Any] = (),
        quote: str = "{}",
    ) -> Any:
        return self.rooms.model.Wish(request_id, owner, amount_nano, tuple(limits), quote, 60_000)

    def bill(self, net_nano: int, list_nano: int | None = None) -> Any:
        lines = json.dumps([{"meter": "output_text", "units": 1, "nano": str(net_nano)}])
        return self.rooms.model.Bill(
            "prj_a",
            "key_a",
            "fable",
            "standard",
            "completed",
            lines,
            "trm_a",
            net_nano if list_nano is None else list_nano,
            net_nano,
        )

    def end(self, request_id: str, net_nano: int | None, state: str = "settled") -> Any:
        """net_nano: None voids the hold."""
        bill = None if net_nano is None else self.bill(net_nano)
        return self.rooms.model.Settlement(request_id, "void" if bill is None else state, bill)

    def posting(self, posting_id: str, *entries: tuple[str, int]) -> Any:
        return self.rooms.model.Posting(posting_id, "adjust", "a", "because", entries)

    # Verbs

    @contextmanager
    def step(self) -> Iterator[Transaction]:
        self.driver.execute("SAVEPOINT step")
        try:
            yield self.transaction
        except BaseException:
            self.driver.execute("ROLLBACK TO step")
            raise
        finally:
            self.driver.execute("RELEASE step")
        self.check()

    def hold(self, *wishes: Any, owner: str = "ins_a") -> list[Any]:
        with self.step() as transaction:
            answers: list[Any] = self.rooms.service.hold(transaction, wishes, self.now_ms, owner)
        return answers

    def extend(self, *wishes: Any) -> list[Any]:
        with self.step() as transaction:
            answers: list[Any] = self.rooms.service.extend(transaction, wishes, self.now_ms)
        return answers

    def settle(self, *ends: Any) -> list[Any]:
        with self.step() as transaction:
            answers: list[Any] = self.rooms.service.settle(transaction, ends, self.now_ms)
        return answers

    def post(self, *postings: Any) -> list[bool]:
        with self.step() as transaction:
            answers: list[bool] = self.rooms.service.post(transaction, postings, self.now_ms)
        return answers

    def set_floor(self, account_id: str, floor_nano: int) -> int | None:
        with self.step() as transaction:
            floor: int | None = self.rooms.service.set_floor(transaction, account_id, floor_nano)
        return floor

    # Looking

    def check(self) -> None:
        assert {law: count for law, count in violations(self.transaction).items() if count} == {}

    def state(self) -> list[Any]:
        """Every row of the ledger."""
        tables = ("account", "hold", "txn", "entry", "charge", "chain")
        return [
            sorted(self.transaction.rows(f"SELECT * FROM {table}"), key=repr) for table in tables
        ]

    def hold_states(self) -> dict[str, str]:
        return {row[0]: row[1] for row in self.transaction.rows("SELECT id, state FROM hold")}


@contextmanager
def undone(place: Place, rooms: Rooms | None = None) -> Iterator[World]:
    """A world that leaves no trace in `place`."""
    place.begin()
    try:
        yield World(Transaction(place.connection), place.driver, rooms or Rooms())
    finally:
        place.driver.rollback()
