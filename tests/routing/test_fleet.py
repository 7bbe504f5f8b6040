"""Drills: the first deployment is cut off for a while, never the last one, and gets back by itself."""

from typing import Any

import pytest

from portico.db.database import Database
from portico.engines.base import UpstreamFailed
from portico.engines.transport.base import Deadlines
from portico.kit.tasks import Tasks
from portico.routing.drills import Drills, server_name
from portico.routing.fleet import Fleet
from portico.routing.model import Deployment
from portico.routing.service import Routing
from tests.db.storage import HandClock
from tests.journeys.world import PROMPT
from tests.routing.registered import Registry
from tests.routing.test_routing import Engine

pytestmark = pytest.mark.anyio
NOBODY: Any = None


class Scene:
    def __init__(self, names: str) -> None:
        self.clock = HandClock()
        self.routing = Routing((), self.clock)
        self.fleet = Fleet(
            self.routing,
            NOBODY,
            Tasks(NOBODY),
            self.clock,
            Deadlines(),
            concurrency_max=1,
            models_max=1,
        )
        self.engines = {name: Engine() for name in names}
        self.fleet.add_own(
            Deployment(name, "m", engine, "us", 0) for name, engine in self.engines.items()
        )

    async def works(self, index: int) -> bool:
        try:
            await self.routing.models()["m"][index].engine.generate(PROMPT, NOBODY)
        except UpstreamFailed:
            return False
        return True


async def test_the_first_is_cut_off_and_no_other_and_is_back_by_itself() -> None:
    scene = Scene("ab")
    first, problem = scene.fleet.cut("m", 10)
    assert first is not None
    assert (first.id, problem) == ("a", "")
    assert [await scene.works(0), await scene.works(1)] == [False, True]
    scene.clock.pass_s(9.9)
    assert not await scene.works(0)
    scene.clock.pass_s(0.2)
    assert await scene.works(0), "though nobody has told the fleet"
    await scene.fleet.follow(())
    assert scene.routing.models()["m"][0].engine is scene.engines["a"]


async def test_models_that_change_meanwhile_do_not_end_a_drill() -> None:
    scene = Scene("ab")
    scene.fleet.cut("m", 10)
    scene.fleet.add_own([Deployment("c", "other", Engine(), "us", 0)])
    assert not await scene.works(0)


@pytest.mark.parametrize(
    ("names", "asleep", "model", "says"),
    [
        ("ab", "", "x", "no model is called 'x'"),
        ("a", "", "m", "one deployment only"),
        ("ab", "a", "m", "not serving now"),
        ("ab", "b", "m", "an outage, not a drill"),
    ],
)
async def test_what_would_be_no_drill_is_none(
    names: str, asleep: str, model: str, says: str
) -> None:
    scene = Scene(names)
    for name in asleep:
        scene.engines[name].ready = False
    deployment, problem = scene.fleet.cut(model, 10)
    assert deployment is None
    assert says in problem
    assert await scene.works(0)


@pytest.fixture
def drills(database: Database) -> tuple[Drills, Database, HandClock]:
    clock = HandClock()
    return Drills(database, clock), database, clock


def test_a_server_runs_its_own_drills_once_and_no_stale_ones(
    drills: tuple[Drills, Database, HandClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, database, clock = drills
    monkeypatch.setattr("os.getpid", lambda: 7)
    here.ask(8, "m", 10)
    stale = here.ask(7, "m", 10)
    clock.pass_s(61)
    mine = here.ask(7, "m", 10)
    assert stale.server == server_name(7)
    assert here.waiting() == [mine]
    assert here.waiting() == [], "even if it could not be answered"
    assert Drills(database, clock).waiting() == [mine], "it was not"


def test_the_answer_of_the_server_is_what_the_command_line_reads(
    drills: tuple[Drills, Database, HandClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, database, clock = drills
    monkeypatch.setattr("os.getpid", lambda: 7)
    began, refused = here.ask(7, "m", 10), here.ask(7, "n", 10)
    here.began(began, 12, Deployment("host:1/a", "m", Engine(), "us", 0, alias="dep_a"))
    here.refused(refused, "there is nothing to fail over to")
    assert (here.look(began.id).began_at_ms, here.look(began.id).deployment) == (12, "dep_a")
    assert here.look(refused.id).problem == "there is nothing to fail over to"
    assert Drills(database, clock).waiting() == []


def test_the_order_of_a_model_is_its_own(database: Database) -> None:
    registry = Registry(database, HandClock())
    added = [registry.add(model=model, location=model) for model in "mnmn"]
    registry.move("m", added[2].id, 1)
    found = registry.list()
    assert [each.id for each in found if each.model == "m"] == [added[2].id, added[0].id]
    assert [each.id for each in found if each.model == "n"] == [added[1].id, added[3].id]
