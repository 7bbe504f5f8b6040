"""The whole product as a user starts it: `portico serve` in a process of its own."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.warm.commands import Command, run
from tests.warm.commands import start as begin

START_S_MAX = 30
FOLLOWS = {"WARM_FOLLOWS_S": "0.1"}
"""For a server that lives for seconds: what commands change is seen at once (see `tests/warm/server.py`).
One that lives as long as the suite would look too often."""


@dataclass
class Served:
    """A running `portico serve`."""

    process: "subprocess.Popen[str] | Command"
    base_url: str
    api_key: str
    data_dir: Path

    @property
    def host_port(self) -> tuple[str, int]:
        host, _, port = self.base_url.removeprefix("http://").partition("/")[0].partition(":")
        return host, int(port)

    def cli(self, *words: str) -> Any:
        """What `portico <words> --json` on this data directory prints."""
        done = portico(*words, "--data-dir", str(self.data_dir), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def portico(
    *words: str, cwd: Path | None = None, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    return run(*words, folder=cwd, typed=typed)


def started(
    words: tuple[str, ...], env: dict[str, str], program: tuple[str, ...]
) -> "subprocess.Popen[str] | Command":
    if not program:
        return begin(*words, env=env)
    return subprocess.Popen(
        [sys.executable, *program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


COLD = ("-m", "portico.cli.main")
"""A `program` for `start`: Python from the beginning, as a user starts it."""


def start(
    data_dir: Path,
    *words: str,
    env: dict[str, str] | None = None,
    program: tuple[str, ...] = (),
    port: int = 0,
) -> Served:
    """Start a server, on a free port or this one, and wait for its banner.

    program: what Python is to run, from the beginning; left out, Portico in the warm process.
    """
    place = ("--port", str(port), "--data-dir", str(data_dir))
    process = started(("serve", *place, "--json", *words), {**os.environ, **(env or {})}, program)
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_S_MAX)
    line = process.stdout.readline() if readable else ""
    if not line:
        process.kill()
        _, said = process.communicate()
        pytest.fail(f"portico serve did not start: {said}")
    banner = json.loads(line)
    return Served(process, banner["base_url"], banner.get("api_key") or "", data_dir)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts servers; whatever still runs at the end is stopped."""
    running: list[Served] = []

    def serving(
        *words: str, data_dir: Path | None = None, env: dict[str, str] | None = None, **more: Any
    ) -> Served:
        served = start(
            data_dir or tmp_path / "data", *words, env={**FOLLOWS, **(env or {})}, **more
        )
        running.append(served)
        return served

    yield serving
    for served in running:
        end(served)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server with the demo model and the simulated models, shared by the whole run."""
    running = start(tmp_path_factory.mktemp("served") / "data", "--simulated")
    yield running
    end(running)


def end(served: Served) -> None:
    if served.process.poll() is None:
        served.process.terminate()
    try:
        served.process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        served.process.kill()
        served.process.communicate()


@pytest.fixture(autouse=True)
def _no_wire_is_left() -> Iterator[None]:
    from tests.whole.wire import Wire  # noqa: PLC0415 - it needs Served from here

    yield
    for wire in list(Wire.opened):
        wire.hang_up()
