"""Who is asked: a request fails only where nobody could have answered it, or its model has tried
again often enough."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from portico import errors
from portico.canon.usage import Usage
from portico.engines.base import UpstreamFailed
from portico.routing.health import FAILURES_IN_A_ROW, RETRIES_MAX
from portico.routing.model import Deployment
from portico.routing.service import Routing
from portico.routing.tries import TRIES_MAX, Result, Tries
from tests.journeys.world import PROMPT
from tests.routing.test_routing import Engine


@dataclass
class Scene:
    """Deployments named by letters; `away`: those that fail now."""

    names: str = "ab"
    away: set[str] = field(default_factory=set)
    now_s: float = 1_000.0

    def __post_init__(self) -> None:
        self.engines = {name: Engine() for name in self.names}
        self.tried_as: Counter[tuple[str, Result]] = Counter()
        self.routing = Routing(
            [Deployment(name, "m", engine, "us", 0) for name, engine in self.engines.items()],
            self,
            self,
        )

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        raise AssertionError("durations are not measured by the wall clock")

    def tried(self, model: str, deployment: str, result: Result) -> None:
        self.tried_as[deployment, result] += 1

    def begin(self) -> Tries:
        self.usage = Usage()
        return self.routing.choose(PROMPT, "own").tries(self.usage)

    def ask(self) -> tuple[str, str]:
        """One request: who was asked, and who answered ("" for nobody)."""
        tries, asked = self.begin(), ""
        for deployment in tries:
            asked += deployment.id
            try:
                with tries:
                    if deployment.id in self.away:
                        raise failure()
            except UpstreamFailed:
                if not tries.again():
                    return asked, ""
        return asked, asked[-1]

    @property
    def states(self) -> dict[str, str]:
        return {deployment: state for _, deployment, state in self.routing.states()}

    def bring_down(self, name: str) -> None:
        """Until its breaker opens."""
        self.away.add(name)
        for _ in range(FAILURES_IN_A_ROW):
            self.ask()
        assert self.states[name] == "open"


def failure(entry: errors.Entry = errors.UPSTREAM_FAILED) -> UpstreamFailed:
    return UpstreamFailed(entry("broke"))


def end(tries: Tries, error: BaseException | None = None) -> None:
    """The try under way ends."""
    tries.__enter__()
    tries.__exit__(type(error) if error else None, error, None)


def test_the_first_one_as_long_as_it_works() -> None:
    scene = Scene()
    assert [scene.ask() for _ in range(3)] == [("a", "a")] * 3


def test_one_that_is_not_ready_comes_later_and_is_asked_when_none_is() -> None:
    scene = Scene()
    scene.engines["a"].ready = False
    assert scene.ask() == ("b", "b")
    scene.away = {"b"}
    assert scene.ask() == ("ba", "a")
    scene.engines["b"].ready = False
    assert scene.ask() == ("a", "a")


def test_one_that_knows_itself_that_it_is_away_is_told_as_left_alone() -> None:
    """It may be long until its breaker has seen enough: nobody asks it meanwhile."""
    scene = Scene()
    scene.engines["a"].ready = False
    assert scene.states == {"a": "open", "b": "closed"}
    scene.engines["a"].ready = True
    assert scene.states["a"] == "closed"


def test_one_that_is_full_is_passed_over_while_another_has_room() -> None:
    scene = Scene()
    under_way, asked = [], ""
    for _ in range(9):
        tries = scene.begin()
        asked += next(tries).id
        tries.__enter__()
        under_way.append(tries)
    assert asked == "aaaabbbb" + "a", "four places each; the door lets in no more"
    for tries in under_way[:2]:
        tries.__exit__(None, None, None)
    assert scene.ask() == ("a", "a")


def test_one_that_is_full_is_better_than_one_that_restarts() -> None:
    scene = Scene()
    scene.engines["a"].ready = False
    for _ in range(4):
        tries = scene.begin()
        next(tries)
        tries.__enter__()
    assert scene.ask() == ("b", "b")


def test_a_storm_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(away={"a", "b"})
    for _ in range(1_000):
        scene.ask()
    assert caplog.text.count("without a second try") == 1


def test_one_that_fails_is_left_alone_after_a_while_and_found_again() -> None:
    scene = Scene()
    scene.bring_down("a")
    assert scene.ask() == ("b", "b")
    scene.now_s += 1
    assert scene.ask() == ("ab", "b"), "one finds out"
    assert scene.ask() == ("b", "b")
    scene.away.clear()
    scene.now_s += 2
    assert scene.ask() == ("a", "a")
    assert scene.states == {"a": "closed", "b": "closed"}


def test_while_one_request_finds_out_all_others_go_elsewhere() -> None:
    scene = Scene()
    scene.bring_down("a")
    scene.now_s += 1
    finding_out = scene.begin()
    assert next(finding_out).id == "a"
    others = [next(scene.begin()).id for _ in range(20)]
    assert others == ["b"] * 20
    finding_out.began()
    assert next(scene.begin()).id == "a", "from the first delta on, not from the last"


def test_a_caller_that_leaves_while_it_finds_out_leaves_that_to_the_next() -> None:
    scene = Scene()
    scene.bring_down("a")
    scene.now_s += 1
    tries = scene.begin()
    assert next(tries).id == "a"
    end(tries, GeneratorExit())
    assert next(scene.begin()).id == "a"
    assert next(scene.begin()).id == "b"


def test_a_refusal_of_the_request_speaks_for_the_engine() -> None:
    scene = Scene()
    for _ in range(2 * FAILURES_IN_A_ROW):
        tries = scene.begin()
        next(tries)
        end(tries, errors.UPSTREAM_REFUSED("no"))
    assert scene.states["a"] == "closed"


def test_failures_after_the_first_delta_count_too() -> None:
    scene = Scene()
    for _ in range(FAILURES_IN_A_ROW):
        tries = scene.begin()
        next(tries)
        tries.began()
        scene.usage.started = True
        end(tries, failure())
    assert scene.states["a"] == "open"
    assert scene.tried_as == {("a", "broke_off"): FAILURES_IN_A_ROW}


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "answered"),
        (errors.UPSTREAM_REFUSED("no"), "refused"),
        (failure(), "failed"),
        (failure(errors.UPSTREAM_TIMEOUT), "timed_out"),
        (GeneratorExit(), "cut"),
    ],
)
def test_every_try_is_counted_as_what_it_was(error: BaseException | None, result: Result) -> None:
    scene = Scene()
    tries = scene.begin()
    next(tries)
    end(tries, error)
    assert scene.tried_as == {("a", result): 1}


def test_one_that_fails_more_often_than_the_other_is_taken_out() -> None:
    scene = Scene()
    for number in range(100):
        scene.away = {"a"} if number % 3 == 0 else set()
        scene.ask()
    assert scene.states == {"a": "open", "b": "closed"}


def test_what_both_fail_at_takes_none_of_them_out() -> None:
    scene = Scene()
    for number in range(200):
        scene.away = {"a", "b"} if number % 6 == 0 else {"a"} if number % 3 == 0 else set()
        scene.ask()
    assert set(scene.states.values()) == {"closed"}


def test_without_budget_the_first_failure_is_told() -> None:
    scene = Scene("abc")
    health = scene.routing.choose(PROMPT, "own").health
    while health.budget.spend(scene.now_s):
        pass
    scene.away = {"a"}
    assert scene.ask() == ("a", "")
    scene.now_s += 1
    assert scene.ask() == ("ab", "b")


def test_nobody_finds_out_at_the_expense_of_a_request_that_could_not_be_tried_again() -> None:
    scene = Scene()
    scene.bring_down("a")
    budget = scene.routing.choose(PROMPT, "own").health.budget
    scene.now_s += 1
    while budget.spend(scene.now_s):
        pass
    assert scene.ask() == ("b", "b")


def test_when_all_are_away_each_request_still_asks() -> None:
    scene = Scene()
    scene.bring_down("a")
    scene.bring_down("b")
    scene.away = {"a"}
    assert scene.ask()[1] == "b"
    assert scene.states["b"] == "closed", "and whoever answers is back"


def test_a_last_try_elsewhere_does_not_speak_for_the_one_that_finds_out() -> None:
    scene = Scene()
    scene.bring_down("a")
    scene.bring_down("b")
    scene.now_s += 1
    finding_out = scene.begin()
    assert next(finding_out).id == "a"
    assert scene.ask()[1] == ""
    finding_out.began()
    assert scene.states["a"] == "closed"


def test_a_storm_does_not_multiply_the_load() -> None:
    scene = Scene("abc", away={"a", "b", "c"})
    asked = sum(len(scene.ask()[0]) for _ in range(5_000))
    assert asked <= 5_000 * 1.1 + RETRIES_MAX + 1


def test_what_is_known_survives_a_change_of_models() -> None:
    scene = Scene()
    scene.bring_down("a")
    deployments = scene.routing.models()["m"]
    scene.routing.replace(deployments[::-1])
    assert scene.states == {"b": "closed", "a": "open"}
    scene.routing.replace(deployments[1:])
    scene.routing.replace(deployments)
    assert scene.states["a"] == "closed", "forgotten with the deployment"


events = st.lists(
    st.tuples(st.sets(st.sampled_from("abc")), st.sets(st.sampled_from("abc")), st.floats(0, 12)),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["a", "ab", "abc"]), events)
def test_a_request_fails_only_where_nobody_could_have_answered_it(
    names: str, events: Sequence[tuple[set[str], set[str], float]]
) -> None:
    scene = Scene(names)
    for away, asleep, passed_s in events:
        scene.now_s += passed_s + 3  # so that the budget is never the reason
        scene.away = away
        for name, engine in scene.engines.items():
            engine.ready = name not in asleep
        asked, answered = scene.ask()
        assert len(set(asked)) == len(asked) <= TRIES_MAX, "nobody is asked twice"
        assert bool(answered) == bool(set(names) - away)


@settings(max_examples=200, deadline=None)
@given(st.sets(st.sampled_from("abc")), st.integers(0, 60))
def test_whoever_is_back_is_found_within_ten_seconds_of_requests(
    away: set[str], count: int
) -> None:
    scene = Scene("abc", away=away)
    for _ in range(count):
        scene.now_s += 0.5
        scene.ask()
    scene.away.clear()
    for _ in range(25):
        scene.now_s += 0.5
        scene.ask()
    assert scene.ask() == ("a", "a")


def test_places_are_those_of_what_is_there_and_one_to_find_out() -> None:
    scene = Scene()

    def places() -> int:
        return scene.routing.choose(PROMPT, "own").places

    assert places() == 8
    scene.bring_down("a")
    assert places() == 4
    scene.now_s += 30.0
    assert scene.states["a"] == "half_open"
    assert places() == 5, "b is full with four: without a fifth nobody would find out"
    scene.away.clear()
    finding_out = scene.begin()
    assert next(finding_out).id == "a"
    assert places() == 5
    end(finding_out)
    assert places() == 8


def test_one_to_find_out_only_where_its_failure_can_be_made_good() -> None:
    scene = Scene()
    scene.bring_down("a")
    scene.now_s += 30.0
    health = scene.routing.choose(PROMPT, "own").health
    while health.budget.spend(scene.now_s):
        pass
    assert scene.routing.choose(PROMPT, "own").places == 4


def test_where_none_is_there_all_places_are_open() -> None:
    scene = Scene()
    for engine in scene.engines.values():
        engine.ready = False
    assert scene.routing.choose(PROMPT, "own").places == 8


def test_places_in_all_are_also_those_a_prompt_may_not_go_to() -> None:
    seeing, blind = Engine("image"), Engine(places=2)
    routing = Routing([Deployment("a", "m", seeing, "us", 0), Deployment("b", "m", blind, "us", 0)])
    routes = routing.choose(replace(PROMPT, needs=frozenset({"image"})), "own")
    assert (routes.places, routes.places_in_all) == (4, 6)
