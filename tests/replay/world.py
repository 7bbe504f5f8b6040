"""Claims in a transaction that is undone when the law has been looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from bench.faults.place import Place
from portico.db.transaction import Transaction
from portico.replay import model, rules, service, store
from portico.replay.model import Answer, Ended, Release, Standing, Stored, Wish

NOW_MS = 1_800_000_000_000
OPEN_MS = 1_000
KEEP_MS = 5_000
ANSWER = Answer(200, b"content-type: x\r\n", True, b"one", b": cost %d\n", b"two")


@dataclass(frozen=True)
class Rooms:
    """The modules of claims: the real ones, or a mutant's."""

    model: ModuleType = model
    rules: ModuleType = rules
    store: ModuleType = store
    service: ModuleType = service


def wish(request: str, key: str = "k", body: str = "a", project: str = "p") -> Wish:
    return Wish(project, key, body.encode().ljust(32), request)


def release(request: str, key: str = "k", project: str = "p") -> Release:
    return Release(project, key, request)


def kept(request: str, answer: Answer | None = ANSWER) -> Ended:
    return Ended(request, KEEP_MS, answer)


@dataclass
class World:
    """Every verb runs in a savepoint of its own, as in the writer."""

    transaction: Transaction
    rooms: Rooms = field(default_factory=Rooms)
    now_ms: int = NOW_MS

    @contextmanager
    def step(self) -> Iterator[Transaction]:
        self.transaction.run("SAVEPOINT step")
        try:
            yield self.transaction
        except BaseException:
            self.transaction.run("ROLLBACK TO SAVEPOINT step")
            raise
        finally:
            self.transaction.run("RELEASE SAVEPOINT step")

    def live(self, owner: str) -> None:
        self.transaction.run("INSERT INTO instance VALUES (?, 0, 0)", (owner,))

    def die(self, owner: str) -> None:
        self.transaction.run("DELETE FROM instance WHERE id = ?", (owner,))

    def take(self, *items: Wish | Release, owner: str = "inst_1") -> list[str | None]:
        """For each who has its key now."""
        found = self.stand(*items, owner=owner)
        return [None if each is None else each.request_id for each in found]

    def stand(self, *items: Wish | Release, owner: str = "inst_1") -> list[Standing | None]:
        with self.step() as transaction:
            answers: list[Standing | None] = self.rooms.service.take(
                transaction, items, self.now_ms, owner, self.now_ms + OPEN_MS
            )
        return answers

    def finish(self, *ended: Ended, charged: dict[str, int] | None = None) -> None:
        with self.step() as transaction:
            self.rooms.service.finish(transaction, ended, charged or {}, self.now_ms)

    def release(self, *ids: str) -> set[str]:
        with self.step() as transaction:
            found: set[str] = self.rooms.service.release(transaction, ids)
        return found

    def release_stale(self) -> int:
        with self.step() as transaction:
            count: int = self.rooms.service.release_stale(transaction, self.now_ms)
        return count

    def purge(self) -> bool:
        with self.step() as transaction:
            more: bool = self.rooms.service.purge(transaction, self.now_ms)
        return more

    def stored_bytes(self, project: str) -> int:
        found: int = self.rooms.store.stored_bytes(self.transaction.connection, project)
        return found

    def stored(self, request: str) -> Stored | None:
        found: Stored | None = self.rooms.store.stored(self.transaction.connection, request)
        return found

    def rows(self) -> list[Any]:
        return sorted(self.transaction.rows("SELECT * FROM idempotency_key"), key=repr)

    def holders(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(request, state) by (project, key)."""
        found = self.transaction.rows(
            "SELECT project_id, key, request_id, state FROM idempotency_key"
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in found}


@contextmanager
def undone(place: Place, rooms: Rooms | None = None) -> Iterator[World]:
    """A world that leaves no trace in `place`."""
    place.begin()
    try:
        yield World(Transaction(place.connection), rooms or Rooms())
    finally:
        place.driver.rollback()
