"""`portico serve` in a process of its own, with a folder that is gone afterwards."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.edge.talk import Heard, answers, ask

COMMAND = (sys.executable, "-m", "portico.cli.main")
"""What is started: Python from the beginning.  Tests start what has been loaded already."""
_STOP_S_MAX = 30


@dataclass(frozen=True, slots=True)
class Place:
    """A running server.  said: the file its standard error goes to."""

    pid: int
    host: str
    port: int
    key: str
    folder: Path
    said: Path

    @property
    def authorization(self) -> str:
        return f"Authorization: Bearer {self.key}"

    @property
    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def peak_bytes(self) -> int:
        """The most that was resident since the process began."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def get(self, path: str) -> Heard:
        sent = f"GET {path} HTTP/1.1\r\nHost: bench\r\n{self.authorization}\r\n"
        said = ask(self.host, self.port, f"{sent}Connection: close\r\n\r\n".encode())
        return answers(said)[0]

    def counted(self, name: str) -> float:
        """The sum over all labels of one Prometheus figure."""
        lines = self.get("/metrics").body.decode().splitlines()
        return sum(float(each.rpartition(" ")[2]) for each in lines if each.startswith(name))


def put_first(pid: int, core: int, rank: int = 1) -> None:
    """A process, and what it starts from now on: on one core, and there, where the system allows it,
    before all others, so that what they do is not taken for its own doing.  rank: among those."""
    for thread in (int(name) for name in os.listdir(f"/proc/{pid}/task")):
        os.sched_setaffinity(thread, {core})
        # Others than the first run as soon as they wake up, as they would on a core of their own.
        own = os.sched_param(rank if thread == pid else rank + 1)
        with suppress(PermissionError):
            os.sched_setscheduler(thread, os.SCHED_FIFO, own)


@contextmanager
def serving(*words: str, core: int | None = None, **settings: str) -> Iterator[Place]:
    """core: all it may run on, see `put_first`; None: wherever the system likes.
    settings: of the environment, without PORTICO_ and in small letters."""
    env = {f"PORTICO_{name.upper()}": value for name, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="portico-edge-") as name:
        folder = Path(name)
        said = folder / "stderr.log"
        with said.open("wb") as log:
            process = subprocess.Popen(
                (
                    *(*COMMAND, "serve", "--simulated", "--json"),
                    *("--port", "0", "--data-dir", str(folder / "data"), *words),
                ),
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PORTICO_ENGINE_ENABLED": "false", **env},
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the server did not start: {said.read_text()[-2_000:]}")
            if core is not None:
                put_first(process.pid, core)
            banner = json.loads(line)
            host, _, port = banner["base_url"].split("/")[2].rpartition(":")
            yield Place(process.pid, host, int(port), banner["api_key"], folder, said)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=_STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
