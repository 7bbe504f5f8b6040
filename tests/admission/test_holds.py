"""Holds as a request meets them, on both databases: set aside, extended, given back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from portico import errors
from portico.admission.budgets import Budgets
from portico.admission.holds import Holds, OutOfFunds, Purse
from portico.admission.line import QueueLimits
from portico.admission.rules import dollars, headroom_lines, short_lines, shortage, window_ms
from portico.admission.service import Admission
from portico.callers.model import Caller
from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.transaction import Transaction
from portico.db.writer import Writer
from portico.kit.clock import SystemClock
from portico.kit.leaving import Leaving
from portico.ledger import service as ledger
from portico.ledger.model import Account, Headroom, Limit, Posting, Short
from portico.ledger.rules import headroom
from portico.pricing.model import Quote
from portico.pricing.offer import Offer

pytestmark = pytest.mark.anyio

CALLER = Caller("key_1", "proj_1", "org_1", "live", 100)
CLOCK = SystemClock()
QUOTE = Quote(
    model="m", tier="standard", terms_id="t", share_numerator=1, share_denominator=1, prices=()
)
WHOLE = Offer(QUOTE, "{}", 100, 10, 0, 0, 100)
STREAM = Offer(QUOTE, "{}", 100, 10, 10, 50, 1_000)
"""100 nano pay for the input and 10 tokens, 50 more for the next 10, 1,000 for everything."""


def fund(database: Database, nano: int) -> None:
    def write(transaction: Transaction) -> None:
        ledger.prepare(transaction, 1)
        ledger.open_account(transaction, ledger.prepaid("org_1", 1))
        ledger.open_account(
            transaction, Account("cash_clearing:x", "cash_clearing", "", 0, 0, None, 0, None, 1)
        )
        entries = (("cash_clearing:x", -nano), ("prepaid:org_1", nano))
        ledger.post(transaction, [Posting("top", "topup", "org_1", "", entries)], 1)

    database.write(lambda connection: write(Transaction(connection)))


def number(database: Database, sql: str) -> int:
    return int(database.read(lambda c: c.exec_driver_sql(sql).scalar()) or 0)


def held(database: Database) -> int:
    return number(database, "SELECT sum(held_nano) FROM account")


@asynccontextmanager
async def open_holds(database: Database) -> AsyncIterator[Holds]:
    readers = Readers(database)
    writer = Writer(database, CLOCK, lambda refusal: None)
    holds = Holds(writer, Budgets(readers, CLOCK), CLOCK, "inst_1", ttl_ms=1_000)
    writer.start()
    try:
        yield holds
    finally:
        await writer.close()
        readers.close()


async def test_a_hold_is_on_disk_before_anything_runs(database: Database) -> None:
    fund(database, 150)
    async with open_holds(database) as holds:
        purse = await holds.open("req_1", CALLER, WHOLE)
        assert (purse.held.amount_nano, held(database)) == (100, 100)
        with pytest.raises(errors.Refusal) as refused:
            await holds.open("req_2", CALLER, WHOLE)
        assert refused.value.code == "funds_held_by_in_flight_requests"
        assert refused.value.retry_after_ms == 1_000


async def test_what_is_spent_is_not_told_as_money_that_comes_back(database: Database) -> None:
    fund(database, 50)
    async with open_holds(database) as holds:
        with pytest.raises(errors.Refusal) as refused:
            await holds.open("req_1", CALLER, WHOLE)
    assert (refused.value.code, refused.value.limit) == ("credit_balance_exhausted", 50)


async def test_a_permit_that_is_released_unsettled_gives_everything_back(
    database: Database,
) -> None:
    fund(database, 100)
    async with open_holds(database) as holds:
        admission = Admission(QueueLimits(1, 1.0), CLOCK, holds)
        to = type("To", (), {"model": "m", "places": 1})()
        permit = await admission.admit("req_1", CALLER, to, WHOLE, Leaving())
        assert held(database) == 100
        permit.release()
        permit.release()
    assert held(database) == 0
    assert number(database, "SELECT count(*) FROM hold WHERE state = 'void'") == 1


async def test_a_refused_hold_gives_its_place_back(database: Database) -> None:
    fund(database, 50)
    async with open_holds(database) as holds:
        admission = Admission(QueueLimits(1, 1.0), CLOCK, holds)
        to = type("To", (), {"model": "m", "places": 1})()
        with pytest.raises(errors.Refusal):
            await admission.admit("req_1", CALLER, to, WHOLE, Leaving())
        assert admission.running == 0


async def test_a_permit_says_what_is_left_beside_it(database: Database) -> None:
    fund(database, 250)
    async with open_holds(database) as holds:
        admission = Admission(QueueLimits(10, 5.0), CLOCK, holds)
        to = type("To", (), {"model": "m", "places": 3})()
        permit = await admission.admit("req_1", CALLER, to, WHOLE, Leaving())
        assert permit.lines().decode().split("\r\n")[:-1] == [
            "portico-concurrency-limit: 100",
            "portico-concurrency-remaining: 99",
            "portico-balance-nano-usd: 150",
        ]
        other = await admission.admit("req_2", CALLER, to, WHOLE, Leaving())
        with pytest.raises(errors.Refusal) as refused:
            await admission.admit("req_3", CALLER, to, WHOLE, Leaving())
        assert refused.value.lines == b"portico-balance-nano-usd: 50\r\n"
        permit.release()
        other.release()


def test_the_tightest_window_is_told_with_its_reset() -> None:
    limit = Limit("limit:bud_1:0", "project", "proj_1", "month", 1_000, 1_796_083_200_000)
    assert headroom_lines(Headroom(None, limit, 40)).decode().split("\r\n")[:-1] == [
        "portico-budget: project/month",
        "portico-budget-limit-nano-usd: 1000",
        "portico-budget-remaining-nano-usd: 40",
        "portico-budget-reset: 2026-12-01T00:00:00Z",
    ]
    assert short_lines(Short(limit, 40, 0)) == headroom_lines(Headroom(None, limit, 40))


def test_headroom_is_of_the_funds_and_of_the_tightest_window() -> None:
    funds = [Account("prepaid:o", "prepaid", "o", 100, 30, 0, 50, None, 0)]
    wide = Limit("limit:a:0", "key", "k", "day", 500, 1)
    tight = Limit("limit:b:0", "project", "p", "day", 90, 1)
    spent = Account("limit:b:0", "limit", "o", -20, 30, -90, 0, 1, 0)
    fresh = Account("limit:a:0", "limit", "o", 0, 30, -500, 0, 1, 0)
    assert headroom(funds, [(wide, fresh), (tight, spent)]) == Headroom(70, tight, 40)
    endless = Account("receivable:o", "receivable", "o", -5, 0, None, 90, None, 0)
    assert headroom([*funds, endless], []) == Headroom(None)
    assert headroom([], []) == Headroom(0)


async def test_a_wait_that_is_cancelled_leaves_nothing_held(database: Database) -> None:
    fund(database, 100)
    async with open_holds(database) as holds:
        waiting = asyncio.get_running_loop().create_task(holds.open("req_1", CALLER, WHOLE))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert held(database) == 0


async def test_a_stream_is_extended_window_by_window_and_never_past_its_worst_case(
    database: Database,
) -> None:
    fund(database, 10_000)
    async with open_holds(database) as holds:
        purse = await holds.open("req_1", CALLER, STREAM)
        for tokens in range(1, 400):
            await purse.cover(tokens)
            paid_tokens = 10 + (purse.held.amount_nano - 100) * 10 // 50
            assert tokens < purse.covers_tokens == paid_tokens or purse.held.amount_nano == 1_000
        assert held(database) == purse.held.amount_nano == 1_000


async def test_a_burst_takes_as_many_windows_as_it_needs(database: Database) -> None:
    fund(database, 10_000)
    async with open_holds(database) as holds:
        purse = await holds.open("req_1", CALLER, STREAM)
        await purse.cover(95)
        assert purse.covers_tokens > 95


async def test_what_is_held_is_used_to_its_end_and_then_the_stream_ends(
    database: Database,
) -> None:
    fund(database, 160)
    async with open_holds(database) as holds:
        purse = await holds.open("req_1", CALLER, STREAM)
        last = await _last_covered(purse)
        assert last == 19, "100 nano and one window of 50"
        assert held(database) == 150


async def _last_covered(purse: Purse) -> int:
    tokens = 0
    while True:
        try:
            await purse.cover(tokens + 1)
        except OutOfFunds as short:
            if short.refusal.code != "credit_balance_exhausted":
                raise
            return tokens
        tokens += 1


async def test_without_a_database_what_runs_may_finish(database: Database) -> None:
    fund(database, 10_000)
    async with open_holds(database) as holds:
        purse = await holds.open("req_1", CALLER, STREAM)
    for tokens in range(1, 100):  # the writer is closed
        await purse.cover(tokens)
    assert purse.held.amount_nano == 100


# -- the words -----------------------------------------------------------------------------------

LIMIT = Limit("limit:b:0", "project", "proj_1", "month", 5_000_000_000, 1_796_083_200_000)


@pytest.mark.parametrize(
    ("short", "code"),
    [
        (Short(None, 40, 60), "funds_held_by_in_flight_requests"),
        (Short(None, 40, 59), "credit_balance_exhausted"),
        (Short(LIMIT, 40, 59), "project_spend_limit_exceeded"),
        (Short(LIMIT, 40, 60), "funds_held_by_in_flight_requests"),
    ],
)
def test_only_what_may_come_back_may_be_tried_again(short: Short, code: str) -> None:
    refusal = shortage(short, 100, 0)
    assert refusal.code == code
    assert refusal.entry.retryable == (code == "funds_held_by_in_flight_requests")
    assert (refusal.value, refusal.limit) == (100, 40)


def test_a_full_budget_says_which_and_until_when() -> None:
    words = shortage(Short(LIMIT, 0, 0), 100, 0).message
    assert "project's budget of $5.00 a month has $0.00 left until 2026-12-01 00:00 UTC" in words


@pytest.mark.parametrize(
    ("nano", "words"),
    [(0, "$0.00"), (1, "$0.000000001"), (1_500_000_000, "$1.50"), (-2_000_000_000, "-$2.00")],
)
def test_dollars_are_exact(nano: int, words: str) -> None:
    assert dollars(nano) == words


DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("period", "at_ms", "window"),
    [
        ("day", DAY_MS, (DAY_MS, 2 * DAY_MS)),
        ("day", 2 * DAY_MS - 1, (DAY_MS, 2 * DAY_MS)),
        ("month", 31 * DAY_MS - 1, (0, 31 * DAY_MS)),
        ("month", 31 * DAY_MS, (31 * DAY_MS, 59 * DAY_MS)),
        ("month", 1_709_164_800_000, (1_706_745_600_000, 1_709_251_200_000)),  # 29 February 2024
    ],
)
def test_windows_touch_and_do_not_overlap(period: str, at_ms: int, window: tuple[int, int]) -> None:
    assert window_ms(period, at_ms) == window
