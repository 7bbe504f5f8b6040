"""Good requests beside thousands of clients that take their time: how much later are they answered?

    uv run python -m bench.edge.slow_sockets [--sockets 2000] [--rate 200] [--window-s 12] [--rounds 5]
                                             [--cores 0,1] [--max-rise 0.2] [--json]

One `portico serve` at its defaults on a core of its own, in front of a mock model server, and a client
that asks for short answers at a steady rate.  In every second window there are slow sockets as well: a
third send a head, a byte a second; a third send a body so; a third ask for a stream of a chunk a second
and read nothing of it.  Whoever is cut off comes again after a second.

Server, mock, good client and slow ones are processes of their own.  The good client and the mock are the
programs of `bench/lab`: one epoll thread each, which count latency from the moment a request was due, not
from when it was sent.  Slow ones give way to both on the core they share, and a second client asks the mock
without Portico in between: what `direct` shows is the tools' own doing.  Where the system allows it (root),
all of them run before anybody else on their two cores (SCHED_FIFO), or the p99 would be the neighbours'.

What must hold: every good request is answered with 200; slow sockets are cut off; and the median of the
windows' p99 with them is at most `--max-rise` above the median without.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.edge.place import Place, put_first, serving

_BYTE_EVERY_S = 1.0
_CHUNKS = 60
_SETTLE_S = 3.0
_CONNECTIONS = 16
_BEFORE_SLOW = 3
_ANSWER, _SLOW = "bench-answer-0ms", f"bench-stream-{_CHUNKS}x1000ms"
_LAB = Path(__file__).parents[1]
PROCESSES = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Window:
    """What a client of the lab found; microseconds."""

    asked: int
    answered: int
    p50_us: int
    p99_us: int


@dataclass(frozen=True, slots=True)
class Found:
    """Medians over windows, milliseconds; p99s: of each window in turn.  cut: slow ones, cut off.
    direct: p99 of those that asked the mock itself, meanwhile."""

    sockets: int
    requests_per_window: int
    not_answered: int
    cut: int
    p50_without_ms: float
    p50_with_ms: float
    p99_without_ms: float
    p99_with_ms: float
    p99s_without_ms: list[float]
    p99s_with_ms: list[float]
    direct_without_ms: float
    direct_with_ms: float
    rise_max: float

    @property
    def rise(self) -> float:
        return self.p99_with_ms / self.p99_without_ms - 1

    @property
    def holds(self) -> bool:
        return self.not_answered == 0 and self.cut > 0 and self.rise <= self.rise_max


def chat(model: str, **more: Any) -> bytes:
    asked = {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}
    return json.dumps(asked).encode()


# -- slow ones ---------------------------------------------------------------------------------

Slow = Callable[[Place], Coroutine[Any, Any, None]]


def _post(place: Place, length: int) -> bytes:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n{place.authorization}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


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
    await _drip(place, _post(place, 100_000))


async def slow_reader(place: Place) -> None:
    """A stream of a chunk a second, of which nothing is read."""
    _reader, writer = await asyncio.open_connection(place.host, place.port)
    try:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # every socket's has it
        body = chat(_SLOW, stream=True, max_tokens=_CHUNKS)
        writer.write(_post(place, len(body)) + body)
        await asyncio.sleep(_CHUNKS)
    finally:
        writer.transport.abort()


KINDS: tuple[Slow, ...] = (slow_head, slow_body, slow_reader)


def besiege(place: Place, core: int, sockets: int, stop: Any, cut: Any) -> None:
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

    put_first(os.getpid(), core)
    allow_sockets(sockets)
    asyncio.run(run())


@contextmanager
def besieged(place: Place, core: int, sockets: int, cut: Any) -> Iterator[None]:
    stop = PROCESSES.Event()
    process = PROCESSES.Process(target=besiege, args=(place, core, sockets, stop, cut))
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join()


def allow_sockets(sockets: int) -> None:
    """For this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * sockets + 500:  # every stream has one to the mock as well
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * sockets + 500), hard))


# -- good ones ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lab:
    """The mock's port, and how good clients ask."""

    core: int
    mock_port: int
    body: Path
    rate: int
    window_s: float

    def client(self, port: int, key: str) -> subprocess.Popen[bytes]:
        words = {
            "port": port,
            "key": key,
            "body": self.body,
            "connections": _CONNECTIONS,
            "rate": self.rate,
            "warm-ms": round(2 * _SETTLE_S * 1000),
            "window-ms": round(self.window_s * 1000),
        }
        command = [str(_LAB / "build" / "load")]
        for name, value in words.items():
            command += [f"--{name}", str(value)]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        put_first(client.pid, self.core, _BEFORE_SLOW)
        return client

    def window(self, place: Place) -> tuple[Window, Window]:
        """Of those that ask Portico, and of those that ask the mock."""
        clients = self.client(place.port, place.key), self.client(self.mock_port, "none")
        through, direct = (self._told(each) for each in clients)
        return through, direct

    def _told(self, client: subprocess.Popen[bytes]) -> Window:
        with client:
            assert client.stdout is not None
            client.stdout.readline()  # the window opens
            told = json.loads(client.stdout.readline())
        wrong = told["failed"] + told["refused"] + told["incomplete"]
        latency = told["latency"]
        answered = latency["count"]
        return Window(answered + wrong, answered, latency["p50_us"], latency["p99_us"])


@contextmanager
def lab(core: int, rate: int, window_s: float) -> Iterator[Lab]:
    # Not a package of this one: it imports its parts from beside itself.
    subprocess.run(
        [sys.executable, "-c", "from lab.tools import build; build()"], cwd=_LAB, check=True
    )
    mock = subprocess.Popen(
        [str(_LAB / "build" / "upstream"), "0", _ANSWER, _SLOW], stdout=subprocess.PIPE
    )
    try:
        put_first(mock.pid, core, _BEFORE_SLOW)
        assert mock.stdout is not None
        port = json.loads(mock.stdout.readline())["port"]
        with tempfile.NamedTemporaryFile(suffix=".json") as body:
            body.write(chat(_ANSWER, max_tokens=4))
            body.flush()
            yield Lab(core, port, Path(body.name), rate, window_s)
    finally:
        mock.terminate()
        mock.communicate()


def measure(place: Place, bench: Lab, given: argparse.Namespace) -> Found:
    cut = PROCESSES.Value("i", 0)
    bench.window(place)  # thrown away: interpreters get faster over their first seconds
    calm, slow = [], []
    for _ in range(given.rounds):
        calm.append(bench.window(place))
        with besieged(place, bench.core, given.sockets, cut):
            slow.append(bench.window(place))
        time.sleep(_SETTLE_S)  # who has hung up is settled

    def ms(windows: list[tuple[Window, Window]], figure: str, which: int = 0) -> list[float]:
        return [getattr(each[which], figure) / 1000 for each in windows]

    every = [through for through, _ in calm + slow]
    return Found(
        given.sockets,
        min(each.answered for each in every),
        sum(each.asked - each.answered for each in every),
        cut.value,
        median(ms(calm, "p50_us")),
        median(ms(slow, "p50_us")),
        median(ms(calm, "p99_us")),
        median(ms(slow, "p99_us")),
        ms(calm, "p99_us"),
        ms(slow, "p99_us"),
        median(ms(calm, "p99_us", 1)),
        median(ms(slow, "p99_us", 1)),
        given.max_rise,
    )


def main() -> int:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--sockets", type=int, default=2_000)
    made.add_argument("--rate", type=int, default=200, help="good requests per second")
    made.add_argument("--window-s", type=float, default=12.0)
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--cores", default="0,1", help="of the server, and of everything else")
    made.add_argument("--max-rise", type=float, default=0.2, help="of the p99, as a share")
    made.add_argument("--json", action="store_true")
    given = made.parse_args()
    allow_sockets(given.sockets)
    server_core, lab_core = (int(core) for core in given.cores.split(","))
    with lab(lab_core, given.rate, given.window_s) as bench:
        upstream = f"http://127.0.0.1:{bench.mock_port}/v1"
        with serving("--upstream", upstream, core=server_core) as place:
            found = measure(place, bench, given)
    shown = asdict(found) | {"rise": round(found.rise, 3), "holds": found.holds}
    print(json.dumps(shown) if given.json else "\n".join(f"{k:20s}  {v}" for k, v in shown.items()))
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
