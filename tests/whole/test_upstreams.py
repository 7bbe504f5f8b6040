"""A server with many models: how many are asked, and which."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.whole.conftest import Served, end, start
from tests.whole.wire import eventually, get

Serve = Callable[..., Served]
BEHIND = {"PORTICO_SERVER_DRAIN_S": "0", "PORTICO_ENGINE_ENABLED": "false"}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("behind") / "data", "--simulated", env=BEHIND)
    yield running
    end(running)


def front_of(serve: Serve, behind: Served, folder: Path, **upstream: str) -> Served:
    settings = {f"PORTICO_UPSTREAM_{name.upper()}": value for name, value in upstream.items()}
    return serve(
        "--upstream",
        behind.base_url,
        data_dir=folder,
        env={**BEHIND, "PORTICO_UPSTREAM_API_KEY": behind.api_key, **settings},
    )


def models(served: Served) -> list[str]:
    return [model["id"] for model in json.loads(get(served, "/v1/models")[2])["data"]]


def asked(behind: Served) -> int:
    return len(behind.cli("usage", "--list", "1000")["records"])


def test_a_long_list_is_cut_and_what_is_left_out_is_named(
    serve: Serve, behind: Served, tmp_path: Path
) -> None:
    listed, before = models(behind), asked(behind)
    front = front_of(serve, behind, tmp_path, models_max="2")
    eventually(lambda: len(models(front)) == 2)
    assert set(models(front)) == set(listed[:2])
    assert asked(behind) == before + 2, "each costs one tiny answer, the others nothing"
    front.stop()
    assert front.process.stderr is not None
    said = front.process.stderr.read()
    assert f"Not tried and not served: {', '.join(listed[2:])}; name" in said
    assert "upstream.models_max" in said


def test_models_that_are_named_are_served_and_no_others(
    serve: Serve, behind: Served, tmp_path: Path
) -> None:
    before = asked(behind)
    front = front_of(serve, behind, tmp_path, models="sim-json,sim-echo,sim-none", models_max="1")
    eventually(lambda: len(models(front)) == 2)
    assert set(models(front)) == {"sim-json", "sim-echo"}
    assert asked(behind) == before + 2


def test_names_that_nobody_lists_are_said(serve: Serve, behind: Served, tmp_path: Path) -> None:
    front = front_of(serve, behind, tmp_path, models="gpt-none")
    assert models(front) == []
    front.stop()
    assert front.process.stderr is not None
    assert "It lists none of the models in upstream.models." in front.process.stderr.read()
