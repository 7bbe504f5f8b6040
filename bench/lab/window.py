"""One turn: put the load on a server, and read its CPU clock when the window opens and closes."""

import json
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from lab import process
from lab.model import CHUNKS_PER_STREAM, BenchError, Scenario, Server, Turn
from lab.stage import Cores, pinned
from lab.tools import Tools

SETTLE_S = 5.0
CALM_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """Clocks at one moment."""

    at_us: int
    by_pid: dict[int, int]
    core_us: int


@dataclass(frozen=True, slots=True)
class Lab:
    """What a turn needs: the tools, the cores, and a folder for request bodies."""

    tools: Tools
    cores: Cores
    folder: Path

    def read(self, server: Server) -> Reading:
        pids = process.family(server.pid, server.not_counted) if server.pid else []
        by_pid = {pid: process.cpu_us([pid]) for pid in pids}
        core_us = process.core_busy_us(self.cores.server)
        return Reading(time.monotonic_ns() // 1000, by_pid, core_us)

    def command(self, server: Server, scenario: Scenario) -> list[str]:
        body = self.folder / f"{scenario.name}.json"
        if not body.exists():
            body.write_bytes(scenario.body)
        words = {
            "port": server.port,
            "path": server.path,
            "key": server.key,
            "body": body,
            "connections": scenario.connections,
            "warm-ms": round(scenario.warm_s * 1000),
            "window-ms": round(scenario.window_s * 1000),
            "rate": scenario.rate_per_s,
        }
        if scenario.counts_chunks:
            words["expect-chunks"] = CHUNKS_PER_STREAM
        command = [str(self.tools.load)]
        for name, value in words.items():
            command += [f"--{name}", str(value)]
        for header in server.headers:
            command += ["--header", header]
        if scenario.counts_chunks:
            command.append("--stream")
        if scenario.unit == "stream":
            command.append("--await-heads")
        return pinned(self.cores.load, tuple(command))

    def turn(self, server: Server, scenario: Scenario, number: int) -> Turn:
        """Raises: BenchError: the load generator failed."""
        scaled = scenario.scaled(server.load_share, server.idle_share)
        base_kb = self.memory_kb(server) if scenario.unit == "stream" else None
        with subprocess.Popen(
            self.command(server, scaled), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as load:
            said = load.stdout
            assert said is not None  # it was asked for
            said_line(said)
            open_kb = self.memory_kb(server) if scenario.unit == "stream" else None
            before = self.read(server)
            done = said_line(said)
            after = self.read(server)
        measured = turn_from(server, scenario, scaled, number, done, before, after)
        if scenario.unit != "stream":
            return measured
        return replace(measured, base_kb=base_kb, open_kb=open_kb, streams=done["heard"])

    def memory_kb(self, server: Server) -> int | None:
        if server.pid is None:
            return None
        return process.pss_kb(process.family(server.pid, server.not_counted))

    def settle(self, servers: list[Server]) -> None:
        """Wait until hung-up streams are cleaned away, so that one's work is not the next one's."""
        pids = [pid for server in servers if server.pid for pid in process.family(server.pid)]
        give_up = time.monotonic() + SETTLE_S
        while time.monotonic() < give_up:
            before = process.cpu_us(pids)
            time.sleep(0.1)
            if process.cpu_us(pids) - before < CALM_SHARE * 100_000:
                return


def said_line(said: IO[bytes]) -> dict[str, Any]:
    line = said.readline()
    if not line:
        raise BenchError("the load generator ended early; its message is above")
    found: dict[str, Any] = json.loads(line)
    return found


def turn_from(
    server: Server,
    scenario: Scenario,
    scaled: Scenario,
    number: int,
    done: dict[str, Any],
    before: Reading,
    after: Reading,
) -> Turn:
    """Work inside the window, and the CPU spent between the two readings around it."""
    window_us = after.at_us - before.at_us
    cpu_us = sum(us - before.by_pid.get(pid, 0) for pid, us in after.by_pid.items())
    times = done["delay" if scenario.counts_chunks else "latency"]
    others_us = max(after.core_us - before.core_us - cpu_us, 0)
    errors = done["failed"] + done["refused"] + done["incomplete"]
    return Turn(
        scenario=scenario.name,
        server=server.name,
        round=number,
        work=done["chunks"] if scenario.counts_chunks else done["responses"],
        window_us=window_us,
        cpu_us=cpu_us if server.pid else None,
        others_share=others_us / window_us,
        p50_us=times["p50_us"],
        p99_us=times["p99_us"],
        errors=errors,
        note="; ".join(remarks(scenario, scaled, done)),
    )


def remarks(scenario: Scenario, scaled: Scenario, done: dict[str, Any]) -> list[str]:
    """What a reader of the figure has to know."""
    said = []
    if scaled.connections < scenario.connections:
        said.append(f"given {scaled.connections} streams, which it can carry")
    if scaled.rate_per_s < scenario.rate_per_s:
        said.append(f"given {scaled.rate_per_s} requests/s, which it can carry")
    if scaled.name in ("idle", "stream") and done["heard"] < scaled.connections:
        said.append(f"only {done['heard']} of {scaled.connections} streams started")
    if done["refusal"]:
        said.append(done["refusal"])
    return said
