"""`portico doctor` and the guard of moderations, which another Portico plays."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.whole.conftest import Served, end, portico, start

LIGHT = {"PORTICO_SERVER_DRAIN_S": "0", "PORTICO_ENGINE_ENABLED": "false"}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("behind") / "data", "--simulated", env=LIGHT)
    yield running
    end(running)


def guard_row(folder: Path, monkeypatch: Any, *words: str, **settings: str) -> dict[str, Any]:
    monkeypatch.setenv("PORTICO_ENGINE_ENABLED", "false")
    for name, said in settings.items():
        monkeypatch.setenv(f"PORTICO_MODERATION_GUARD_{name.upper()}", said)
    done = portico("doctor", *words, "--data-dir", str(folder), "--port", "0", "--json")
    checks = json.loads(done.stdout)["checks"]
    return next((check for check in checks if check["name"] == "guard"), {})


def test_no_guard_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert guard_row(tmp_path, monkeypatch) == {}


def test_it_is_asked_only_when_wanted(
    behind: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = guard_row(tmp_path, monkeypatch, url=behind.base_url, api_key="pk_wrong")
    assert row["ok"]
    assert "--generate asks it" in row["says"]
    row = guard_row(tmp_path, monkeypatch, "--generate", url=behind.base_url, api_key="pk_wrong")
    assert not row["ok"]
    assert "status 401" in row["says"]
    assert "guard_api_key" in row["fix"]
    row = guard_row(
        tmp_path, monkeypatch, "--generate", url=behind.base_url, api_key=behind.api_key
    )
    assert row["ok"]
    assert row["says"] == "guard scores 9 categories"


def test_a_setting_that_cannot_be_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = guard_row(tmp_path, monkeypatch, url="http://127.0.0.1:9", speaks="llama_guard")
    assert not row["ok"]
    assert "guard_model" in row["says"]
