"""When usage cannot be recorded: clear refusals, no crash, answers under way finish, nothing lost."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.whole.conftest import Served
from tests.whole.wire import END, Wire, ask, eventually, get, question

Serve = Callable[..., Served]


@pytest.fixture
def served_here(serve: Serve) -> Served:
    return serve("--simulated", env={"PORTICO_ENGINE_ENABLED": "false"})


def test_a_locked_database(served_here: Served) -> None:
    served = served_here
    ask(served, model="sim-echo", messages=question("hi"))
    running = Wire(served).ask(
        model="sim-lorem", messages=question("go [[sim tokens=150 delay_ms=20]]"), stream=True
    )
    running.read_until(b"data: ", 2)
    lock = sqlite3.connect(served.data_dir / "portico.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        refused: dict[str, str] = {}

        def closed() -> bool:
            status, headers, body = ask(served, model="sim-echo", messages=question("hi"))
            if status == 503:
                refused.update(headers, code=json.loads(body)["error"]["code"])
            return status == 503

        eventually(closed)
        assert refused["code"] == "storage_unavailable"
        assert int(refused["retry-after"]) >= 1
        assert get(served, "/readyz", key="")[0] == 503
        assert b"data: [DONE]" in running.read_until(END), "what runs finishes"
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    eventually(lambda: ask(served, model="sim-echo", messages=question("hi"))[0] == 200)
    records = served.cli("usage", "--list", "1000")["records"]
    lorem = [record for record in records if record["model"] == "sim-lorem"]
    assert [(r["outcome"], r["output_tokens"]) for r in lorem] == [("completed", 150)]
    assert len({record["id"] for record in records}) == len(records)


def test_a_nearly_full_disk(serve: Serve) -> None:
    """More free space is demanded than any disk has: admission is closed, nothing else is."""
    served = serve(
        "--simulated",
        env={"PORTICO_ENGINE_ENABLED": "false", "PORTICO_STORAGE_FREE_BYTES_MIN": str(1 << 60)},
    )
    eventually(lambda: ask(served, model="sim-echo", messages=question("hi"))[0] == 503)
    _, _, body = ask(served, model="sim-echo", messages=question("hi"))
    error = json.loads(body)["error"]
    assert error["code"] == "storage_unavailable"
    assert get(served, "/v1/usage")[0] == 200
    assert get(served, "/v1/models")[0] == 200


def test_records_survive_a_copy_of_the_data_directory(served_here: Served, tmp_path: Path) -> None:
    """What was acknowledged is in the files, not in a buffer."""
    served = served_here
    _, headers, _ = ask(served, model="sim-echo", messages=question("hi"))
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        source = served.data_dir / f"portico.db{suffix}"
        if source.exists():
            copy.with_name(copy.name + suffix).write_bytes(source.read_bytes())
    with sqlite3.connect(copy) as database:
        found = database.execute(
            "SELECT outcome FROM usage_record WHERE id = ?", (headers["x-request-id"],)
        ).fetchall()
    database.close()
    assert found == [("completed",)]
