"""What one upstream exchange costs us in CPU: our own client against aiohttp, plain and over TLS.

    uv run python bench/transport_tls.py [--rounds 5] [--json FILE]

A server in its own process answers; each turn runs in a fresh client process on uvloop, whose own CPU
(user and system, getrusage) is divided by the work done.  Every round gives each client one turn, and
the ratio is taken inside the round, so that a noisy machine moves both.  bench/TRANSPORT.md explains.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import httptools
import trustme
import uvloop

from portico.engines.transport import tls
from portico.engines.transport.base import Call, Deadlines, Limits, Origin, Transport
from portico.engines.transport.fallback import FallbackTransport
from portico.engines.transport.native import NativeTransport

CLIENTS: dict[str, type[NativeTransport] | type[FallbackTransport]] = {
    "native": NativeTransport,
    "aiohttp": FallbackTransport,
}


@dataclass(frozen=True)
class Scenario:
    """`calls` exchanges, `at_once` of them together; `chunks` 0 means one JSON body."""

    what: str
    target: str
    calls: int
    at_once: int
    chunks: int

    @property
    def work(self) -> int:
        return self.calls * (self.chunks or 1)


SCENARIOS = {
    "json": Scenario("JSON, 32 at once: us per request", "/json", 6_000, 32, 0),
    "paced": Scenario("100 streams x 20 chunks/s: us per chunk", "/stream/60/50", 100, 100, 60),
    "burst": Scenario("64 streams, unpaced: us per chunk", "/stream/1000/0", 128, 64, 1_000),
}
REQUEST_HEADERS = [
    (b"content-type", b"application/json"),
    (b"authorization", b"Bearer sk-0123456789abcdef0123456789abcdef"),
    (b"accept", b"text/event-stream"),
    (b"user-agent", b"portico"),
]
REQUEST_BODY = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "some words " * 12}] * 6}
).encode()
ANSWER = json.dumps({"choices": [{"message": {"content": "some words " * 90}}]}).encode()
JSON_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_0123456789abcdef\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"x-request-id: req_0123456789abcdef\r\nTransfer-Encoding: chunked\r\n\r\n"
)
EVENT = b"data: " + json.dumps({"id": "chatcmpl-1", "delta": "x" * 215}).encode() + b"\n\n"
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)


class ModelServer(asyncio.Protocol):
    """/json answers at once; /stream/N/MS sends N chunks, one per MS milliseconds (0: at once)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, target: bytes) -> None:
        self._target = target

    def on_message_complete(self) -> None:
        if self._target == b"/json":
            self._transport.write(JSON_RESPONSE)
            return
        _, _, chunks, pause_ms = self._target.split(b"/")
        self._transport.write(STREAM_HEAD)
        if pause_ms == b"0":
            for _ in range(int(chunks)):
                self._transport.write(CHUNK)
            self._transport.write(b"0\r\n\r\n")
        else:
            asyncio.get_running_loop().call_soon(self._tick, int(chunks), int(pause_ms) / 1000)

    def _tick(self, left: int, pause_s: float) -> None:
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(b"0\r\n\r\n")
            return
        self._transport.write(CHUNK)
        asyncio.get_running_loop().call_later(pause_s, self._tick, left - 1, pause_s)


async def serve(folder: Path) -> None:
    """One plain and one TLS port, printed as a line; ends when stdin closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(ModelServer, "127.0.0.1", 0)
    secure = await loop.create_server(ModelServer, "127.0.0.1", 0, ssl=context)
    ports = [server.sockets[0].getsockname()[1] for server in (plain, secure)]
    print(*ports, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


async def one_turn(client: str, scenario: Scenario, port: int, ca: Path | None) -> float:
    """CPU in us per request or chunk."""
    trust = tls.trusting(ca) if ca else None
    transport = CLIENTS[client](Limits(), trust)
    origin = Origin("https" if ca else "http", "127.0.0.1", port)
    await asyncio.gather(*(exchange(transport, origin, "/json") for _ in range(scenario.at_once)))
    left = iter(range(scenario.calls))

    async def caller() -> None:
        for _ in left:
            await exchange(transport, origin, scenario.target)

    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(caller() for _ in range(scenario.at_once)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    await transport.close()
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent_s / scenario.work * 1e6


async def exchange(transport: Transport, origin: Origin, target: str) -> None:
    call = Call(origin, "POST", target, REQUEST_HEADERS, REQUEST_BODY, Deadlines())
    answer = await transport.send(call)
    if target == "/json":
        received_bytes = len(await answer.read(1_000_000))
        expected_bytes = len(ANSWER)
    else:
        received_bytes, expected_bytes = 0, int(target.split("/")[2]) * len(EVENT)
        while piece := await answer.next():
            received_bytes += len(piece)
    if answer.status != 200 or received_bytes != expected_bytes:
        raise SystemExit(f"{answer.status}, {received_bytes} of {expected_bytes} bytes")


def measure(rounds: int, names: list[str]) -> list[dict[str, object]]:
    """Rows of medians: scenario, wire, us for each client, ratio aiohttp / native."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(folder / "server.pem")
        )
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            plain, secure = map(int, server.stdout.readline().split())
            wires = {"plain": [str(plain)], "tls": [str(secure), str(folder / "ca.pem")]}
            turns = [
                {
                    (scenario, wire, client): turn([client, scenario, *where])
                    for scenario in names
                    for wire, where in wires.items()
                    for client in CLIENTS
                }
                for _ in range(rounds)
            ]
        finally:
            server.stdin.close()
            server.wait()
    return [row(turns, scenario, wire) for scenario in names for wire in wires]


def turn(arguments: list[str]) -> float:
    done = subprocess.run(
        [sys.executable, __file__, "--turn", *arguments], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def row(
    turns: list[dict[tuple[str, str, str], float]], scenario: str, wire: str
) -> dict[str, object]:
    def median(client: str) -> float:
        return round(statistics.median(one[scenario, wire, client] for one in turns), 1)

    ratios = [one[scenario, wire, "aiohttp"] / one[scenario, wire, "native"] for one in turns]
    return {
        **asdict(SCENARIOS[scenario]),
        "wire": wire,
        "native_us": median("native"),
        "aiohttp_us": median("aiohttp"),
        "ratio": round(statistics.median(ratios), 2),
    }


def report(rows: list[dict[str, object]], rounds: int) -> None:
    print(f"median of {rounds} rounds, {machine()}")
    print(f"{'':44}{'wire':>6}{'native':>9}{'aiohttp':>9}{'ratio':>7}")
    for one in rows:
        print(
            f"{one['what']:44}{one['wire']:>6}{one['native_us']:>9}{one['aiohttp_us']:>9}"
            f"{one['ratio']:>6}x"
        )


def machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, "
        f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--turn", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        uvloop.run(serve(chosen.serve))
    elif chosen.turn:
        client, scenario, port, *ca = chosen.turn
        trusted = Path(ca[0]) if ca else None
        print(uvloop.run(one_turn(client, SCENARIOS[scenario], int(port), trusted)))
    else:
        rows = measure(chosen.rounds, chosen.scenario or list(SCENARIOS))
        report(rows, chosen.rounds)
        if chosen.json:
            chosen.json.write_text(
                json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n"
            )


if __name__ == "__main__":
    main()
