"""`portico doctor` and providers, which another Portico plays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from portico.db.database import open_database
from portico.kit.clock import SystemClock
from portico.routing.model import EngineKind
from tests.cli.test_doctor import rows, used
from tests.routing.registered import Registry
from tests.whole.conftest import Served, end, start

LIGHT = {"PORTICO_SERVER_DRAIN_S": "0", "PORTICO_ENGINE_ENABLED": "false"}
KINDS: tuple[EngineKind, ...] = ("anthropic", "gemini", "openai-responses")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("provider") / "data", "--simulated", env=LIGHT)
    yield running
    end(running)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, provider: Served) -> None:
    monkeypatch.setenv("PORTICO_ENGINE_ENABLED", "false")
    monkeypatch.setenv("PROVIDER_KEY", provider.api_key)


def register(data_dir: Path, provider: Served, *models: str, key: str = "PROVIDER_KEY") -> None:
    registry = Registry(open_database(data_dir), SystemClock())
    for kind in KINDS:
        for model in models:
            registry.add(
                model=kind,
                location=provider.base_url,
                engine=kind,
                upstream_model=model,
                credential_env=key,
            )


def test_providers_list_their_models_and_generate_nothing(provider: Served, tmp_path: Path) -> None:
    register(tmp_path, provider, "sim-echo")
    before = used(provider)
    found, code = rows(tmp_path)
    assert ([row["ok"] for row in found], code) == ([True] * 3, 0)
    for row, kind in zip(found, KINDS, strict=True):
        assert row["says"].startswith(f"{kind}: http://127.0.0.1:")
        assert "sim-" in row["says"]
    assert used(provider) == before


def test_only_when_wanted_they_are_asked_for_an_answer(provider: Served, tmp_path: Path) -> None:
    register(tmp_path, provider, "sim-echo")
    before = used(provider)
    found, code = rows(tmp_path, "--generate")
    assert ([row["ok"] for row in found], code) == ([True] * 3, 0)
    assert all("answers for sim-echo" in row["says"] for row in found)
    assert used(provider) == before + 3


def test_what_is_wrong_is_said(provider: Served, tmp_path: Path) -> None:
    register(tmp_path, provider, "sim-eccho")
    found, code = rows(tmp_path)
    assert ([row["ok"] for row in found], code) == ([False] * 3, 1)
    assert all("but not sim-eccho" in row["says"] for row in found)
    found, code = rows(tmp_path, "--generate")
    assert ([row["ok"] for row in found], code) == ([False] * 3, 1)
    assert all("did not answer a test for 'sim-eccho'" in row["says"] for row in found)


def test_a_wrong_key_is_said(provider: Served, tmp_path: Path) -> None:
    register(tmp_path, provider, "sim-echo", key="NOT_SET")
    found, code = rows(tmp_path)
    assert ([row["ok"] for row in found], code) == ([False] * 3, 1)
    assert all("does not accept the API key" in row["says"] for row in found)
