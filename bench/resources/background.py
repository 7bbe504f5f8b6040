"""What becomes of responses in the background when the server ends before they do.

    uv run python -m bench.resources.background [--responses 1000] [--ends kill,term]

So many responses are asked for, 50 requests at a time, and when a third of them has ended so does the
server: by `kill -9`, and on a new folder by SIGTERM.  It is started again, and each response is looked
at, again and again, until all have ended.  Each must end in exactly one way; what had ended before stays
what it was, byte for byte; and there are as many completed usage records as completed responses.

The server runs on CPUs 0 and 1, everything else on 2 and 3.  Ends with 1 where a law is broken.
"""

import argparse
import asyncio
import collections
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import openai

from bench.resources.server import OTHER_CPUS, Server

_OVER = ("completed", "failed", "cancelled", "incomplete")
_HOW = {"kill": signal.SIGKILL, "term": signal.SIGTERM}
_PATIENCE_S = 240.0
_SAYS = "[[sim tokens=20 delay_ms=10]]"


async def made(server: Server, count: int) -> list[str]:
    """Their ids, which are promises from here on."""
    async with openai.AsyncOpenAI(base_url=server.url, api_key=server.key) as client:
        turn = asyncio.Semaphore(50)

        async def one(number: int) -> str:
            async with turn:
                wish = f"{_SAYS} {number}"
                found = await client.responses.create(
                    model="sim-lorem", input=wish, background=True
                )
                return found.id

        return list(await asyncio.gather(*(one(number) for number in range(count))))


def bodies(server: Server) -> dict[str, bytes]:
    """Of those that have ended."""
    over = ", ".join(f"'{each}'" for each in _OVER)
    return dict(server.rows(f"SELECT id, body FROM response WHERE state IN ({over})"))


def until(server: Server, count: int) -> float:
    """So many have ended.  Seconds it took.  Raises: TimeoutError."""
    begun_s = time.monotonic()
    while len(bodies(server)) < count:
        if time.monotonic() - begun_s > _PATIENCE_S:
            raise TimeoutError(f"{len(bodies(server))} of {count} ended in {_PATIENCE_S:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - begun_s


def survive(server: Server, count: int, how: str) -> bool:
    """Prints what became of them; True: all that was promised."""
    server.start()
    ids = asyncio.run(made(server, count))
    until(server, count // 3)
    server.end(_HOW[how])
    before = bodies(server)
    server.start()
    took_s = until(server, count)
    client = server.client()
    states = collections.Counter(str(client.responses.retrieve(each).status) for each in ids)
    server.end(signal.SIGTERM)
    after = bodies(server)
    changed = sum(after[each] != body for each, body in before.items())
    ((records, twice),) = server.rows(
        "SELECT count(*), count(*) - count(DISTINCT id) FROM usage_record "
        "WHERE outcome = 'completed'"
    )
    ((open_,),) = server.rows("SELECT count(*) FROM usage_record WHERE outcome = 'running'")
    told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    print(
        f"{how}: {count} responses, {len(before)} had ended before; {took_s:.1f} s after the start all "
        f"had: {told}; {changed} changed; {records} completed usage records, {twice} twice, "
        f"{open_} still open"
    )
    good = set(states) <= set(_OVER) and set(after) == set(ids) and not changed
    return good and records == states["completed"] and not (twice or open_)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--responses", type=int, default=1_000)
    parser.add_argument("--ends", default="kill,term")
    said = parser.parse_args()
    os.sched_setaffinity(0, OTHER_CPUS)
    folder = Path(tempfile.mkdtemp(prefix="portico-background-"))
    try:
        held = [survive(Server(folder / how), said.responses, how) for how in said.ends.split(",")]
    finally:
        shutil.rmtree(folder)
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
