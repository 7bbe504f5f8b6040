"""What ends a hold: the usage record, its charge and the balance in one commit, on both databases."""

import msgspec
import pytest

from portico import errors
from portico.admission.budgets import Budgets
from portico.admission.holds import Holds, Purse
from portico.canon.delta import Delta
from portico.canon.usage import Meters
from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.transaction import Row, Transaction
from portico.db.writer import Writer
from portico.kit.clock import SystemClock
from portico.ledger import owners
from portico.ledger import service as ledger
from portico.ledger.model import Account, Posting, Settled
from portico.metering.bill import settlement_of
from portico.metering.model import Closing, Outcome
from portico.metering.service import Metering, OpenRecord
from portico.metering.store import UsageLane
from portico.metering.sweeper import Sweeper, sweep
from portico.pricing.model import Pinned, Quote
from portico.pricing.offer import Offer
from tests.metering.requests import CALLER, LAST, PROMPT, Arrival, Permit

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
QUOTE = Quote(
    model="demo",
    tier="standard",
    terms_id="terms_1",
    share_numerator=1,
    share_denominator=1,
    prices=(
        Pinned("price_in", "input_text", 0, 1_000_000),
        Pinned("price_out", "output_text", 0, 10_000_000),
    ),
)
"""1 nano a token of input, 10 a token of output."""
TEXT = msgspec.json.encode(QUOTE).decode()
OFFER = Offer(QUOTE, TEXT, 1_000, 98, 0, 0, 1_000)
COST = 11 * 1 + 5 * 10
"""Of LAST."""


@pytest.fixture
def funded(database: Database) -> Database:
    def write(transaction: Transaction) -> None:
        ledger.prepare(transaction, 1)
        ledger.open_account(transaction, ledger.prepaid("org_1", 1))
        ledger.open_account(
            transaction, Account("cash_clearing:x", "cash_clearing", "", 0, 0, None, 0, None, 1)
        )
        entries = (("cash_clearing:x", -10_000), ("prepaid:org_1", 10_000))
        ledger.post(transaction, [Posting("top", "topup", "org_1", "", entries)], 1)

    database.write(lambda connection: write(Transaction(connection)))
    return database


class Till:
    """A writer with metering and holds on it, as the server has them."""

    def __init__(self, database: Database, owner: str = "inst_1") -> None:
        self.database = database
        self.readers = Readers(database)
        self.writer = Writer(database, CLOCK, lambda refusal: None)
        self.metering = Metering(self.writer, CLOCK)
        self.holds = Holds(self.writer, Budgets(self.readers, CLOCK), CLOCK, owner, ttl_ms=600_000)
        self.sweeper = Sweeper(self.writer, CLOCK, owner, alone=True)
        self.writer.start()

    async def __aenter__(self) -> "Till":
        await self.sweeper.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.writer.close()
        self.readers.close()

    def number(self, sql: str) -> int:
        return int(self.database.read(lambda c: c.exec_driver_sql(sql).scalar()) or 0)

    async def one(self, outcome: Outcome, *deltas: Delta) -> Purse:
        purse = await self.holds.open("req_1", CALLER, OFFER)
        arrival = Arrival("req_1", CLOCK.monotonic_s())
        record = self.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
        for delta in deltas:
            record.count(delta)
        await self.metering.settle(record, outcome)
        self.charged = record.settled
        purse.release()
        return purse

    def check(self, net_nano: int) -> None:
        assert self.number("SELECT posted_nano FROM account WHERE id = 'prepaid:org_1'") == (
            10_000 - net_nano
        )
        assert self.number("SELECT sum(held_nano) FROM account") == 0
        assert self.number("SELECT count(*) FROM hold WHERE state = 'open'") == 0
        assert self.number("SELECT sum(amount_nano) FROM entry") == 0


async def test_a_charge_is_its_tokens_times_their_price(funded: Database) -> None:
    async with Till(funded) as till:
        await till.one("completed", LAST)
        assert till.charged is not None
        assert (till.charged.charged_nano, till.charged.absorbed_nano) == (COST, 0)
        till.check(COST)
        assert till.number("SELECT output_text FROM usage_record") == 5


HALF = Delta(output_tokens=3)


@pytest.mark.parametrize(
    ("outcome", "net_nano"),
    [
        ("completed", COST),
        ("client_gone", 7 + 3 * 10),
        ("out_of_funds", 7 + 3 * 10),
        ("off_schema", 7 + 3 * 10),
        ("refused", 0),
        ("upstream_failed", 0),
        ("drained", 0),
        ("internal_error", 0),
    ],
)
async def test_who_pays_for_what(funded: Database, outcome: Outcome, net_nano: int) -> None:
    async with Till(funded) as till:
        await till.one(outcome, *([HALF, LAST] if outcome == "completed" else [HALF]))
        till.check(net_nano)
        states = "settled" if net_nano else "void"
        assert till.number(f"SELECT count(*) FROM hold WHERE state = '{states}'") == 1


async def test_what_never_began_costs_nothing(funded: Database) -> None:
    async with Till(funded) as till:
        await till.one("client_gone")
        till.check(0)


async def test_what_an_engine_says_above_the_hold_is_the_operators_loss(
    funded: Database,
) -> None:
    async with Till(funded) as till:
        await till.one("completed", Delta(meters=Meters(output_text=500), last=True))
        assert till.charged is not None
        assert (till.charged.charged_nano, till.charged.absorbed_nano) == (1_000, 4_000)
        till.check(1_000)


@pytest.mark.parametrize(
    "meters",
    [
        Meters(input_text=-5, output_text=3),
        Meters(output_text=2**62),
        Meters(input_audio=5, output_text=3),
    ],
    ids=["negative", "beyond all limits", "a meter without a price"],
)
async def test_usage_that_has_no_amount_is_charged_as_nothing(
    funded: Database, meters: Meters, caplog: pytest.LogCaptureFixture
) -> None:
    async with Till(funded) as till:
        await till.one("completed", Delta(meters=meters, last=True))
        till.check(0)
    assert "req_1 is not charged" in caplog.text


async def test_settled_twice_is_charged_once(funded: Database) -> None:
    async with Till(funded) as till:
        purse = await till.holds.open("req_1", CALLER, OFFER)
        arrival = Arrival("req_1", CLOCK.monotonic_s())
        record = till.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
        record.count(LAST)
        await till.metering.settle(record, "completed")
        await till.metering.settle(record, "client_gone")
        assert record.settled is not None, "the first answer stays"
        till.check(COST)
        assert till.number("SELECT count(*) FROM charge") == 1


@pytest.mark.parametrize(("outcome", "net_nano"), [("completed", COST), ("refused", 0)])
async def test_an_answer_is_told_its_cost_whichever_commit_settled_it(
    funded: Database, outcome: Outcome, net_nano: int
) -> None:
    async with Till(funded) as till:
        purse = await till.holds.open("req_1", CALLER, OFFER)
        arrival = Arrival("req_1", CLOCK.monotonic_s())
        record = till.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
        record.count(LAST)
        record.end(outcome, CLOCK.monotonic_s())
        # A checkpoint from before the end, written after it.
        funded.write(lambda c: UsageLane(CLOCK).write(Transaction(c), [record]))
        await till.metering.settle(record, outcome)
        assert record.settled == Settled(net_nano, 0)
        till.check(net_nano)


class EndsMeanwhile:
    """A record that ends as soon as the writer's thread has looked at a part of it."""

    def __init__(self, record: OpenRecord) -> None:
        self._record = record

    @property
    def closing(self) -> Closing | None:
        found = self._record.closing
        self._end()
        return found

    def row(self) -> Row:
        found = self._record.row()
        self._end()
        return found

    def _end(self) -> None:
        if self._record.ending is None:
            self._record.end("completed", CLOCK.monotonic_s())


async def test_a_record_and_its_hold_end_in_one_commit_whenever_that_is(funded: Database) -> None:
    async with Till(funded) as till:
        purse = await till.holds.open("req_1", CALLER, OFFER)
        arrival = Arrival("req_1", CLOCK.monotonic_s())
        record = till.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
        record.count(LAST)
        lane, open_holds = UsageLane(CLOCK), "SELECT count(*) FROM hold WHERE state = 'open'"
        running = "SELECT count(*) FROM usage_record WHERE outcome = 'running'"
        funded.write(lambda c: lane.write(Transaction(c), [EndsMeanwhile(record)]))
        assert till.number(running) == till.number(open_holds)
        funded.write(lambda c: lane.write(Transaction(c), [record]))
        assert till.number(running) == till.number(open_holds) == 0
        till.check(COST)


async def test_what_was_spooled_is_charged_when_it_comes_back(funded: Database) -> None:
    async with Till(funded) as till:
        purse = await till.holds.open("req_1", CALLER, OFFER)
        arrival = Arrival("req_1", CLOCK.monotonic_s())
        record = till.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
        record.count(LAST)
        record.end("completed", CLOCK.monotonic_s())
        lane = UsageLane(CLOCK)
        kept = lane.keep(record)
        assert kept is not None
        again = tuple(msgspec.json.decode(msgspec.json.encode(kept)))  # as the spool has it
        for _ in range(2):
            funded.write(lambda c: lane.restore(Transaction(c), [again, again]))
        till.check(COST)


@pytest.mark.parametrize(("deltas", "net_nano"), [([HALF], 7 + 3 * 10), ([], 0)])
async def test_what_a_dead_process_held_is_settled_at_its_checkpoint(
    funded: Database, deltas: list[Delta], net_nano: int
) -> None:
    async with Till(funded, "inst_dead") as dead:
        purse = await dead.holds.open("req_1", CALLER, OFFER)
        arrival = Arrival("req_1", CLOCK.monotonic_s())
        record = dead.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
        for delta in deltas:
            record.count(delta)
        dead.metering.checkpoint(CLOCK.monotonic_s() + 10)
    async with Till(funded, "inst_next") as till:
        till.check(net_nano)
        assert till.number("SELECT count(*) FROM charge WHERE outcome = 'killed'") == bool(net_nano)
        with pytest.raises(errors.Refusal):  # the dead one comes back too late
            await dead.metering.settle(record, "completed")
        till.check(net_nano)


async def test_a_record_stays_at_the_checkpoint_that_was_charged_for(funded: Database) -> None:
    """Its owner was slow, not dead, and goes on after the sweep."""
    async with Till(funded, "inst_slow") as slow:
        purse = await slow.holds.open("req_1", CALLER, OFFER)
        arrival = Arrival("req_1", CLOCK.monotonic_s())
        record = slow.metering.open(arrival, CALLER, PROMPT, Permit(0, purse))
        record.count(HALF)
        slow.metering.checkpoint(CLOCK.monotonic_s() + 10)
        # In line behind the checkpoint.
        await slow.writer.run(lambda c: owners.forget(Transaction(c), "inst_slow"))
        funded.write(lambda c: sweep(Transaction(c), CLOCK.wall_ms()))
        assert slow.number("SELECT count(*) FROM usage_record WHERE outcome = 'killed'") == 1
        record.count(LAST)
        await slow.metering.settle(record, "completed")
        slow.check(7 + 3 * 10)
        assert slow.number("SELECT output_text FROM usage_record") == 3
        assert record.settled == Settled(7 + 3 * 10, 0)


def test_a_settlement_names_who_and_what() -> None:
    made = settlement_of("req_1", "completed", QUOTE, Meters(output_text=2), "proj_1", "key_1")
    assert made.bill is not None
    assert (made.bill.project_id, made.bill.key_id, made.bill.terms_id) == (
        "proj_1",
        "key_1",
        "terms_1",
    )
    assert (made.bill.net_nano, made.state) == (20, "settled")
