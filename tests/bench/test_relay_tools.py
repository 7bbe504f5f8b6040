"""The mock model server and the load generator agree, chunk for chunk."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import process
from lab.model import ANSWER, FAST, MODELS, SILENT, BenchError, Contender, chat_body
from lab.stage import Cores, Stage
from lab.tools import Tools, build, program

NO_COMPILER = "the benchmark's tools need a C compiler: apt-get install gcc"
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason=NO_COMPILER)
ONE_CORE = Cores(*[min(os.sched_getaffinity(0))] * 3)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return build(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, ONE_CORE) as stage:
        yield stage


def load(tools: Tools, folder: Path, port: int, model: str, *more: str) -> dict[str, Any]:
    """Run the generator to the end.  Returns what it counted."""
    body = folder / "body.json"
    body.write_bytes(chat_body(model))
    command = [str(tools.load), "--port", str(port), "--body", str(body), "--window-ms", "20000"]
    done = subprocess.run(
        [*command, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def counts(result: dict[str, Any]) -> tuple[int, int, int, int, int]:
    names = ("responses", "chunks", "incomplete", "refused", "failed")
    responses, chunks, incomplete, refused, failed = (int(result[name]) for name in names)
    return responses, chunks, incomplete, refused, failed


@needs_compiler
def test_every_chunk_of_every_stream_is_counted_once(
    tools: Tools, stage: Stage, tmp_path: Path
) -> None:
    port = stage.upstream(tools)
    streams = ("--stream", "--connections", "20", "--responses", "60")
    whole = load(tools, tmp_path, port, FAST, *streams, "--expect-chunks", "100")
    assert counts(whole) == (60, 6_000, 0, 0, 0)
    assert whole["delay"]["count"] == 6_000
    assert 0 <= whole["delay"]["max_us"] <= whole["window_us"]  # else the stamps were misread
    assert whole["first_chunk"]["count"] == 60
    paced = load(tools, tmp_path, port, "bench-stream-7x3ms", *streams, "--expect-chunks", "7")
    assert counts(paced) == (60, 420, 0, 0, 0)


@needs_compiler
def test_a_stream_that_lacks_a_chunk_is_an_error_and_no_work(
    tools: Tools, stage: Stage, tmp_path: Path
) -> None:
    port = stage.upstream(tools)
    more = ("--stream", "--connections", "4", "--responses", "8", "--expect-chunks", "101")
    assert counts(load(tools, tmp_path, port, FAST, *more)) == (0, 800, 8, 0, 0)


@needs_compiler
def test_a_refusal_is_no_answer_and_is_shown(tools: Tools, stage: Stage, tmp_path: Path) -> None:
    port = stage.upstream(tools)
    more = ("--connections", "2", "--responses", "6", "--path", "/v1/other")
    result = load(tools, tmp_path, port, ANSWER, *more)
    assert counts(result) == (0, 0, 0, 6, 0)
    assert "no such page" in result["refusal"]


@needs_compiler
def test_answers_are_whole_and_all_connections_take_part(
    tools: Tools, stage: Stage, tmp_path: Path
) -> None:
    port = stage.upstream(tools)
    result = load(tools, tmp_path, port, ANSWER, "--connections", "8", "--responses", "200")
    assert counts(result) == (200, 0, 0, 0, 0)
    assert result["bytes"] % 200 == 0
    assert 1_100 <= result["bytes"] // 200 <= 1_300
    assert result["heard"] == 8


@needs_compiler
def test_a_fixed_rate_asks_as_often_as_it_was_told(
    tools: Tools, stage: Stage, tmp_path: Path
) -> None:
    port = stage.upstream(tools)
    more = ("--connections", "8", "--rate", "500", "--responses", "50")
    result = load(tools, tmp_path, port, ANSWER, *more)
    assert result["window_us"] >= 49 * 2_000  # the 50th request is not due before


@needs_compiler
def test_the_model_server_lists_its_models(tools: Tools, stage: Stage) -> None:
    port = stage.upstream(tools)
    server = stage.start(Contender("direct", url=f"http://127.0.0.1:{port}/v1"))
    assert (server.port, server.path) == (port, "/v1/chat/completions")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models") as answer:
        listed = json.load(answer)["data"]
    assert tuple(model["id"] for model in listed) == MODELS


@needs_compiler
def test_a_door_that_tries_the_silent_model_is_answered_at_once(tools: Tools, stage: Stage) -> None:
    port = stage.upstream(tools)
    asked = json.loads(chat_body(SILENT)) | {"max_tokens": 8}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = urllib.request.Request(url, json.dumps(asked).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        events = answer.read().split(b"\n\n")
    assert sum(b'"content":"@' in event for event in events) == 8
    assert events[-2:] == [b"data: [DONE]", b""]


def test_a_missing_program_is_named_with_what_installs_it() -> None:
    with pytest.raises(
        BenchError, match=r"no-such-program is missing.*apt-get install some-package"
    ):
        program("no-such-program", "some-package")


def test_a_server_that_ends_early_is_reported_with_its_own_words(stage: Stage) -> None:
    dies = Contender(
        "dies", command=(sys.executable, "-c", "print('no room'); raise SystemExit(1)")
    )
    with pytest.raises(BenchError, match="no room"):
        stage.start(dies)


def test_the_ready_line_of_a_server_is_found_among_its_log(stage: Stage) -> None:
    lines = ("starting", '{"level": "info"}', '{"port": 7}')
    said = f"for line in {lines!r}: print(line, flush=True)\nimport time; time.sleep(60)"
    log = stage.spawn(Contender("talks", command=(sys.executable, "-c", said)), ONE_CORE.server)
    assert stage.banner("talks", log, start_s=20.0, holding="port") == {"port": 7}


def test_the_cpu_clock_is_the_kernels_own() -> None:
    before = time.process_time_ns() // 1000
    ours = process.cpu_us([os.getpid()])
    after = time.process_time_ns() // 1000
    assert before <= ours <= after


def test_a_child_that_is_no_part_of_the_relay_is_left_out() -> None:
    command = [sys.executable, "-c", "input('here')", "some-engine-child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(1)  # its command line can be read once it runs
        own = os.getpid()
        assert child.pid in process.family(own)
        assert child.pid not in process.family(own, "some-engine-child")
