"""All that a project keeps, taken out and taken away, beside a running server."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.whole.conftest import Served, end, portico, start
from tests.whole.wire import eventually

QUIET = {"PORTICO_SERVER_DRAIN_S": "0", "PORTICO_ENGINE_ENABLED": "false"}
LINE = {
    "custom_id": "one",
    "method": "POST",
    "url": "/v1/responses",
    "body": {"model": "sim-echo", "input": "of a line"},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    running = start(tmp_path_factory.mktemp("kept") / "data", "--simulated", env=QUIET)
    yield running
    end(running)


@pytest.fixture(scope="module")
def made(served: Served) -> dict[str, str]:
    """One of each kind, by its kind: the id."""
    with openai.OpenAI(api_key=served.api_key, base_url=served.base_url) as client:
        file = client.files.create(file=("a.bin", bytes(range(256)) * 40), purpose="user_data")
        talk = client.conversations.create(items=[{"role": "user", "content": "Before"}])
        said = client.responses.create(model="sim-echo", input="Hello", conversation=talk.id)
        lines = client.files.create(file=("b.jsonl", json.dumps(LINE).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=lines.id, endpoint="/v1/responses", completion_window="24h"
        )
        eventually(lambda: client.batches.retrieve(batch.id).status == "completed")
        upload = client.uploads.create(
            bytes=10, filename="c.txt", mime_type="text/plain", purpose="user_data"
        )
        client.uploads.parts.create(upload.id, data=b"12345")
    return {"file": file.id, "said": said.id}


def project_of(served: Served) -> str:
    (project,) = served.cli("project", "list")["projects"]
    return str(project["id"])


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_what_was_taken_out_is_all_there_is(
    served: Served, made: dict[str, str], tmp_path: Path
) -> None:
    to = tmp_path / "out"
    told = served.cli("project", "export", project_of(served), "--to", str(to))
    assert (told["complete"], told["missing"]) == (True, [])
    counts = {name: part["rows"] for name, part in told["parts"].items()}
    assert counts == {
        "responses": 1,
        "response_events": 0,
        "conversations": 1,
        "conversation_items": 3,
        "batches": 1,
        "batch_lines": 1,
        "files": 3,
        "uploads": 1,
        "upload_parts": 1,
        "answers": 0,
    }
    for name, part in told["parts"].items():
        content = (to / f"{name}.jsonl").read_bytes()
        assert hashlib.sha256(content).hexdigest() == part["sha256"]
    assert (to / "files" / made["file"]).read_bytes() == bytes(range(256)) * 40
    assert {row["id"] for row in rows(to, "responses")} == {made["said"]}
    assert rows(to, "responses")[0]["body"]["output"][0]["content"][0]["text"]
    texts = [json.dumps(row["item"]["content"]) for row in rows(to, "conversation_items")]
    assert "Before" in texts[0]
    assert "Hello" in texts[1]


def test_one_that_was_cut_off_goes_on(served: Served, made: dict[str, str], tmp_path: Path) -> None:
    to = tmp_path / "out"
    words = ("project", "export", project_of(served), "--to", str(to))
    first = served.cli(*words)
    whole = to / "files" / made["file"]
    since = whole.stat().st_mtime_ns
    (to / "manifest.json").write_text(json.dumps({"project": project_of(served)}))
    (to / "responses.jsonl").unlink()
    (other,) = [each for each in (to / "files").iterdir() if each.stat().st_size < 500][:1]
    other.write_bytes(b"cut")
    again = served.cli(*words)
    for name in ("responses", "files", "conversation_items"):
        assert again["parts"][name] == first["parts"][name]
    assert whole.stat().st_mtime_ns == since, "what is whole is not written again"


def test_nothing_is_mixed_with_it(served: Served, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    place = ("--data-dir", str(served.data_dir), "--to", str(tmp_path / "mine"))
    done = portico("project", "export", project_of(served), *place)
    assert done.returncode == 2
    assert "holds something else" in done.stderr


def test_all_of_it_is_deleted_and_nothing_else(
    served: Served, made: dict[str, str], tmp_path: Path
) -> None:
    project = project_of(served)
    place = ("--data-dir", str(served.data_dir))
    assert portico("project", "erase-content", project, *place).returncode == 2
    told = served.cli("project", "erase-content", project, "--yes")
    assert told["removed"] == {"files": 4, "responses": 1, "conversations": 1, "batches": 1}
    empty = served.cli("project", "export", project, "--to", str(tmp_path / "out"))
    assert {part["rows"] for part in empty["parts"].values()} == {0}
    assert [each for each in (served.data_dir / "files").rglob("*") if each.is_file()] == []
    with openai.OpenAI(api_key=served.api_key, base_url=served.base_url) as client:
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made["said"])
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(made["file"])
        assert client.responses.create(model="sim-echo", input="More").output_text == "More"
    assert len(served.cli("usage", "--list", "100")["records"]) >= 2, "what was charged stays"
    (of,) = served.cli("organisation", "list")["organisations"]
    told = served.cli("audit", "list", "--organisation", of["id"])
    actions = [each["action"] for each in told["events"]]
    assert {"project.erase", "project.export"} <= set(actions)
