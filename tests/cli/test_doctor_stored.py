"""`portico doctor` about what is kept: how much, what has waited longest, what should be gone."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import openai
import pytest

from portico.kit.clock import SystemClock
from tests.whole.conftest import Served, end, portico, start
from tests.whole.wire import eventually

QUIET = {"PORTICO_SERVER_DRAIN_S": "0", "PORTICO_ENGINE_ENABLED": "false"}
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_ENGINE_ENABLED", "false")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server left: a response, a file, one more response that nobody has made yet."""
    served = start(tmp_path_factory.mktemp("left") / "data", "--simulated", env=QUIET)
    with openai.OpenAI(api_key=served.api_key, base_url=served.base_url) as client:
        client.responses.create(model="sim-echo", input="Hello")
        client.files.create(file=("a.txt", b"12345"), purpose="user_data")
        made = client.responses.create(
            model="sim-echo", input="[[sim tokens=400 delay_ms=50]]", background=True
        )
        eventually(lambda: _state(served, made.id) == "in_progress")
    end(served)
    return served.data_dir


def _state(served: Served, response_id: str) -> str:
    with sqlite3.connect(served.data_dir / "portico.db") as database:
        query = "SELECT state FROM response WHERE id = ?"
        return str(database.execute(query, (response_id,)).fetchone()[0])


def told(data_dir: Path) -> dict[str, dict[str, Any]]:
    done = portico("doctor", "--data-dir", str(data_dir), "--port", "0", "--json")
    assert "Traceback" not in done.stderr
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def change(data_dir: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(data_dir / "portico.db") as database:
        database.execute(sql, values)


def test_how_much_is_kept_and_what_waits(left: Path) -> None:
    found = told(left)
    figures = found["kept"]["figures"]
    assert (figures["responses_rows"], figures["files_rows"]) == (2, 1)
    assert (figures["files_bytes"], figures["conversations_rows"]) == (5, 0)
    assert figures["responses_bytes"] > 100
    room = found["room"]["figures"]
    assert room["file_bytes"] > room["free_bytes"] >= 0
    quota = found["quota"]
    assert quota["figures"]["limit_bytes"] == 10_737_418_240
    largest = quota["figures"]["largest_bytes"]
    assert largest == figures["responses_bytes"] + 2 * 512
    assert "full" not in quota["says"]
    jobs = found["jobs"]
    assert (jobs["ok"], jobs["figures"]["responses"]) == (True, 1)
    assert jobs["figures"]["oldest_ms"] >= 0
    assert "1 responses unfinished, the oldest (resp_" in jobs["says"]
    assert (found["expiry"]["ok"], found["files"]["ok"]) == (True, True)
    assert found["webhooks"]["figures"] == {"waiting": 0, "oldest_ms": None}


def test_projects_that_are_full_are_named_and_nothing_is_wrong_with_that(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTICO_KEPT_BYTES_PER_PROJECT_MAX", "1000")
    quota = told(left)["quota"]
    assert quota["ok"]
    assert quota["says"].startswith("proj_")
    assert "; each may 1000 bytes; full: proj_" in quota["says"]


def test_what_should_have_ended_or_gone_is_told(left: Path) -> None:
    now_ms = SystemClock().wall_ms()
    change(
        left, "UPDATE response SET created_at_ms = ? WHERE ended_at_ms IS NULL", now_ms - 2 * DAY_MS
    )
    change(
        left,
        "UPDATE response SET expires_at_ms = ? WHERE ended_at_ms IS NOT NULL",
        now_ms - DAY_MS,
    )
    (kept,) = list((left / "files").rglob("file_*"))
    kept.rename(left / "elsewhere")
    found = told(left)
    assert [found[name]["ok"] for name in ("kept", "jobs", "expiry", "files")] == [
        True,
        False,
        False,
        False,
    ]
    assert "should have ended" in found["jobs"]["fix"]
    assert found["expiry"]["figures"] == {"overdue": 1}
    assert found["files"]["figures"] == {"files": 1, "lost": 1, "strays": 0}


def test_what_waits_to_be_told(left: Path) -> None:
    now_ms = SystemClock().wall_ms()
    alert = "INSERT INTO alert VALUES (?, 'response.completed', ?, 'org_x', '{}', ?)"
    sent = "INSERT INTO delivery VALUES (?, ?, 'webhook', 'whk_1', 'waiting', 3, ?, NULL)"
    for name, age_ms, due_ms in (("b", 5_000, 60_000), ("a", 9_000, 90_000)):
        change(left, alert, f"alert_{name}", f"of {name}", now_ms - age_ms)
        change(left, sent, f"msg_{name}", f"alert_{name}", now_ms + due_ms)
    found = told(left)["webhooks"]
    assert (found["ok"], found["figures"]["waiting"]) == (True, 2)
    assert found["figures"]["oldest_ms"] >= 9_000
    assert "2 waiting to be told, the oldest (msg_a) for" in found["says"]
    change(left, "UPDATE delivery SET due_at_ms = ?", now_ms - DAY_MS)
    found = told(left)["webhooks"]
    assert (found["ok"], "Nobody sends them" in found["fix"]) == (False, True)


def test_no_database_no_rows(tmp_path: Path) -> None:
    assert not {"kept", "jobs", "expiry", "files"} & told(tmp_path).keys()
    assert not (tmp_path / "portico.db").exists()
