"""Zero retention, and what cannot be had with it."""

from pathlib import Path

import pytest

from portico.accounts.projects.model import ProjectWish
from portico.accounts.projects.service import change_project
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.pricing.checks import NotStorable
from portico.pricing.model import Discount, TermsWish
from portico.pricing.service import set_terms
from portico.replay import service as replay
from portico.replay import store
from portico.replay.model import Answer, Ended, Wish
from tests.accounts.tenancy import Tenancy

ZERO = ProjectWish(retention="zero")
SHARING = {
    "kind": "prepaid",
    "discounts": (Discount("contributor", 1, 5),),
    "consent": "2026-01",
}


@pytest.fixture
def tenancy(database: Database, tmp_path: Path) -> Tenancy:
    return Tenancy(database, tmp_path)


def test_what_was_kept_is_dropped_with_the_change(tenancy: Tenancy) -> None:
    ours, other = tenancy.project_id, tenancy.other_id

    def keep(transaction: Transaction) -> None:
        for at, of in ((1, ours), (2, other)):
            name = f"r{at}"
            replay.take(transaction, [Wish(of, "k", b"f" * 32, name)], 1, "inst", 10)
            answer = Answer(200, b"", False, b"said", b"", b"")
            replay.finish(transaction, [Ended(name, 1_000, answer)], {}, 1)

    tenancy.database.write(lambda connection: keep(Transaction(connection)))
    tenancy.do(lambda errand: change_project(errand, ours, ZERO), by=tenancy.ada)
    bodies = []
    for name in ("r1", "r2"):
        stored = tenancy.database.read(lambda connection, name=name: store.stored(connection, name))
        assert stored is not None, "the key stays"
        bodies.append(stored.body)
    assert bodies == [None, b"said"]


def test_zero_and_training_exclude_each_other(tenancy: Tenancy) -> None:
    of = tenancy.project_id
    tenancy.do(lambda errand: change_project(errand, of, ProjectWish(data_use="may_train")))
    assert tenancy.refused(lambda errand: change_project(errand, of, ZERO)) == "invalid_value"
    tenancy.do(
        lambda errand: change_project(errand, of, ProjectWish(data_use="own", retention="zero"))
    )
    trains = ProjectWish(data_use="may_train")
    assert tenancy.refused(lambda errand: change_project(errand, of, trains)) == "invalid_value"


def sharing(tenancy: Tenancy, effective_from_ms: int | None = None) -> None:
    wish = TermsWish(tenancy.organisation_id, effective_from_ms=effective_from_ms, **SHARING)
    tenancy.database.write(lambda connection: set_terms(connection, wish, "me", tenancy.clock))


@pytest.mark.parametrize("ahead_ms", [0, 1_000])
def test_zero_and_a_discount_for_data_exclude_each_other(tenancy: Tenancy, ahead_ms: int) -> None:
    of = tenancy.project_id
    tenancy.do(lambda errand: change_project(errand, of, ZERO))
    at_ms = tenancy.clock.wall_ms() + ahead_ms
    with pytest.raises(NotStorable, match="zero retention"):
        sharing(tenancy, at_ms)
    tenancy.do(lambda errand: change_project(errand, of, ProjectWish(retention="metadata")))
    sharing(tenancy, at_ms)
    assert tenancy.refused(lambda errand: change_project(errand, of, ZERO)) == "invalid_value"


def test_a_consent_of_earlier_terms_stands_in_nobodys_way(tenancy: Tenancy) -> None:
    sharing(tenancy, tenancy.clock.wall_ms())
    later = TermsWish(
        tenancy.organisation_id, "prepaid", effective_from_ms=tenancy.clock.wall_ms() + 1
    )
    tenancy.database.write(lambda connection: set_terms(connection, later, "me", tenancy.clock))
    assert tenancy.refused(lambda e: change_project(e, tenancy.project_id, ZERO)) == "invalid_value"
    tenancy.clock.tick(1)
    tenancy.do(lambda errand: change_project(errand, tenancy.project_id, ZERO))
