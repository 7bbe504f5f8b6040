"""A threshold is told once in every window, whatever else happens; what is only set aside is not spent."""

import pytest

from portico.admission.rules import window_ms
from portico.billing.alerts.model import Alert, AlertRules, Target
from portico.billing.alerts.outbox import tell, told
from portico.billing.alerts.rules import crossed
from portico.billing.alerts.service import Alerts
from portico.billing.alerts.thresholds import UnknownBudget, set_rules
from portico.billing.budgets import set_budget
from portico.billing.credits import Credit, grant
from portico.db.database import Database
from portico.ledger.model import Limit
from tests.billing.alerts.inbox import Clock
from tests.billing.books import DAY_MS, NOW_MS, Books

OPERATOR = (Target("mail", "operator@example.com"),)
CAP_NANO = 100


class Scene:
    """A key with a budget of 100 nano-USD a day, and what is spent of it, 10 at a time."""

    def __init__(self, database: Database) -> None:
        self.books = Books(database)
        self.clock = Clock(NOW_MS)
        self.alerts = Alerts(database, self.clock, {}, OPERATOR, 1.0)
        self._requests = 0
        self.books.do(lambda t: grant(t, Credit("g", "org_1", 10**6, "paid", None, ""), NOW_MS))
        self.budget = self.books.do(
            lambda t: set_budget(t, "key", "key_1", "day", CAP_NANO, NOW_MS)
        )

    def rules(self, *percents: int, webhook_url: str = "", mail: str = "") -> None:
        wanted = AlertRules(percents, webhook_url, mail)
        self.books.do(lambda t: set_rules(t, self.budget.id, wanted))

    def limit(self) -> Limit:
        starts_ms, ends_ms = window_ms("day", self.clock.now_ms)
        name = f"limit:{self.budget.id}:{starts_ms}"
        return Limit(name, "key", "key_1", "day", CAP_NANO, ends_ms)

    def hold(self) -> str:
        self._requests += 1
        name = f"req_{self._requests}"
        self.books.hold(name, 10, self.limit(), now_ms=self.clock.now_ms)
        return name

    def spend(self, times: int) -> None:
        for _ in range(times):
            self.books.charge(self.hold())

    def subjects(self) -> list[str]:
        found = self.books.rows("SELECT subject FROM alert ORDER BY subject")
        return [row[0].removeprefix(f"budget:{self.budget.id}:") for row in found]

    def said(self) -> list[tuple[str, str]]:
        return [(each.channel, each.target) for each in self.books.do(lambda t: told(t, 99))]


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


pytestmark = pytest.mark.anyio


async def test_a_threshold_is_told_once_however_often_one_looks(scene: Scene) -> None:
    scene.rules(50, 80, 100)
    scene.spend(4)
    assert await scene.alerts.look() == 0
    scene.spend(1)
    assert [await scene.alerts.look() for _ in range(3)] == [1, 0, 0]
    scene.spend(2)
    assert await scene.alerts.look() == 0
    scene.spend(3)
    assert await scene.alerts.look() == 2, "two at once are two"
    assert scene.subjects() == [f"{NOW_MS}:{each}" for each in (100, 50, 80)]


async def test_a_look_that_finds_nothing_new_takes_no_turn(
    scene: Scene, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.rules(10)
    scene.spend(1)
    assert await scene.alerts.look() == 1
    monkeypatch.setattr(database, "write", None)
    assert await scene.alerts.look() == 0


async def test_two_servers_that_look_at_once_tell_once(scene: Scene, database: Database) -> None:
    scene.rules(10)
    scene.spend(1)
    now_ms = scene.clock.now_ms
    other = Alerts(database, scene.clock, {}, OPERATOR, 1.0)
    assert await scene.alerts.look() + await other.look() == 1
    found = scene.books.rows("SELECT kind, subject, organisation_id FROM alert")[0]
    again = Alert(*found, says="", data={})
    assert scene.books.do(lambda t: tell(t, again, OPERATOR, now_ms)) is False
    assert scene.said() == [("mail", "operator@example.com")]


async def test_what_is_set_aside_is_not_spent(scene: Scene) -> None:
    scene.rules(10)
    scene.hold()
    assert await scene.alerts.look() == 0


async def test_the_next_window_tells_again(scene: Scene) -> None:
    scene.rules(10)
    scene.spend(1)
    assert await scene.alerts.look() == 1
    scene.clock.now_ms += DAY_MS
    assert await scene.alerts.look() == 0
    scene.spend(1)
    assert await scene.alerts.look() == 1
    assert scene.subjects() == [f"{NOW_MS}:10", f"{NOW_MS + DAY_MS}:10"]


async def test_a_window_that_has_just_ended_is_still_looked_at(scene: Scene) -> None:
    scene.rules(10, 20)
    scene.spend(1)
    scene.clock.now_ms = NOW_MS + DAY_MS + 3_599_999
    assert await scene.alerts.look() == 1
    scene.clock.now_ms = NOW_MS
    scene.spend(1)
    scene.clock.now_ms = NOW_MS + DAY_MS + 3_600_001
    assert await scene.alerts.look() == 0, "an hour later it is history"


async def test_a_budget_tells_its_own_addresses_else_the_operator(scene: Scene) -> None:
    scene.rules(10, webhook_url="https://x.example/a", mail="x@x.example")
    scene.spend(1)
    await scene.alerts.look()
    assert set(scene.said()) == {("webhook", "https://x.example/a"), ("mail", "x@x.example")}
    scene.rules(20)
    scene.spend(1)
    await scene.alerts.look()
    assert ("mail", "operator@example.com") in scene.said()


async def test_a_budget_without_thresholds_tells_nobody(scene: Scene) -> None:
    scene.spend(10)
    assert await scene.alerts.look() == 0
    scene.rules()
    assert await scene.alerts.look() == 0


async def test_what_is_told_names_the_amounts(scene: Scene) -> None:
    scene.rules(50)
    scene.spend(6)
    await scene.alerts.look()
    ((body,),) = scene.books.rows("SELECT body FROM alert")
    for words in ('"percent":50', '"spent_nano_usd":"60"', '"cap_nano_usd":"100"', "key_1"):
        assert words in body


async def test_a_changed_cap_keeps_who_is_told(scene: Scene) -> None:
    scene.rules(50)
    scene.books.do(lambda t: set_budget(t, "key", "key_1", "day", 20, NOW_MS))
    scene.spend(1)
    assert await scene.alerts.look() == 1


async def test_only_a_budget_that_is_there_can_tell(scene: Scene) -> None:
    with pytest.raises(UnknownBudget, match="'bud_0'"):
        scene.books.do(lambda t: set_rules(t, "bud_0", AlertRules((50,), "", "")))


@pytest.mark.parametrize(
    ("percents", "spent", "cap", "found"),
    [
        ((50, 100), 49, 100, []),
        ((50, 100), 50, 100, [50]),
        ((100, 50, 50), 100, 100, [50, 100]),
        ((1,), 0, 0, []),
        ((33,), 2**62, 3 * 2**62, [33]),
        ((34,), 2**62, 3 * 2**62, []),
    ],
)
def test_a_percentage_is_reached_exactly(
    percents: tuple[int, ...], spent: int, cap: int, found: list[int]
) -> None:
    assert crossed(percents, spent, cap) == found
