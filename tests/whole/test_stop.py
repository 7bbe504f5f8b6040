"""Whoever stops a server with answers under way is told at once, and a second time is obeyed at once."""

import os
import select
import signal
from collections.abc import Callable

import pytest

from tests.whole.conftest import Served
from tests.whole.wire import Wire, question

SLOW = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_SERVER_DRAIN_S": "3600"}


def said(served: Served, wanted: str) -> str:
    """The next line on standard error, which must hold `wanted`."""
    assert served.process.stderr is not None
    descriptor, line = served.process.stderr.fileno(), b""
    while not line.endswith(b"\n"):
        assert select.select([descriptor], [], [], 20)[0], f"nothing was said but {line!r}"
        byte = os.read(descriptor, 1)
        assert byte, f"it ended, and said {line!r}"
        line += byte
    assert wanted in line.decode()
    return line.decode()


@pytest.mark.parametrize(
    "signals", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,) * 2], ids=str
)
def test_the_first_says_what_is_open_and_the_second_cuts_it(
    serve: Callable[..., Served], signals: tuple[signal.Signals, signal.Signals]
) -> None:
    served = serve("--simulated", env=SLOW)
    wires = [
        Wire(served).ask(model="sim-slow", messages=question(text), stream=True)
        for text in ("[[sim tokens=100000 delay_ms=50]]", "[[sim tokens=100000 delay_ms=50]]")
    ]
    for wire in wires:
        wire.read_until(b"data: ", 2)
    served.process.send_signal(signals[0])
    line = said(served, "2 answers are under way")
    assert "3600 s" in line
    assert "second Ctrl-C" in line
    served.process.send_signal(signals[1])
    said(served, "2 answers are cut off now")
    for wire in wires:
        assert b"server_shutting_down" in wire.read_until(b"server_shutting_down")
    assert served.process.wait(20) == 0
    outcomes = [record["outcome"] for record in served.cli("usage", "--list", "9")["records"]]
    assert outcomes == ["drained", "drained"]


def test_with_nothing_under_way_it_says_nothing(serve: Callable[..., Served]) -> None:
    served = serve("--simulated", env=SLOW)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0
    assert served.process.stderr is not None
    assert served.process.stderr.read() == ""
