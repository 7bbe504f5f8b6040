"""`portico model` and `portico project`, run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cyclopts import App

from portico.accounts.service import open_accounts
from portico.cli import drill, model
from portico.cli.tenants import project
from portico.db.database import open_database
from portico.kit.clock import SystemClock
from portico.routing.model import Drill

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[App], Run]:
    database = open_database(tmp_path)
    open_accounts(database, tmp_path, SystemClock())

    def command(app: App) -> Run:
        def run(*typed: str) -> tuple[int, str, str]:
            with pytest.raises(SystemExit) as ended:
                app([*typed, "--data-dir", str(tmp_path)])
            said = capsys.readouterr()
            assert isinstance(ended.value.code, int)
            return ended.value.code, said.out, said.err

        return run

    return command


@pytest.fixture
def models(run: Callable[[App], Run]) -> Run:
    return run(model.app)


def order(models: Run, name: str = "m") -> list[str]:
    found = json.loads(models("list", "--json")[1])["models"]
    return [each["location"] for each in found if each["model"] == name]


def added(models: Run, *names: str) -> list[str]:
    """Ids of upstreams added one after the other."""
    said = [models("add", "m", "--upstream", f"http://{name}", "--json")[1] for name in names]
    return [json.loads(each)["id"] for each in said]


def test_deployments_are_listed_in_the_order_they_were_added(models: Run) -> None:
    added(models, "a", "b", "c")
    assert order(models) == ["http://a", "http://b", "http://c"]


def test_one_can_be_moved_to_any_place(models: Run) -> None:
    a, _, c = added(models, "a", "b", "c")
    assert models("move", "m", "--deployment", c)[0] == 0
    assert order(models) == ["http://c", "http://a", "http://b"]
    models("move", "m", "--deployment", c, "--to", "2")
    assert order(models) == ["http://a", "http://c", "http://b"]
    models("move", "m", "--deployment", a, "--to", "99")
    assert order(models) == ["http://c", "http://b", "http://a"]
    added(models, "d")
    assert order(models)[-1] == "http://d", "a new one comes last, wherever the others were moved"


def test_one_or_all_of_them_are_forgotten(models: Run) -> None:
    _, b, _ = added(models, "a", "b", "c")
    assert models("remove", "m", "--deployment", "dep_none")[0] == 1
    assert models("remove", "other", "--deployment", b)[0] == 1
    assert models("remove", "m", "--deployment", b)[0] == 0
    assert order(models) == ["http://a", "http://c"]
    assert models("remove", "m")[0] == 0
    assert order(models) == []


def test_what_is_not_there_is_not_moved(models: Run) -> None:
    (a,) = added(models, "a")
    assert models("move", "other", "--deployment", a)[0] == 1
    assert models("move", "m", "--deployment", "dep_none")[0] == 1
    assert models("move", "m", "--deployment", a, "--to", "0")[0] == 2


def test_an_upstream_is_trusted_as_far_as_it_is_said(models: Run) -> None:
    for use, expected in (((), "no_training"), (("--data-use", "own"), "own")):
        said = models("add", "m", "--upstream", "http://a", *use, "--json")[1]
        assert json.loads(said)["data_use"] == expected
    assert models("add", "m", "--upstream", "http://a", "--data-use", "any")[0] != 0


def test_a_project_says_how_much_it_allows(run: Callable[[App], Run]) -> None:
    projects = run(project.app)
    (first,) = json.loads(projects("list", "--json")[1])["projects"]
    assert first["data_use"] == "no_training"
    assert projects("set", first["id"], "--data-use", "own")[0] == 0
    (first,) = json.loads(projects("list", "--json")[1])["projects"]
    assert first["data_use"] == "own"
    assert projects("set", first["id"], "--compatibility", "adapt")[0] == 0
    (first,) = json.loads(projects("list", "--json")[1])["projects"]
    assert (first["data_use"], first["compatibility"]) == ("own", "adapt")
    assert projects("set", first["id"])[0] == 2
    code, _, says = projects("set", "proj_none", "--data-use", "own")
    assert code == 1
    assert "There is no project 'proj_none' here." in says
    assert "-> Check the id" in says


def test_a_drill_needs_a_server_and_a_minute_at_most(models: Run) -> None:
    code, _, says = models("drill", "m")
    assert (code, "no server is running" in says) == (1, True)
    assert models("drill", "m", "--seconds", "61")[0] == 2


def heard(at_ms: int, deployment: str, says: str = "") -> drill.Heard:
    return drill.Heard(at_ms, deployment, says)


def test_what_a_drill_found_is_counted_from_the_cut_and_from_its_end() -> None:
    run = Drill("drill_1", "s", "m", 10, 500, began_at_ms=1_000, deployment="a")
    found = drill.findings(
        run,
        [
            heard(900, "a"),
            heard(1_010, "", "broke"),
            heard(1_030, "a"),  # under way when the plug was pulled
            heard(1_050, "b"),
            heard(1_100, "b"),
            heard(11_200, "b"),
            heard(11_700, "a"),
        ],
    )
    assert (found.sent, found.answered) == (7, 6)
    assert (found.took_over, found.took_over_ms, found.back_ms) == ("b", 50, 700)


def test_a_failover_that_never_came_has_no_time() -> None:
    run = Drill("drill_1", "s", "m", 10, 500, began_at_ms=1_000, deployment="a")
    found = drill.findings(run, [heard(1_010, "", "broke"), heard(11_010, "", "broke")])
    assert (found.took_over, found.took_over_ms, found.back_ms) == (None, None, None)
