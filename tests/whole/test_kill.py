"""kill -9 of the engine, kill -9 of Portico, SIGTERM: typed endings, nothing acknowledged lost."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable

from tests.whole.conftest import Served
from tests.whole.wire import Wire, get, question

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
        logit_bias={},
        stream=True,
    )
    wire.read_until(b"data: ", 5)
    (pid,) = engine_pids(served)
    os.kill(pid, signal.SIGKILL)
    tail = wire.read_until(b"0\r\n\r\n")
    last = re.findall(rb"data: (.*)\n", tail)[-1]
    if b"[DONE]" not in last:  # the tiny model may have finished its story first
        assert json.loads(last)["error"]["code"] == "upstream_failed"
        record = served.cli("usage", "--list", "1")["records"][0]
        assert record["outcome"] == "upstream_failed"
        assert record["output_tokens"] >= 4
    status, _, _ = Wire(served).ask(model="portico-demo", messages=question("Hello")).answer()
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
    while len(acknowledged) < 200:
        pass
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
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        threading.Event().wait(0.02)
    raise AssertionError("the engine is an orphan")


def test_sigterm_lets_streams_finish_and_takes_no_new_work(serve: Serve) -> None:
    served = serve("--simulated")
    wire = Wire(served).ask(
        model="sim-lorem", messages=question("go [[sim tokens=60 delay_ms=20]]"), stream=True
    )
    wire.read_until(b"data: ", 2)
    served.process.send_signal(signal.SIGTERM)
    refused = None
    for _ in range(200):
        status, _, body = get(served, "/readyz", key="")
        if status == 503:
            refused, _, body = Wire(served).ask(model="sim-echo", messages=question("hi")).answer()
            assert json.loads(body)["error"]["code"] == "server_shutting_down"
            break
    assert refused == 503
    assert b"data: [DONE]" in wire.read_until(b"0\r\n\r\n")
    assert served.process.wait(30) == 0


def test_the_drain_limit_cuts_with_a_typed_error(serve: Serve) -> None:
    served = serve("--simulated", env={"PORTICO_SERVER_DRAIN_S": "0.2"})
    wire = Wire(served).ask(
        model="sim-lorem", messages=question("go [[sim tokens=5000 delay_ms=50]]"), stream=True
    )
    wire.read_until(b"data: ", 2)
    assert served.stop() == 0
    tail = wire.read_until(b"0\r\n\r\n")
    assert json.loads(re.findall(rb"data: (.*)\n", tail)[-1])["error"]["code"] == (
        "server_shutting_down"
    )
    records = served.cli("usage", "--list", "1")["records"]
    assert records[0]["output_tokens"] >= 1
