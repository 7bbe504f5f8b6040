"""A server of a drill: started, ended in any way, started again on the same folder."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai

SERVER_CPUS, OTHER_CPUS = frozenset({0, 1}), frozenset({2, 3})


@dataclass
class Server:
    """With the simulated engine, in its own process."""

    folder: Path
    cpus: Set[int] = SERVER_CPUS
    key: str = ""
    url: str = ""
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "portico.cli.main", "serve", "--simulated", "--json"),
                *("--port", "0", "--data-dir", str(self.folder)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PORTICO_ENGINE_ENABLED": "false"},
            preexec_fn=lambda: os.sched_setaffinity(0, self.cpus),
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        self.process, self.url = process, told["base_url"]
        self.key = self.key or told["api_key"]

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(60)

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=self.key, max_retries=0)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / "portico.db") as database:
            return database.execute(sql).fetchall()
