"""What is kept of a request does not decide whether it is paid; who does its work does."""

import pytest

from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.keeping.model import Kept, KeptLine
from portico.metering.service import Keeper
from portico.metering.store import UsageLane
from portico.resources.background import store
from tests.metering.requests import CALLER, LAST, PROMPT, Arrival, Permit
from tests.metering.test_charges import CLOCK, COST, OFFER, Till, funded
from tests.resources.background.test_line import answered, put, take, wanted
from tests.security.canaries import forms

__all__ = ["funded"]
pytestmark = pytest.mark.anyio


class Giving:
    def __init__(self, kept: Kept) -> None:
        self.kept = kept

    def end(self, outcome: str) -> Kept | None:
        return self.kept


class Failing:
    def end(self, outcome: str) -> Kept | None:
        raise RecursionError


async def charge(till: Till, request_id: str, keeper: Keeper) -> None:
    purse = await till.holds.open(request_id, CALLER, OFFER)
    arrival = Arrival(request_id, CLOCK.monotonic_s(), None, keeper)
    record = till.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
    record.count(LAST)
    await till.metering.settle(record, "completed")
    purse.release()


async def test_what_cannot_be_kept_is_paid(funded: Database) -> None:
    async with Till(funded) as till:
        await charge(till, "req_1", Failing())
        till.check(COST)


async def test_who_lost_his_work_to_another_is_not_paid(funded: Database) -> None:
    """Of a process that was only slow, and was taken for dead."""
    put(funded, wanted("resp_1"))
    (task,) = take(funded, 1)
    funded.write(lambda c: store.requeue(c, task, begun=True))
    ((second, _),) = funded.write(
        lambda c: store.take(c, "inst_2", ["resp_1"], lambda: "req_second")
    )
    async with Till(funded) as till:
        await charge(till, task.request_id, Giving(answered(task)))
        till.check(0)
        await charge(till, second.request_id, Giving(answered(second)))
        till.check(COST)


@pytest.mark.parametrize("end", ["DELETE FROM response", "UPDATE response SET state = 'cancelled'"])
async def test_what_was_deleted_or_cancelled_meanwhile_is_paid(funded: Database, end: str) -> None:
    put(funded, wanted("resp_1"))
    (task,) = take(funded, 1)
    funded.write(lambda c: Transaction(c).run(f"{end} WHERE id = ?", ("resp_1",)))
    async with Till(funded) as till:
        await charge(till, task.request_id, Giving(answered(task)))
        till.check(COST)


@pytest.mark.parametrize(("holder", "net_nano"), [("req_1", COST), ("req_2", 0), (None, 0)])
async def test_the_same_of_lines(funded: Database, holder: str | None, net_nano: int) -> None:
    def line(transaction: Transaction) -> None:
        batch = ("batch_1", "org_1", "proj_1")
        transaction.run(
            "INSERT INTO batch (id, organisation_id, project_id, key_id, credential_id, kind,"
            " endpoint, state, metadata, created_at_ms, due_at_ms, lines)"
            " VALUES (?, ?, ?, '', '', 'openai', '', 'in_progress', '{}', 0, 0, 1)",
            batch,
        )
        transaction.run(
            "INSERT INTO batch_line (batch_id, number, organisation_id, custom_id, state, request_id,"
            " attempts) VALUES (?, 1, ?, '', ?, ?, 1)",
            ("batch_1", "org_1", "running" if holder else "waiting", holder),
        )

    funded.write(lambda c: line(Transaction(c)))
    async with Till(funded) as till:
        kept = KeptLine("batch_1", 1, "org_1", "req_1", "succeeded", 200, b"{}")
        await charge(till, "req_1", Giving(kept))
        till.check(net_nano)


async def test_what_is_refused_for_good_stays_without_words(funded: Database) -> None:
    """It goes to the spool with them, and to the log and the file of what was refused without."""
    words = "quinces, and nothing else"
    line = KeptLine("batch_1", 1, "org_1", "req_1", "succeeded", 200, words.encode())
    async with Till(funded) as till:
        purse = await till.holds.open("req_1", CALLER, OFFER)
        arrival = Arrival("req_1", CLOCK.monotonic_s(), None, Giving(line))
        record = till.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
        record.count(LAST)
        record.end("completed", CLOCK.monotonic_s())
        lane = UsageLane(CLOCK)
        row = lane.keep(record)
        assert row is not None
        assert any(form in repr(row).encode() for form in forms(words))
        bare = lane.bare(row)
        assert not any(form in repr(bare).encode() for form in forms(words))
        funded.write(lambda c: lane.restore(Transaction(c), [bare]))  # and all that it costs
        till.check(COST)
    plain = row[:-1]
    assert lane.bare(plain) == plain, "of a version before"
