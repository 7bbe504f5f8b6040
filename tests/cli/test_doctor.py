"""`portico doctor` and the servers behind Portico, which are real ones here."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portico.db.database import open_database
from portico.kit.clock import SystemClock
from tests.routing.registered import Registry
from tests.whole.conftest import Served, end, portico, start

BEHIND = {"PORTICO_SERVER_DRAIN_S": "0", "PORTICO_ENGINE_ENABLED": "false"}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("behind") / "data", "--simulated", env=BEHIND)
    yield running
    end(running)


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_ENGINE_ENABLED", "false")


def rows(data_dir: Path, *words: str) -> tuple[list[dict[str, Any]], int]:
    """What is said about upstreams, and the exit code."""
    done = portico("doctor", "--data-dir", str(data_dir), "--port", "0", "--json", *words)
    assert "Traceback" not in done.stderr
    checks = json.loads(done.stdout)["checks"]
    return [check for check in checks if check["name"] == "upstream"], done.returncode


def used(behind: Served) -> int:
    return len(behind.cli("usage", "--list", "1000")["records"])


def test_no_upstream_no_row(tmp_path: Path) -> None:
    assert rows(tmp_path) == ([], 0)
    assert not (tmp_path / "portico.db").exists()


def test_an_upstream_lists_its_models_and_generates_nothing(
    behind: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTICO_UPSTREAM_API_KEY", behind.api_key)
    before = used(behind)
    ((row,), code) = rows(tmp_path, "--upstream", behind.base_url)
    assert (row["ok"], code) == (True, 0)
    assert "sim-echo" in row["says"]
    assert used(behind) == before


def test_only_when_wanted_it_is_asked_for_an_answer(
    behind: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEHIND_KEY", behind.api_key)
    register(tmp_path, behind.base_url, "sim-echo")
    before = used(behind)
    ((row,), code) = rows(tmp_path, "--generate")
    assert (row["ok"], code) == (True, 0)
    assert "answers for sim-echo" in row["says"]
    assert used(behind) == before + 1


def test_a_wrong_key_is_said_with_what_to_look_at(behind: Served, tmp_path: Path) -> None:
    assert "BEHIND_KEY" not in os.environ
    register(tmp_path, behind.base_url, "sim-echo")
    ((row,), code) = rows(tmp_path)
    assert (row["ok"], code) == (False, 1)
    assert "does not accept the API key" in row["says"]
    assert "BEHIND_KEY" in row["fix"]


def test_a_model_that_is_not_listed(
    behind: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEHIND_KEY", behind.api_key)
    register(tmp_path, behind.base_url, "sim-eccho")
    ((row,), code) = rows(tmp_path)
    assert (row["ok"], code) == (False, 1)
    assert "but not sim-eccho" in row["says"]


def test_nobody_there_and_no_address(tmp_path: Path) -> None:
    found, code = rows(tmp_path, "--upstream", "http://127.0.0.1:9/v1", "--upstream", "ftp://x")
    assert code == 1
    unreachable, wrong = found
    assert "http://127.0.0.1:9/v1/models cannot be reached" in unreachable["says"]
    assert "Origin(" not in unreachable["says"], "in words, not in Python"
    assert "upstream.urls" in unreachable["fix"]
    assert "starts with http" in wrong["says"]


def test_a_database_is_read_as_it_is(tmp_path: Path) -> None:
    """Tables of another version are for `portico serve` to change."""
    (tmp_path / "portico.db").touch()
    ((row,), code) = rows(tmp_path)
    assert (row["ok"], code) == (False, 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "portico.db")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == []


def register(data_dir: Path, base_url: str, upstream_model: str) -> None:
    Registry(open_database(data_dir), SystemClock()).add(
        model="named", location=base_url, upstream_model=upstream_model, credential_env="BEHIND_KEY"
    )
