"""Credit is granted once, limited as far as possible, and expires without touching what is held."""

import pytest

from portico.billing.credits import Credit, NotGranted, expire, grant, set_credit_limit
from portico.db.database import Database
from portico.ledger.model import Held, Short
from tests.billing.books import DAY_MS, NOW_MS, Books


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)


def paid(nano: int, id: str = "g1") -> Credit:
    return Credit(id, "org_1", nano, "paid", None, "why")


def promo(nano: int, expires_at_ms: int | None, id: str = "p1") -> Credit:
    return Credit(id, "org_1", nano, "promo", expires_at_ms, "why")


def test_a_grant_counts_once_however_often_it_is_made(books: Books) -> None:
    assert books.do(lambda t: grant(t, paid(100), NOW_MS)) is True
    assert books.do(lambda t: grant(t, paid(100), NOW_MS)) is False
    assert books.posted("prepaid:org_1") == 100
    assert books.posted("cash_clearing:manual") == -100


@pytest.mark.parametrize(
    ("credit", "words"),
    [
        (paid(0), "above 0"),
        (paid(-1), "above 0"),
        (Credit("x", "org_1", 5, "paid", NOW_MS + 1, ""), "does not expire"),
        (promo(5, NOW_MS), "in the past"),
        (Credit("x", "org_9", 5, "paid", None, ""), "no organisation 'org_9'"),
    ],
)
def test_what_cannot_be_granted_is_said(books: Books, credit: Credit, words: str) -> None:
    with pytest.raises(NotGranted, match=words):
        books.do(lambda t: grant(t, credit, NOW_MS))
    assert books.rows("SELECT * FROM txn") == []


def test_a_gift_is_used_up_before_what_was_paid_for(books: Books) -> None:
    books.do(lambda t: grant(t, paid(100), NOW_MS))
    books.do(lambda t: grant(t, promo(30, NOW_MS + DAY_MS), NOW_MS))
    assert books.hold("req_1", 50).parts == (("promo:p1", 30), ("prepaid:org_1", 20))


def test_an_expired_gift_pays_for_nothing_and_becomes_breakage(books: Books) -> None:
    books.do(lambda t: grant(t, promo(30, NOW_MS + DAY_MS), NOW_MS))
    assert isinstance(books.hold("req_1", 10), Held)
    after_ms = NOW_MS + DAY_MS
    assert isinstance(books.hold("req_2", 10, now_ms=after_ms), Short)
    assert books.do(lambda t: expire(t, after_ms - 1)) == []
    assert books.do(lambda t: expire(t, after_ms)) == [("promo:p1", 20)], "10 are set aside"
    books.charge("req_1", 4)
    assert books.do(lambda t: expire(t, after_ms)) == [("promo:p1", 6)]
    assert books.do(lambda t: expire(t, after_ms)) == []
    assert (books.posted("promo:p1"), books.posted("breakage")) == (0, 26)
    assert books.rows("SELECT sum(amount_nano) FROM entry") == [(0,)]


def test_a_credit_limit_lets_owe_and_no_more(books: Books) -> None:
    assert books.do(lambda t: set_credit_limit(t, "org_1", 50, NOW_MS)) == 50
    assert isinstance(books.hold("req_1", 51), Short)
    assert isinstance(books.hold("req_1", 50), Held)


def test_a_lower_credit_limit_goes_as_far_as_what_is_owed(books: Books) -> None:
    books.do(lambda t: set_credit_limit(t, "org_1", 50, NOW_MS))
    books.hold("req_1", 40)
    assert books.do(lambda t: set_credit_limit(t, "org_1", 10, NOW_MS)) == 40
    assert isinstance(books.hold("req_2", 1), Short)
