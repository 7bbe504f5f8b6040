"""Starts servers on their core, waits until each answers a whole answer, and ends what it started."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.model import (
    ANSWER,
    CHUNKS_PER_STREAM,
    FAST,
    MODELS,
    BenchError,
    Contender,
    Server,
    chat_body,
)
from lab.tools import Tools, program


@dataclass(frozen=True, slots=True)
class Cores:
    """One for each part, so that no part waits for another; `spread` is False when they must share."""

    server: int
    upstream: int
    load: int

    @property
    def spread(self) -> bool:
        return len({self.server, self.upstream, self.load}) == 3


def cores(chosen: str) -> Cores:
    """From `SERVER,UPSTREAM,LOAD`, or the first three this process may use.

    Raises: BenchError: not three numbers.
    """
    allowed = sorted(os.sched_getaffinity(0))
    try:
        wanted = [int(core) for core in chosen.split(",")] if chosen else (allowed * 3)[:3]
        server, upstream, load = wanted
    except ValueError:
        raise BenchError(f"--cores {chosen}: expected three numbers, such as 0,1,2") from None
    return Cores(server, upstream, load)


def pinned(core: int, command: tuple[str, ...]) -> list[str]:
    return [program("taskset", "util-linux"), "--cpu-list", str(core), *command]


@dataclass
class Stage:
    """The folder of a run and the processes in it.  Leaving it ends them, whole groups at a time."""

    folder: Path
    cores: Cores
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self.started):
            end_group(process)

    def spawn(self, contender: Contender, core: int) -> Path:
        """Start it; what it says goes to the file that is returned."""
        said = self.folder / f"{contender.name}.log"
        with said.open("wb") as log:
            process = subprocess.Popen(
                pinned(core, contender.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **contender.env},
                cwd=contender.folder,
                start_new_session=True,
            )
        self.started.append(process)
        return said

    def upstream(self, tools: Tools) -> int:
        """Start the mock model server.  Returns its port."""
        mock = Contender("upstream", command=(str(tools.upstream), "0", *MODELS))
        said = self.spawn(mock, self.cores.upstream)
        return int(str(self.banner("upstream", said, 5.0, "port")["port"]))

    def banner(self, name: str, said: Path, start_s: float, holding: str) -> dict[str, object]:
        """The JSON line with the key `holding` that the server prints when it is ready.

        Raises: BenchError: it ended, or took too long.
        """
        give_up = time.monotonic() + start_s
        while time.monotonic() < give_up:
            for line in said.read_bytes().splitlines(keepends=True):
                if line.startswith(b"{") and line.endswith(b"\n") and holding.encode() in line:
                    ready: dict[str, object] = json.loads(line)
                    return ready
            if self.started[-1].poll() is not None:
                break
            time.sleep(0.02)
        raise BenchError(f"{name} did not become ready.\n{tail(said)}")

    def start(self, contender: Contender) -> Server:
        """Raises: BenchError: its port is taken, it did not start, or its answers are not whole."""
        if contender.command and contender.url and accepts(*address(contender.url)):
            raise BenchError(f"{contender.name}: something already listens on {contender.url}")
        url, key, pid, said = contender.url, contender.key, None, None
        if contender.command:
            said = self.spawn(contender, self.cores.server)
            pid = self.started[-1].pid
        if not url and said:
            ready = self.banner(contender.name, said, contender.start_s, "base_url")
            url, key = str(ready["base_url"]), str(ready["api_key"])
            pid = int(str(ready["pid"]))
        if contender.then:
            subprocess.run(contender.then, check=True, timeout=contender.start_s)
        self.wait_for(contender, url, said)
        server = Server(
            name=contender.name,
            port=address(url)[1],
            path=urllib.parse.urlsplit(url).path.rstrip("/") + "/chat/completions",
            key=key,
            headers=contender.headers,
            pid=pid,
            judged=contender.judged,
            not_counted=contender.not_counted,
            load_share=contender.load_share,
            idle_share=contender.idle_share,
        )
        for model in (ANSWER, FAST):
            check_whole(server, model)
        return server

    def wait_for(self, contender: Contender, url: str, said: Path | None) -> None:
        give_up = time.monotonic() + contender.start_s
        while not accepts(*address(url)):
            ended = said is not None and self.started[-1].poll() is not None
            if ended or time.monotonic() > give_up:
                text = tail(said) if said else ""
                raise BenchError(f"{contender.name} does not listen on {url}.\n{text}")
            time.sleep(0.05)


def address(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def tail(said: Path) -> str:
    return said.read_text(errors="replace")[-1500:]


def check_whole(server: Server, model: str) -> None:
    """One answer must come back whole, or the figures would be those of an error page."""
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    headers |= dict(header.split(": ", 1) for header in server.headers)
    url = f"http://127.0.0.1:{server.port}{server.path}"
    request = urllib.request.Request(url, chat_body(model), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: bytes = response.read()
    except urllib.error.HTTPError as error:
        text = error.read()[:400].decode(errors="replace")
        raise BenchError(f"{server.name}: {model}: HTTP {error.code}: {text}") from error
    except OSError as error:
        raise BenchError(f"{server.name}: {model}: {error}") from error
    chunks = answer.count(b'"@')
    whole = b"sentence no 47" in answer if model == ANSWER else b"[DONE]" in answer
    if not whole or b'"usage"' not in answer or chunks not in (0, CHUNKS_PER_STREAM):
        raise BenchError(f"{server.name}: {model}: not whole: {len(answer)} bytes, {chunks} chunks")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait, then kill: an orphan on a shared port would spoil the next run unseen."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(5)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
