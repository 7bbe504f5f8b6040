"""Allowances are granted once a window and expire with it; whoever loses credit is told in time."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.billing.alerts.model import Target
from portico.billing.credits import Credit, NotGranted, grant
from portico.billing.plans import service
from portico.billing.plans.model import Allowance, Expiring
from portico.billing.plans.rules import due, notice
from portico.db.database import Database, open_database
from portico.kit.clock import SystemClock
from portico.ledger.model import Short
from tests.billing.books import DAY_MS, NOW_MS, Books

OPERATOR = (Target("mail", "ops@example.com"),)


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def keep_up(books: Books, now_ms: int) -> tuple[int, list[tuple[str, int]], int]:
    done = books.do(lambda t: service.keep_up(t, OPERATOR, now_ms))
    return len(done.granted), list(done.expired), done.told


def test_an_allowance_is_granted_at_once_and_once_a_window(books: Books) -> None:
    made = books.do(lambda t: service.set_allowance(t, "org_1", "month", 50, NOW_MS))
    assert books.hold("req_1", 50).amount_nano == 50
    assert isinstance(books.hold("req_2", 1), Short)
    assert keep_up(books, NOW_MS) == (0, [], 0)
    december_ms = at("2026-12-01")
    assert keep_up(books, december_ms - 1) == (0, [], 0)
    granted, expired, _ = keep_up(books, december_ms)
    assert (granted, expired) == (1, []), "what is set aside does not expire yet"
    books.charge("req_1", 20)
    account = f"promo:{made.id}:{at('2026-11-01')}"
    assert keep_up(books, december_ms) == (0, [(account, 30)], 0)
    assert books.hold("req_3", 50, now_ms=december_ms).amount_nano == 50
    assert books.rows("SELECT sum(amount_nano) FROM entry") == [(0,)]


def test_two_years_of_a_daily_allowance(books: Books) -> None:
    """Through a leap day and every end of a month: one grant a day, and nothing is carried over."""
    begins_ms = at("2027-12-30")
    made = books.do(lambda t: service.set_allowance(t, "org_1", "day", 7, begins_ms))
    for day in range(1, 70):
        now_ms = begins_ms + day * DAY_MS + day * 1_000
        yesterday = f"promo:{made.id}:{begins_ms + (day - 1) * DAY_MS}"
        assert keep_up(books, now_ms) == (1, [(yesterday, 7)], 0)
    assert books.posted("breakage") == 69 * 7
    assert books.rows("SELECT count(*) FROM txn WHERE kind = 'credit_promo'") == [(70,)]


def test_an_allowance_that_ended_is_granted_no_more(books: Books) -> None:
    made = books.do(lambda t: service.set_allowance(t, "org_1", "day", 7, NOW_MS))
    assert books.do(lambda t: service.end_allowance(t, made.id, NOW_MS + 5)) is True
    assert books.do(lambda t: service.end_allowance(t, made.id, NOW_MS + 6)) is False
    assert keep_up(books, NOW_MS + DAY_MS)[0] == 0
    assert books.do(lambda t: service.allowances(t, NOW_MS + 6)) == []


@pytest.mark.parametrize(
    ("owner", "nano", "words"), [("org_1", 0, "above 0"), ("org_9", 5, "no organisation")]
)
def test_what_cannot_be_granted_is_said(books: Books, owner: str, nano: int, words: str) -> None:
    with pytest.raises(NotGranted, match=words):
        books.do(lambda t: service.set_allowance(t, owner, "day", nano, NOW_MS))
    assert books.rows("SELECT * FROM allowance") == []


@given(st.integers(NOW_MS, NOW_MS + 800 * DAY_MS), st.integers(0, DAY_MS))
def test_a_window_has_one_grant_at_any_moment_of_it(now_ms: int, later_ms: int) -> None:
    for period in ("day", "month"):
        allowance = Allowance("allow_1", "org_1", period, 5, 0, None)  # type: ignore[arg-type]
        (first,), (then,) = due([allowance], now_ms), due([allowance], now_ms + later_ms)
        assert first.expires_at_ms is not None
        same_window = now_ms + later_ms < first.expires_at_ms
        assert (first.id == then.id) is same_window


def test_a_commitment_is_used_before_other_paid_credit_and_lost_at_its_end(books: Books) -> None:
    books.do(lambda t: grant(t, Credit("g", "org_1", 100, "paid", None, ""), NOW_MS))
    ends_ms = NOW_MS + DAY_MS
    books.do(lambda t: grant(t, Credit("c", "org_1", 40, "commit", ends_ms, ""), NOW_MS))
    assert books.hold("req_1", 50).parts == (("commit:c", 40), ("prepaid:org_1", 10))
    books.charge("req_1", 15)
    assert keep_up(books, ends_ms)[1] == [("commit:c", 25)]
    assert books.posted("cash_clearing:manual") == -140
    assert books.posted("prepaid:org_1") == 100


def test_a_commitment_needs_an_end(books: Books) -> None:
    with pytest.raises(NotGranted, match="the day by which"):
        books.do(lambda t: grant(t, Credit("c", "org_1", 40, "commit", None, ""), NOW_MS))


def test_credit_that_expires_is_told_30_7_and_1_days_before_each_once(books: Books) -> None:
    expires_ms = NOW_MS + 60 * DAY_MS
    books.do(lambda t: grant(t, Credit("p", "org_1", 40, "promo", expires_ms, ""), NOW_MS))
    told = {}
    for day in range(59):
        number = keep_up(books, NOW_MS + day * DAY_MS)[2]
        assert keep_up(books, NOW_MS + day * DAY_MS)[2] == 0
        if number:
            told[60 - day] = number
    assert told == {30: 1, 7: 1}
    assert keep_up(books, expires_ms - DAY_MS)[2] == 1
    rows = books.rows("SELECT subject FROM alert ORDER BY subject")
    assert rows == [(f"credit_expires:promo:p:{days}",) for days in (1, 30, 7)]


def test_spent_credit_is_nobodys_news(books: Books) -> None:
    expires_ms = NOW_MS + DAY_MS
    books.do(lambda t: grant(t, Credit("p", "org_1", 40, "promo", expires_ms, ""), NOW_MS))
    books.hold("req_1", 40)
    books.charge("req_1", 40)
    assert keep_up(books, NOW_MS + 1) == (0, [], 0)


@pytest.mark.parametrize(
    ("left_ms", "days"),
    [(30 * DAY_MS + 1, None), (30 * DAY_MS, 30), (7 * DAY_MS + 1, 30), (7 * DAY_MS, 7), (1, 1), (0, None)],
)  # fmt: skip
def test_the_nearest_notice_is_the_one_sent(left_ms: int, days: int | None) -> None:
    alert = notice(Expiring("promo:p", "org_1", 1_500_000_000, NOW_MS + left_ms), NOW_MS)
    assert (alert and alert.subject) == (days and f"credit_expires:promo:p:{days}")
    if alert is not None:
        assert alert.says.startswith("$1.50 of org_1 expires on 202")


@pytest.mark.anyio
async def test_upkeep_goes_round_beside_a_server(books: Books) -> None:
    books.do(lambda t: service.set_allowance(t, "org_1", "day", 7, NOW_MS - 5 * DAY_MS))
    upkeep = service.Upkeep(books.database, SystemClock(), OPERATOR)
    for _ in range(2):
        await upkeep.go_round()
        assert books.rows("SELECT count(*) FROM txn WHERE kind = 'credit_promo'") == [(2,)]
        assert books.rows("SELECT count(*) FROM txn WHERE kind = 'breakage'") == [(1,)]


@pytest.mark.anyio
async def test_a_locked_database_makes_upkeep_wait(tmp_path: Path) -> None:
    books = Books(open_database(tmp_path))
    books.do(lambda t: service.set_allowance(t, "org_1", "day", 7, NOW_MS - 5 * DAY_MS))
    upkeep = service.Upkeep(books.database, SystemClock(), OPERATOR)
    lock = sqlite3.connect(tmp_path / "portico.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    await upkeep.go_round()
    lock.execute("ROLLBACK")
    lock.close()
    assert books.rows("SELECT count(*) FROM txn WHERE kind = 'breakage'") == [(0,)]
    await upkeep.go_round()
    assert books.rows("SELECT count(*) FROM txn WHERE kind = 'breakage'") == [(1,)]
