"""What a batch costs those who wait, and what of it survives being killed.

    uv run python -m bench.resources.batches [--lines 10000] [--line-bytes 0] [--kills 3] [--phase-s 20]
        [--rate 60]

First a batch of so many lines on a server that is killed with `kill -9` as often, at places that are
spread over it: answers, usage records, charges, and how many of each there are twice.  Then phases of
so many seconds in one run, A B A B ...: requests come at a fixed rate (not waiting for each other), in
B beside a batch that never ends.  p50 and p99 of the time from when each was due to its last byte.

The server runs on CPUs 0 and 1, everything else on 2 and 3.  The engine is the simulated one, in the
server's own process: that it takes longer beside a batch is part of what is measured.  Ends with 1 where
a line was answered or charged other than once.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from bench.resources.server import OTHER_CPUS, Server

_CHAT: Any = "/v1/chat/completions"
_OVER = ("completed", "failed", "expired", "cancelled")
_WARM_S = 3.0


def batch_of(client: openai.OpenAI, count: int, says: str, bytes_min: int = 0) -> Any:
    lines = (
        json.dumps(
            {
                "custom_id": f"c{number}",
                "method": "POST",
                "url": _CHAT,
                "body": {
                    "model": "sim-echo",
                    "messages": [{"role": "user", "content": f"{says} {number}".ljust(bytes_min)}],
                },
            }
        )
        for number in range(count)
    )
    file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=_CHAT, completion_window="24h")


def survive(server: Server, count: int, kills: int, bytes_min: int) -> bool:
    """Prints what is left of a batch that was killed so often; True: each line once."""
    server.start()
    begun_s = time.monotonic()
    batch_id = batch_of(server.client(), count, "[[sim tokens=4]] line", bytes_min).id
    for kill in range(1, kills + 1):
        while (found := server.client().batches.retrieve(batch_id)).status not in _OVER:
            assert found.request_counts is not None
            if found.request_counts.completed >= count * kill // (kills + 1):
                break
            time.sleep(0.05)
        server.end(signal.SIGKILL)
        server.start()
    while (found := server.client().batches.retrieve(batch_id)).status not in _OVER:
        time.sleep(0.2)
    took_s = time.monotonic() - begun_s
    text = server.client().files.content(found.output_file_id or "").text
    answers = [json.loads(line)["custom_id"] for line in text.splitlines()]
    records = server.rows(
        "SELECT count(*), count(DISTINCT id) FROM usage_record WHERE outcome = 'completed'"
    )[0]
    server.end(signal.SIGTERM)
    print(
        f"{count} lines, {kills} kills, {took_s:.1f} s: {found.status}, {len(answers)} answers, "
        f"{len(answers) - len(set(answers))} twice; {records[0]} completed usage records, "
        f"{records[0] - len(set(answers))} too many"
    )
    return len(answers) == len(set(answers)) == count == records[0]


@dataclass
class Phase:
    name: str
    took_ms: list[float] = field(default_factory=list)
    failed: int = 0

    def at(self, share: float) -> float:
        return sorted(self.took_ms)[min(len(self.took_ms) - 1, int(share * len(self.took_ms)))]


async def requests(server: Server, phase: Phase, for_s: float, rate: float, says: str) -> None:
    """Open loop: the time of a late one counts from when it was due."""
    async with openai.AsyncOpenAI(base_url=server.url, api_key=server.key, max_retries=0) as client:

        async def one(due_s: float) -> None:
            try:
                await client.chat.completions.create(
                    model="sim-lorem", messages=[{"role": "user", "content": says}]
                )
            except openai.APIError:
                phase.failed += 1
                return
            if due_s - begun_s >= _WARM_S:
                phase.took_ms.append((time.monotonic() - due_s) * 1000)

        begun_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(int(for_s * rate)):
                due_s = begun_s + number / rate
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                group.create_task(one(due_s))


def beside(server: Server, for_s: float, rate: float, rounds: int, says: str) -> None:
    """A B A B ..., and what B is of A."""
    server.start()
    client = server.client()
    phases = [Phase(name) for _ in range(rounds) for name in "AB"]
    for phase in phases:
        batch = None
        if phase.name == "B":
            batch = batch_of(client, 50_000, says)
            while client.batches.retrieve(batch.id).status == "validating":
                time.sleep(0.1)
        asyncio.run(requests(server, phase, for_s + _WARM_S, rate, says))
        done = ""
        if batch is not None:
            counts = client.batches.cancel(batch.id).request_counts
            done = f"; {counts.completed if counts else 0} lines beside them"
            while client.batches.retrieve(batch.id).status not in _OVER:
                time.sleep(0.1)
        print(
            f"{phase.name}: {len(phase.took_ms)} requests, p50 {phase.at(0.5):.1f} ms, "
            f"p99 {phase.at(0.99):.1f} ms, {phase.failed} failed{done}"
        )
    server.end(signal.SIGTERM)
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        alone, together = (
            statistics.median(each.at(share) for each in phases if each.name == kind)
            for kind in "AB"
        )
        print(f"{name}: median of A {alone:.1f} ms, of B {together:.1f} ms: {together / alone:.3f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--line-bytes", type=int, default=0, help="of text in each, at least")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--phase-s", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--says", default="[[sim tokens=20 delay_ms=10]]")
    said = parser.parse_args()
    os.sched_setaffinity(0, OTHER_CPUS)
    folder = Path(tempfile.mkdtemp(prefix="portico-batches-"))
    try:
        once = not said.lines or survive(
            Server(folder / "killed"), said.lines, said.kills, said.line_bytes
        )
        if said.rounds:
            beside(Server(folder / "beside"), said.phase_s, said.rate, said.rounds, said.says)
    finally:
        shutil.rmtree(folder)
    return 0 if once else 1


if __name__ == "__main__":
    sys.exit(main())
