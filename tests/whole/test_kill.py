"""kill -9 of the engine, kill -9 of Portico, SIGTERM: typed endings, nothing acknowledged lost."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from tests.whole.conftest import Served
from tests.whole.wire import END, Wire, ask, eventually, get, question

Serve = Callable[..., Served]


def engine_pids(served: Served) -> list[int]:
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(served.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in done.stdout.split()]


def test_the_engine_dies_in_the_middle_of_a_stream(serve: Serve) -> None:
    served = serve()
    wire = Wire(served).ask(
        model="portico-demo",
        messages=question("Tell me a very long story."),
        max_tokens=2_000,
        ignore_eos=True,
        stream=True,
    )
    wire.read_until(b"data: ", 5)
    (pid,) = engine_pids(served)
    os.kill(pid, signal.SIGKILL)
    last = re.findall(rb"data: (.*)\n", wire.read_until(END))[-1]
    assert json.loads(last)["error"]["code"] == "upstream_failed"
    record = served.cli("usage", "--list", "1")["records"][0]
    assert record["outcome"] == "upstream_failed"
    assert record["output_tokens"] >= 4
    status, _, _ = ask(served, model="portico-demo", messages=question("Hello"))
    assert status == 200
    assert engine_pids(served) != [pid]


def test_no_acknowledged_record_is_lost(serve: Serve) -> None:
    """Clients keep asking while Portico is killed: every answer that arrived whole is recorded."""
    served = serve("--simulated")
    acknowledged: list[str] = []

    def keep_asking() -> None:
        wire = Wire(served)
        try:
            while True:
                status, headers, _ = wire.ask(model="sim-echo", messages=question("hi")).answer()
                assert status == 200
                acknowledged.append(headers["x-request-id"])
        except (OSError, AssertionError):
            return

    clients = [threading.Thread(target=keep_asking) for _ in range(4)]
    for client in clients:
        client.start()
    eventually(lambda: len(acknowledged) >= 200)
    served.process.kill()
    for client in clients:
        client.join()
    served.process.wait()
    again = serve(data_dir=served.data_dir)
    records = again.cli("usage", "--list", "5000")["records"]
    recorded = [record["id"] for record in records]
    assert set(acknowledged) <= set(recorded)
    assert len(recorded) == len(set(recorded))
    assert not any(record["outcome"] == "running" for record in records)
    assert again.api_key == "", "the key of an existing data directory is not shown again"


def test_no_engine_outlives_its_parent(serve: Serve) -> None:
    served = serve()
    (pid,) = engine_pids(served)
    served.process.kill()
    served.process.wait()
    eventually(lambda: not Path(f"/proc/{pid}").exists() or is_zombie(pid))


def is_zombie(pid: int) -> bool:
    """Ended, though nobody has collected it: its new parent may be slow to."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")


def test_sigterm_lets_streams_finish_and_takes_no_new_work(serve: Serve) -> None:
    served = serve("--simulated")
    wire = Wire(served).ask(
        model="sim-lorem", messages=question("go [[sim tokens=60 delay_ms=20]]"), stream=True
    )
    wire.read_until(b"data: ", 2)
    served.process.send_signal(signal.SIGTERM)
    eventually(lambda: get(served, "/readyz", key="")[0] == 503)
    refused, _, body = ask(served, model="sim-echo", messages=question("hi"))
    assert (refused, json.loads(body)["error"]["code"]) == (503, "server_shutting_down")
    assert b"data: [DONE]" in wire.read_until(END)
    assert served.process.wait(30) == 0


def test_the_drain_limit_cuts_with_a_typed_error(serve: Serve) -> None:
    served = serve("--simulated", env={"PORTICO_SERVER_DRAIN_S": "0.2"})
    wire = Wire(served).ask(
        model="sim-lorem", messages=question("go [[sim tokens=5000 delay_ms=50]]"), stream=True
    )
    wire.read_until(b"data: ", 2)
    assert served.stop() == 0
    tail = wire.read_until(END)
    assert json.loads(re.findall(rb"data: (.*)\n", tail)[-1])["error"]["code"] == (
        "server_shutting_down"
    )
    records = served.cli("usage", "--list", "1")["records"]
    assert records[0]["output_tokens"] >= 1
