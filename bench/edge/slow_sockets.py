"""Good requests beside thousands of clients that take their time: how much later are they answered?

    uv run python -m bench.edge.slow_sockets [--sockets 2000] [--rate 100] [--window-s 10] [--rounds 3]
                                             [--max-rise 0.2] [--json]

One `portico serve` at its defaults, and one client that asks for short answers at a steady rate.  In
every second window there are slow sockets as well, from a process of their own: a third send a head, a
byte a second; a third send a body so; a third ask for a stream of a word a second and read nothing of it.  Whoever is cut
off comes again at once.  Latency counts from the moment a request was due, not from when it was sent.

What must hold: every good request is answered with 200; slow sockets are cut off; and the p99 of all
windows with them is at most `--max-rise` above the p99 of all windows without.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from bench.edge.place import Place, serving

_BYTE_EVERY_S = 1.0
_WORDS = 60
_SETTLE_S = 3.0
_CONNECTIONS = 8
_PATIENT_S = 30.0
PROCESSES = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Found:
    """Milliseconds, of all windows without and all with slow sockets.  cut: slow ones, cut off."""

    sockets: int
    asked: int
    answered: int
    cut: int
    p50_without_ms: float
    p50_with_ms: float
    p99_without_ms: float
    p99_with_ms: float
    rise_max: float

    @property
    def rise(self) -> float:
        return self.p99_with_ms / self.p99_without_ms - 1

    @property
    def holds(self) -> bool:
        return self.asked == self.answered and self.cut > 0 and self.rise <= self.rise_max


def chat(place: Place, text: str, **more: Any) -> bytes:
    """A whole request."""
    asked = {"model": "sim-echo", "messages": [{"role": "user", "content": text}], **more}
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n{place.authorization}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


# -- slow ones ---------------------------------------------------------------------------------

Slow = Callable[[Place], Coroutine[Any, Any, None]]


async def _drip(place: Place, begin: bytes) -> None:
    """A byte a second, until the other side has had enough."""
    reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        writer.write(begin)
        ended = asyncio.ensure_future(_end(reader))
        while not ended.done():
            writer.write(b"a")
            await asyncio.wait([ended], timeout=_BYTE_EVERY_S)
    finally:
        writer.transport.abort()


async def _end(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        await reader.read()


async def slow_head(place: Place) -> None:
    await _drip(place, b"GET / HTTP/1.1\r\nHost: bench\r\nX: ")


async def slow_body(place: Place) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n{place.authorization}\r\n"
    await _drip(place, f"{head}Content-Length: 100000\r\n\r\n".encode())


async def slow_reader(place: Place) -> None:
    """A stream of a word a second, of which nothing is read."""
    _reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket's has it
        told = f"[[sim tokens={_WORDS} delay_ms=1000]]"
        writer.write(chat(place, told, model="sim-lorem", stream=True, max_tokens=_WORDS))
        await asyncio.sleep(_WORDS)
    finally:
        writer.transport.abort()


KINDS: tuple[Slow, ...] = (slow_head, slow_body, slow_reader)


def besiege(place: Place, sockets: int, stop: Any, cut: Any) -> None:
    """In a process of its own, until `stop`.  cut: counts those that were cut off."""

    async def again_and_again(kind: Slow, number: int) -> None:
        await asyncio.sleep(_SETTLE_S * number / sockets)  # not all in the same moment
        while True:
            with suppress(OSError):
                await kind(place)
            with cut.get_lock():
                cut.value += 1
            await asyncio.sleep(_BYTE_EVERY_S)

    async def run() -> None:
        tasks = [
            asyncio.create_task(again_and_again(KINDS[n % len(KINDS)], n)) for n in range(sockets)
        ]
        await asyncio.to_thread(stop.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    allow_sockets(sockets)
    asyncio.run(run())


def allow_sockets(sockets: int) -> None:
    """For this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < sockets + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, sockets + 500), hard))


# -- good ones ---------------------------------------------------------------------------------


async def _good(place: Place, line: asyncio.Queue[float], took_ms: list[float]) -> None:
    """One connection: asks whenever something is due."""
    reader, writer = await asyncio.open_connection(place.host, place.port)
    sent = chat(place, "hello", max_tokens=4)
    try:
        while True:
            due_s = await line.get()
            writer.write(sent)
            async with asyncio.timeout(_PATIENT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length:")[2].split(b"\r")[0])
                await reader.readexactly(size)
            if head.startswith(b"HTTP/1.1 200"):
                took_ms.append((time.monotonic() - due_s) * 1000)
            line.task_done()
    finally:
        writer.transport.abort()


async def window(place: Place, rate: float, window_s: float) -> tuple[int, list[float]]:
    """How many were due, and what those took that were answered with 200."""
    line: asyncio.Queue[float] = asyncio.Queue()
    took_ms: list[float] = []
    asking = [asyncio.create_task(_good(place, line, took_ms)) for _ in range(_CONNECTIONS)]
    begun_s, due = time.monotonic(), int(rate * window_s)
    for number in range(due):
        due_s = begun_s + number / rate
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        line.put_nowait(due_s)
    with suppress(TimeoutError):
        await asyncio.wait_for(line.join(), _PATIENT_S)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return due, took_ms


def at(share: float, took_ms: list[float]) -> float:
    ordered = sorted(took_ms)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(place: Place, given: argparse.Namespace) -> Found:
    calm: list[float] = []
    besieged: list[float] = []
    asked, cut = 0, PROCESSES.Value("i", 0)
    for number in range(2 * given.rounds):
        stop, slow = PROCESSES.Event(), number % 2 == 1
        process = PROCESSES.Process(target=besiege, args=(place, given.sockets, stop, cut))
        if slow:
            process.start()
        time.sleep(_SETTLE_S)
        due, took_ms = asyncio.run(window(place, given.rate, given.window_s))
        asked += due
        (besieged if slow else calm).extend(took_ms)
        if slow:
            stop.set()
            process.join()
    return Found(
        given.sockets,
        asked,
        len(calm) + len(besieged),
        cut.value,
        round(at(0.5, calm), 3),
        round(at(0.5, besieged), 3),
        round(at(0.99, calm), 3),
        round(at(0.99, besieged), 3),
        given.max_rise,
    )


def main() -> int:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--sockets", type=int, default=2_000)
    made.add_argument("--rate", type=float, default=100.0, help="good requests per second")
    made.add_argument("--window-s", type=float, default=10.0)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--max-rise", type=float, default=0.2, help="of the p99, as a share")
    made.add_argument("--json", action="store_true")
    given = made.parse_args()
    allow_sockets(given.sockets)
    with serving() as place:
        found = measure(place, given)
    shown = asdict(found) | {"rise": round(found.rise, 3), "holds": found.holds}
    print(json.dumps(shown) if given.json else "\n".join(f"{k:15s}  {v}" for k, v in shown.items()))
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
