"""A budget caps each window, the one under way included."""

import pytest

from portico.admission.rules import window_ms
from portico.billing.budgets import UnknownScope, budgets, remove_budget, set_budget
from portico.billing.credits import Credit, grant
from portico.db.database import Database
from portico.ledger.model import Held, Limit, Short
from tests.billing.books import NOW_MS, Books


@pytest.fixture
def books(database: Database) -> Books:
    made = Books(database)
    made.do(lambda t: grant(t, Credit("g", "org_1", 1_000, "paid", None, ""), NOW_MS))
    return made


def limit_of(budget_id: str, cap_nano: int) -> Limit:
    starts_ms, ends_ms = window_ms("day", NOW_MS)
    return Limit(f"limit:{budget_id}:{starts_ms}", "key", "key_1", "day", cap_nano, ends_ms)


def test_there_is_one_budget_for_a_scope_and_period(books: Books) -> None:
    first = books.do(lambda t: set_budget(t, "key", "key_1", "day", 10, NOW_MS))
    again = books.do(lambda t: set_budget(t, "key", "key_1", "day", 20, NOW_MS))
    month = books.do(lambda t: set_budget(t, "key", "key_1", "month", 30, NOW_MS))
    assert (first.id, again.cap_nano, again.organisation_id) == (again.id, 20, "org_1")
    assert books.do(budgets) == [again, month]


@pytest.mark.parametrize("scope", ["key", "project", "organisation"])
def test_only_what_exists_has_a_budget(books: Books, scope: str) -> None:
    with pytest.raises(UnknownScope, match=f"no {scope} 'nobody'"):
        books.do(lambda t: set_budget(t, scope, "nobody", "day", 10, NOW_MS))  # type: ignore[arg-type]  # one of three
    with pytest.raises(ValueError, match="negative"):
        books.do(lambda t: set_budget(t, "key", "key_1", "day", -1, NOW_MS))


def test_a_changed_cap_counts_in_the_window_under_way(books: Books) -> None:
    made = books.do(lambda t: set_budget(t, "key", "key_1", "day", 100, NOW_MS))
    assert isinstance(books.hold("req_1", 60, limit_of(made.id, 100)), Held)
    assert isinstance(books.hold("req_2", 60, limit_of(made.id, 100)), Short)
    books.do(lambda t: set_budget(t, "key", "key_1", "day", 200, NOW_MS))
    assert isinstance(books.hold("req_2", 60, limit_of(made.id, 200)), Held)
    books.do(lambda t: set_budget(t, "key", "key_1", "day", 50, NOW_MS))
    # A server that has not noticed yet still asks with the old cap.
    assert isinstance(books.hold("req_3", 1, limit_of(made.id, 200)), Short)


def test_a_budget_that_is_lifted_is_gone(books: Books) -> None:
    made = books.do(lambda t: set_budget(t, "key", "key_1", "day", 100, NOW_MS))
    assert books.do(lambda t: remove_budget(t, made.id)) is True
    assert books.do(lambda t: remove_budget(t, made.id)) is False
    assert books.do(budgets) == []
