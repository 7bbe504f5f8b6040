"""The books are audited by one server at a time; what is wrong is told, stops recharging, and is a row."""

from dataclasses import replace

import pytest

from portico.billing.alerts.model import Target
from portico.billing.alerts.outbox import told
from portico.billing.auditing import Auditor, runs
from portico.billing.claims import claim
from portico.billing.credits import Credit, grant
from portico.billing.payments.model import BalanceLine, ProviderUnavailable
from portico.billing.payments.recharge_store import freeze, frozen
from portico.billing.rounds import Rounds
from portico.db.database import Database
from portico.db.transaction import Transaction
from tests.billing.alerts.inbox import Clock
from tests.billing.books import DAY_MS, NOW_MS, Books

HOUR_MS = 3_600_000


class Scene:
    def __init__(self, database: Database) -> None:
        self.books = Books(database)
        self.clock = Clock(NOW_MS)
        self.auditor = Auditor(
            database,
            self.clock,
            "inst_1",
            (Target("mail", "operator@example.com"),),
            freeze,
            None,
        )
        self.books.do(lambda t: grant(t, Credit("g", "org_1", 1_000, "paid", None, ""), NOW_MS))
        self.books.hold("req_1", 50)
        self.books.charge("req_1")

    def look(self, owner: str = "inst_1") -> bool:
        auditor = replace(self.auditor, owner=owner)
        database, work = self.books.database, auditor.go_round
        return Rounds(database, self.clock, owner, "audit", 3_600.0, work).look()

    def spoil(self) -> None:
        self.books.do(lambda t: t.run("UPDATE account SET posted_nano = 0 WHERE id = 'revenue'"))

    def audits(self) -> list[tuple[str, int]]:
        return [(run.owner, run.violations) for run in self.books.do(lambda t: runs(t, 99))]

    def alerts(self) -> list[str]:
        return [each.kind for each in self.books.do(lambda t: told(t, 99))]

    def frozen(self) -> str | None:
        return self.books.do(frozen)


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def test_right_books_are_a_row_and_nothing_else(scene: Scene) -> None:
    assert scene.look() is True
    assert (scene.audits(), scene.alerts(), scene.frozen()) == ([("inst_1", 0)], [], None)


def test_one_of_several_servers_does_it_and_again_when_it_is_due(scene: Scene) -> None:
    assert [scene.look(), scene.look("inst_2"), scene.look()] == [True, False, False]
    scene.clock.now_ms += HOUR_MS - 1
    assert scene.look("inst_2") is False
    scene.clock.now_ms += 1
    assert [scene.look("inst_2"), scene.look()] == [True, False]
    assert scene.audits() == [("inst_2", 0), ("inst_1", 0)]


def test_work_is_claimed_by_one_whoever_looked_first(scene: Scene) -> None:
    asked = [scene.books.do(lambda t, each=each: claim(t, "w", each, NOW_MS, 10)) for each in "abc"]
    assert asked == [True, False, False]
    assert scene.books.do(lambda t: claim(t, "w", "b", NOW_MS + 10, 10)) is True


def test_a_breach_is_told_and_stops_recharging_in_one_transaction(scene: Scene) -> None:
    scene.spoil()
    scene.auditor.audit(scene.clock.now_ms)
    assert (scene.audits(), scene.alerts()) == ([("inst_1", 1)], ["ledger.audit_failed"])
    assert scene.frozen() == "audit: R2: every balance is the sum of its entries: 1 times not"
    (body,) = scene.books.rows("SELECT body FROM alert")[0]
    assert '"examples":["revenue"]' in body


def test_a_breach_that_cannot_be_told_does_not_stop_anything(scene: Scene) -> None:
    """Both or neither: a breach that only half of the system knows of is worse."""
    scene.spoil()

    def fails(transaction: Transaction, reason: str, now_ms: int) -> bool:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        replace(scene.auditor, freeze=fails).audit(NOW_MS)
    assert (scene.audits(), scene.alerts(), scene.frozen()) == ([], [], None)


def test_a_breach_that_lasts_is_told_once_a_day(scene: Scene) -> None:
    scene.spoil()
    for hours in (0, 1, 23, 24):
        scene.clock.now_ms = NOW_MS + hours * HOUR_MS
        scene.auditor.audit(scene.clock.now_ms)
    assert (len(scene.audits()), len(scene.alerts())) == (4, 2)


def test_a_row_that_cannot_be_read_is_a_breach(scene: Scene) -> None:
    scene.books.hold("req_2", 50)
    scene.books.do(lambda t: t.run("UPDATE hold SET parts = '[' WHERE id = 'req_2'"))
    (verdict,) = scene.auditor.audit(scene.clock.now_ms)
    assert (verdict.id, verdict.violations, scene.alerts()) == ("R0", 1, ["ledger.audit_failed"])


def test_a_hold_whose_time_has_just_run_out_is_left_to_the_sweeper(scene: Scene) -> None:
    scene.books.hold("req_2", 50)
    scene.clock.now_ms = NOW_MS + DAY_MS
    assert not any(verdict.violations for verdict in scene.auditor.audit(scene.clock.now_ms))
    scene.clock.now_ms += 2 * 60_000
    assert [
        verdict.id for verdict in scene.auditor.audit(scene.clock.now_ms) if verdict.violations
    ] == ["R4"]


def test_ends_of_chains_are_signed_and_one_that_was_changed_is_told(scene: Scene) -> None:
    scene.look()
    assert scene.books.rows("SELECT organisation_id, sequence FROM signed_head") == [("org_1", 1)]
    scene.books.hold("req_2", 50)
    scene.books.charge("req_2")

    def change(transaction: Transaction) -> None:
        if transaction.dialect == "sqlite":
            transaction.run("DROP TRIGGER charge_refuses_update")
        else:
            transaction.run("ALTER TABLE charge DISABLE TRIGGER USER")
        transaction.run("UPDATE charge SET model = 'dearer' WHERE id = 'req_2'")

    scene.books.do(change)
    assert scene.auditor.sign(scene.clock.now_ms).broken == ("org_1",)
    assert (scene.alerts(), scene.frozen()) == (["ledger.chain_broken"], "chain: org_1")


def lines(*moved: tuple[str, int]) -> list[BalanceLine]:
    return [BalanceLine(name, nano, NOW_MS) for name, nano in moved]


def test_the_payment_provider_is_compared_where_it_is_asked(scene: Scene) -> None:
    scene.clock.now_ms += DAY_MS
    assert _r7(scene) == (0, 0, "no payment provider was asked")
    asked = replace(scene.auditor, ask_provider=lambda: lines(("stripe:pi_1", 5)))
    assert _r7(scene, asked) == (1, 1, "")

    def away() -> list[BalanceLine]:
        raise ProviderUnavailable("it is away")

    assert _r7(scene, replace(scene.auditor, ask_provider=away)) == (
        0,
        0,
        "the payment provider did not answer: it is away",
    )


def _r7(scene: Scene, auditor: Auditor | None = None) -> tuple[int, int, str]:
    verdicts = {
        verdict.id: verdict for verdict in (auditor or scene.auditor).audit(scene.clock.now_ms)
    }
    return verdicts["R7"].checked, verdicts["R7"].violations, verdicts["R7"].open
