"""Zero retention, and what cannot be had with it."""

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, select

from portico.accounts.projects.model import ProjectWish
from portico.accounts.projects.service import change_project
from portico.callers.model import Caller
from portico.db.database import Database
from portico.db.tables import conversation, conversation_item, response
from portico.db.transaction import Transaction
from portico.keeping import service as keeping
from portico.keeping.model import KeptResponse
from portico.pricing.checks import NotStorable
from portico.pricing.model import Discount, TermsWish
from portico.pricing.service import set_terms
from portico.replay import service as replay
from portico.replay import store
from portico.replay.model import Answer, Ended, Wish
from portico.resources.conversations import store as conversations
from portico.resources.conversations.model import Conversation
from tests.accounts.tenancy import Tenancy

ZERO = ProjectWish(retention="zero")


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
    bodies = [body_of(tenancy.database, name) for name in ("r1", "r2")]
    assert bodies == [None, b"said"]


def test_what_developers_have_kept_goes_with_the_change(tenancy: Tenancy) -> None:
    """Responses and conversations of that project, and of no other."""
    whose = tenancy.organisation_id

    def keep(connection: Connection) -> None:
        for project_id in (tenancy.project_id, tenancy.other_id):
            kept = KeptResponse(
                *(f"resp_{project_id}", whose, project_id, "key_1", "key_1", "m", "completed"),
                *(False, None, b"[]", b"{}", 1, None),
            )
            keeping.write(Transaction(connection), [kept], 1)
            caller = Caller("key_1", project_id, whose, "live", 1)
            made = Conversation(f"conv_{project_id}", whose, project_id, {}, 1, None)
            conversations.add(connection, made)
            conversations.extend(connection, made, [("msg_1", b"{}")], 1)
            assert conversations.one(connection, caller, made.id, 1) == made

    tenancy.database.write(keep)
    tenancy.do(lambda errand: change_project(errand, tenancy.project_id, ZERO), by=tenancy.ada)
    for column in (response.c.id, conversation.c.id, conversation_item.c.conversation_id):
        left = tenancy.database.read(partial(_all, column=column))
        assert [each.partition("_")[2] for each in left] == [tenancy.other_id]


def _all(connection: Connection, column: Column[str]) -> list[str]:
    return list(connection.execute(select(column)).scalars())


def body_of(database: Database, request: str) -> bytes | None:
    stored = database.read(lambda connection: store.stored(connection, request))
    assert stored is not None, "the key stays"
    return stored.body


def test_zero_and_training_exclude_each_other(tenancy: Tenancy) -> None:
    of = tenancy.project_id
    tenancy.do(lambda errand: change_project(errand, of, ProjectWish(data_use="may_train")))
    assert tenancy.refused(lambda errand: change_project(errand, of, ZERO)) == "invalid_value"
    tenancy.do(
        lambda errand: change_project(errand, of, ProjectWish(data_use="own", retention="zero"))
    )
    trains = ProjectWish(data_use="may_train")
    assert tenancy.refused(lambda errand: change_project(errand, of, trains)) == "invalid_value"


def agree(tenancy: Tenancy, at_ms: int, *, sharing: bool = True) -> None:
    wish = TermsWish(
        organisation_id=tenancy.organisation_id,
        kind="prepaid",
        discounts=(Discount("contributor", 1, 5),) if sharing else (),
        consent="2026-01" if sharing else "",
        effective_from_ms=at_ms,
    )
    tenancy.database.write(lambda connection: set_terms(connection, wish, "me", tenancy.clock))


@pytest.mark.parametrize("ahead_ms", [1, 1_000])
def test_zero_and_a_discount_for_data_exclude_each_other(tenancy: Tenancy, ahead_ms: int) -> None:
    of = tenancy.project_id
    tenancy.do(lambda errand: change_project(errand, of, ZERO))
    at_ms = tenancy.clock.wall_ms() + ahead_ms
    with pytest.raises(NotStorable, match="zero retention"):
        agree(tenancy, at_ms)
    tenancy.do(lambda errand: change_project(errand, of, ProjectWish(retention="metadata")))
    agree(tenancy, at_ms)
    assert tenancy.refused(lambda errand: change_project(errand, of, ZERO)) == "invalid_value"


def test_a_consent_of_earlier_terms_stands_in_nobodys_way(tenancy: Tenancy) -> None:
    tenancy.clock.pass_s(1)
    now_ms = tenancy.clock.wall_ms()
    agree(tenancy, now_ms)
    agree(tenancy, now_ms + 1_000, sharing=False)
    of = tenancy.project_id
    assert tenancy.refused(lambda errand: change_project(errand, of, ZERO)) == "invalid_value"
    tenancy.clock.pass_s(1)
    tenancy.do(lambda errand: change_project(errand, of, ZERO))
