"""What a scope that a hang-up can end costs per request: `python bench/leaving.py [--json]`.

Entered and left without an interruption, as nearly every request does, 100,000 times on uvloop in
one task; `task` is one more task started and awaited, what a watcher of the client would cost.
Microseconds of CPU, less the empty loop; the best of several rounds, everything once in each.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Any

import anyio
import uvloop

from portico.kit.leaving import Leaving

TIMES = 100_000
ROUNDS = 5

Work = Callable[[], Awaitable[None]]


async def empty() -> None:
    for _ in range(TIMES):
        pass


async def scopes(make: Callable[[], AbstractContextManager[Any]]) -> None:
    for _ in range(TIMES):
        with make():
            pass


async def async_scopes(make: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    for _ in range(TIMES):
        async with make():
            pass


async def leaving() -> None:
    """As the door makes it: with the loop at hand."""
    await scopes(partial(Leaving, asyncio.get_running_loop()))


async def nothing() -> None:
    return


async def tasks() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(TIMES):
        await loop.create_task(nothing())


CANDIDATES: dict[str, Work] = {
    "Leaving": leaving,
    "anyio.CancelScope": partial(scopes, anyio.CancelScope),
    "anyio.move_on_after(shield=True)": partial(
        scopes, partial(anyio.move_on_after, 600, shield=True)
    ),
    "asyncio.timeout": partial(async_scopes, partial(asyncio.timeout, 600)),
    "task": tasks,
}


async def cpu_us(work: Work) -> float:
    """CPU of one of `TIMES` turns."""
    began_s = time.process_time()
    await work()
    return (time.process_time() - began_s) / TIMES * 1e6


async def measure() -> dict[str, float]:
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        idle_us = await cpu_us(empty)
        for name, work in CANDIDATES.items():
            cost_us = await cpu_us(work) - idle_us
            best[name] = min(cost_us, best.get(name, cost_us))
    return {name: round(cost_us, 2) for name, cost_us in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = uvloop.run(measure())
    if options.json:
        print(json.dumps(figures))
        return
    for name, cost_us in figures.items():
        print(f"{name:<34} {cost_us:5.2f} us")


if __name__ == "__main__":
    main()
