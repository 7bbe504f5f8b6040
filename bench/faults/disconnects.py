"""Clients that hang up at any moment, by the thousand; what was made until then is paid for, once.

    uv run python -m bench.faults.disconnects [--database sqlite|postgresql] [--disconnects 10000]

Each client asks for an answer of up to 40 tokens, most of them streamed, one token a chunk, and goes
away: behind its request, when the head has come, after any chunk, or after the last one.  Some close,
some reset.  Others leave in the middle of their own request, or after the end; those are not counted.

What must hold: every request that was admitted has exactly one hold, which has ended, and one usage
record, which has ended; at most one charge, and that is the record at its prices to the nano-USD;
the record has at least the tokens that its client received, and exactly those of an answer that was
received to its end; the balance is what was granted less what was charged; nothing is left running.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bench.faults.client import GONE, Head, Heard, Line, chat, request
from bench.faults.command import Tell, aloud, drill, parser
from bench.faults.laws import broken
from bench.faults.place import Address
from bench.faults.site import MODEL, Server, Site, opened

_TOKENS_MAX = 40
_GRANT_NANO = 10**15
_QUIET_S_MAX = 20
_OUTCOMES = {"completed", "client_gone"}
# By weight: most between the chunks.
_MOMENTS = ("asking", "asked", "head", "chunk", "last", "end")
_WEIGHTS = (4, 16, 8, 60, 8, 4)
_EARLY = frozenset({"asked", "head", "chunk", "last"})


@dataclass(frozen=True)
class Plan:
    """moment: after which of its waits the client goes.  chunks: of the answer, for "chunk".
    wait_s: how much longer it stays then."""

    moment: str
    stream: bool
    tokens: int
    chunks: int
    wait_s: float
    reset: bool
    delay_ms: int

    def body(self, key: str) -> bytes:
        told = f"[[sim tokens={self.tokens} delay_ms={self.delay_ms}]]"
        more = {"stream_options": {"include_usage": True}} if self.stream else {}
        return request(key, chat(MODEL, told, stream=self.stream, max_tokens=self.tokens, **more))


def plan(chance: random.Random) -> Plan:
    (moment,) = chance.choices(_MOMENTS, _WEIGHTS)
    tokens = chance.randint(1, _TOKENS_MAX)
    # An answer that is not streamed has no chunks to leave between.
    stream = moment in ("chunk", "last") or chance.random() < 0.7
    return Plan(
        moment,
        stream,
        tokens,
        chance.randint(1, tokens),
        chance.choice([0.0, chance.uniform(0, 0.02)]),
        chance.random() < 0.5,
        chance.choice([0, 1, 3]),
    )


def plans(chance: random.Random, disconnects: int) -> Iterator[Plan]:
    """Until so many have left an answer early."""
    while disconnects:
        each = plan(chance)
        disconnects -= each.moment in _EARLY
        yield each


@dataclass
class Seen:
    """What the clients had when they left.  received: (tokens, to its end?) by request.
    costs_nano: what answers that came to their end said of themselves."""

    moments: Counter[str] = field(default_factory=Counter)
    received: dict[str, tuple[int, bool]] = field(default_factory=dict)
    costs_nano: dict[str, int | None] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Disconnects:
    """disconnects: clients that left before the end.  started: requests admitted.  settled: of those, with one ended hold and one ended record.
    charged: with a charge.  tokens_received, tokens_charged: by clients, and of output.
    moments: when they left.  violations: see `laws`; audit: by invariant."""

    database: str
    processes: int
    disconnects: int
    moments: dict[str, int]
    started: int
    settled: int
    charged: int
    tokens_received: int
    tokens_charged: int
    charged_nano: int
    wrong: list[str]
    wall_s: float
    violations: dict[str, int]
    audit: dict[str, int]

    @property
    def holds(self) -> bool:
        same = self.settled == self.started > 0
        return same and not (self.wrong or self.violations or any(self.audit.values()))


async def run(
    address: Address,
    *,
    processes: int,
    disconnects: int,
    clients: int,
    seed: int,
    tell: Tell = lambda _: None,
) -> Disconnects:
    """In a database that is empty, or has been through other drills."""
    began_s = time.perf_counter()
    async with opened(address) as site:
        site.books.grant(_GRANT_NANO)
        servers = await site.begin(processes)
        sockets = [(await server.metrics())["process_open_fds"] for server in servers]
        seen, chance = Seen(), random.Random(seed)
        all_plans = plans(chance, disconnects)

        async def client(number: int) -> None:
            for each in all_plans:  # shared: whoever is free takes the next one
                await _leave(servers[number % len(servers)], site.books.key, each, seen)
                done = sum(seen.moments.values())
                if done % 1_000 == 0:
                    tell(f"{address.kind}: {done} have left, {time.perf_counter() - began_s:.0f} s")

        await asyncio.gather(*(client(number) for number in range(clients)))
        for server, before in zip(servers, sockets, strict=True):
            seen.strange += await _quiet(server, before)
        codes = await site.stop()
        if any(codes):
            seen.strange.append(f"servers ended with {codes}: {site.said()}")
        return _found(site, processes, seen, began_s, await site.audit())


async def _leave(server: Server, key: str, each: Plan, seen: Seen) -> None:
    line, heard = await server.line(), Heard()
    head: Head | None = None
    try:
        body = each.body(key)
        if each.moment == "asking":
            await line.send(body[: random.Random(each.tokens).randrange(1, len(body))])
        else:
            await line.send(body)
        if each.moment in ("head", "chunk", "last", "end"):
            head = await line.head()
            if head.status != 200:
                seen.strange.append(f"refused with {head.status}: {await line.body(head)!r}")
                return
            await _read(line, head, heard, each)
        await asyncio.sleep(each.wait_s)
    except GONE as error:
        seen.strange.append(f"the server left first: {each} {error!r}")
    finally:
        line.hang_up(reset=each.reset)
        seen.moments[each.moment] += 1
        if head is not None:
            seen.received[head.request_id] = (heard.pieces, heard.done)
            if heard.done:
                seen.costs_nano[head.request_id] = heard.cost_nano


async def _read(line: Line, head: Head, heard: Heard, each: Plan) -> None:
    """As far as the client stays."""
    if each.moment == "head":
        return
    if not each.stream:
        heard.whole(head, await line.body(head))
        return
    chunks = 0
    while each.moment == "end" or not heard.done:
        if each.moment == "chunk" and chunks == each.chunks:
            return
        data = await line.chunk()
        if not data:
            return
        heard.feed(data)
        chunks += 1


async def _quiet(server: Server, sockets: float) -> list[str]:
    """Nothing runs and nothing is open, soon after the last client has left."""
    until_s = time.perf_counter() + _QUIET_S_MAX
    while True:
        now = await server.metrics()
        left = {
            name: now[name]
            for name in ("portico_requests_running", "portico_records_open")
            if now[name]
        }
        # Pooled readers stay open, not one socket for every client that left.
        if now["process_open_fds"] > sockets + 8:
            left["process_open_fds"] = now["process_open_fds"] - sockets
        if not left or time.perf_counter() > until_s:
            return [f"server {server.number}: {left}"] if left else []
        await asyncio.sleep(0.05)


def _found(
    site: Site, processes: int, seen: Seen, began_s: float, audit: dict[str, int]
) -> Disconnects:
    books = site.books

    def ours(sql: str) -> dict[str, tuple[Any, ...]]:
        return {row[0]: row[1:] for row in books.rows(sql) if row[0] not in books.before}

    holds = ours("SELECT id, state FROM hold")
    records = ours("SELECT id, outcome, output_text FROM usage_record")
    charges = {name: row[0] for name, row in ours("SELECT id, net_nano FROM charge").items()}
    wrong = list(seen.strange)
    wrong += [f"{k} ended as {r[0]}" for k, r in records.items() if r[0] not in _OUTCOMES]
    for request_id, (tokens, to_its_end) in seen.received.items():
        made = records.get(request_id, ("", -1))[1]
        if made < tokens or (to_its_end and made != tokens):
            wrong.append(f"{request_id}: {tokens} tokens arrived, {made} were recorded")
    for request_id, cost_nano in seen.costs_nano.items():
        if charges.get(request_id) != cost_nano:
            wrong.append(f"{request_id}: said {cost_nano}, charged {charges.get(request_id)}")
    ended = {name for name, (state,) in holds.items() if state in ("settled", "void")}
    return Disconnects(
        books.address.kind,
        processes,
        sum(count for moment, count in seen.moments.items() if moment in _EARLY),
        dict(seen.moments),
        len(holds),
        len(ended & {name for name, row in records.items() if row[0] != "running"}),
        len(charges),
        sum(tokens for tokens, _ in seen.received.values()),
        sum(records[name][1] for name in charges if name in records),
        sum(charges.values()),
        wrong[:20],
        round(time.perf_counter() - began_s, 1),
        broken(books),
        audit,
    )


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--disconnects", type=int, default=10_000)
    options.add_argument("--clients", type=int, default=64)
    options.add_argument("--processes", type=int, default=2, help="servers; SQLite has one")
    given = options.parse_args()
    return drill(given, partial(_run, given))


async def _run(given: argparse.Namespace, address: Address) -> Disconnects:
    return await run(
        address,
        processes=given.processes if address.url else 1,
        disconnects=given.disconnects,
        clients=given.clients,
        seed=given.seed,
        tell=aloud,
    )


if __name__ == "__main__":
    sys.exit(main())
