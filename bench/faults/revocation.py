"""A key is revoked while several servers answer it: how long does anybody still take it?

    uv run python -m bench.faults.revocation [--processes 3] [--rate 1000] [--streams 30]

Clients ask all servers with one key at a steady rate, and streams run that would go on for minutes.
Then the key is revoked beside them, in the database, as `portico key revoke` does it: nobody tells the
servers.  No request that is sent more than 5 s later is accepted, by any of them; every stream is cut
within 10 s and says why; whatever is refused is refused as `api_key_revoked`, and money is right.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from bench.faults.client import GONE, chat, code_of, request
from bench.faults.command import Tell, aloud, drill, parser
from bench.faults.laws import broken
from bench.faults.place import Address
from bench.faults.site import MODEL, Server, opened
from portico.accounts.actors.model import operator
from portico.accounts.keys.model import IssuedKey, KeyWish
from portico.accounts.keys.service import create_key, revoke_key
from portico.callers.pepper import read_peppers
from portico.db.database import open_database
from portico.kit.clock import SystemClock

REFUSED_S_MAX = 5.0
CUT_S_MAX = 10.0
_BALANCE_NANO = 10**15
_CLIENTS = 24
_BODY = chat(MODEL, "[[sim tokens=1 delay_ms=0]]", max_tokens=1)
_ENDLESS = chat(MODEL, "[[sim tokens=100000 delay_ms=50]]", stream=True)


@dataclass(frozen=True)
class Revocation:
    """asked: answers of all servers together.  accepted_after: of those sent after the commit of the
    revocation; last_accepted_s: how long after it the last of these was sent.
    cut: streams that said `api_key_revoked`; last_cut_s: how long after it the last one did.
    other: what was answered that is neither 200 nor `api_key_revoked`."""

    database: str
    processes: int
    asked: int
    asked_per_s: float
    accepted_after: int
    last_accepted_s: float
    streams: int
    cut: int
    last_cut_s: float
    other: dict[str, int]
    violations: dict[str, int]

    @property
    def holds(self) -> bool:
        refused = self.last_accepted_s <= REFUSED_S_MAX
        all_cut = self.cut == self.streams and self.last_cut_s <= CUT_S_MAX
        return refused and all_cut and not self.other and not any(self.violations.values())


@dataclass
class _Seen:
    """revoked_s, accepted, cut: monotonic.  accepted: when each was sent."""

    began_s: float
    ends_s: float = float("inf")
    revoked_s: float = float("inf")
    accepted: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    cut: list[float] = field(default_factory=list)


async def run(
    address: Address,
    *,
    processes: int = 3,
    rate: float = 1_000.0,
    streams: int = 30,
    seed: int = 1,
    tell: Tell = lambda _: None,
) -> Revocation:
    async with opened(address) as site:
        site.books.grant(_BALANCE_NANO)
        issued = await asyncio.to_thread(_made, address)
        servers = await site.begin(processes)
        seen = _Seen(time.monotonic())
        tell(f"{rate:g} requests a second at {processes} servers, and {streams} streams")
        async with asyncio.TaskGroup() as all:
            for number in range(streams):
                all.create_task(_stream(servers[number % processes], issued.secret, seen))
            for number in range(_CLIENTS):
                of = servers[number % processes]
                all.create_task(_client(of, issued.secret, seen, _CLIENTS / rate))
            # Servers look every 3 s: when in between it happens is drawn.
            await asyncio.sleep(random.Random(seed).uniform(5, 8))
            await asyncio.to_thread(_revoked, address, issued)
            seen.revoked_s = time.monotonic()
            seen.ends_s = seen.revoked_s + CUT_S_MAX + 1
            tell("the key is revoked")
        await site.stop()
        site.books.sweep()
        late = [sent_s - seen.revoked_s for sent_s in seen.accepted if sent_s > seen.revoked_s]
        asked = seen.answers.total()
        refused = seen.answers.pop("api_key_revoked", 0)
        return Revocation(
            database=address.kind,
            processes=processes,
            asked=asked,
            asked_per_s=round(asked / (seen.ends_s - seen.began_s), 1),
            accepted_after=len(late),
            last_accepted_s=round(max(late, default=0.0), 2),
            streams=streams,
            cut=len(seen.cut),
            last_cut_s=round(max(seen.cut, default=seen.revoked_s) - seen.revoked_s, 2),
            other={} if refused and set(seen.answers) == {"200"} else dict(seen.answers),
            violations=broken(site.books),
        )


def _made(address: Address) -> IssuedKey:
    database, clock = open_database(address.folder, address.url), SystemClock()
    wish = KeyWish("to be revoked", concurrency_max=4_096)
    peppers = read_peppers(address.folder)
    return database.write(lambda c: create_key(operator(c, clock), peppers, wish))


def _revoked(address: Address, issued: IssuedKey) -> None:
    database, clock = open_database(address.folder, address.url), SystemClock()
    database.write(lambda c: revoke_key(operator(c, clock), issued.key.id, "drill"))


async def _client(server: Server, key: str, seen: _Seen, every_s: float) -> None:
    line, body = await server.line(), request(key, _BODY)
    due_s = time.monotonic()
    try:
        while due_s < seen.ends_s:
            await asyncio.sleep(due_s - time.monotonic())
            sent_s = time.monotonic()
            await line.send(body)
            head = await line.head()
            said = await line.body(head)
            if head.status == 200:
                seen.accepted.append(sent_s)
            seen.answers["200" if head.status == 200 else code_of(said)] += 1
            # Whoever is behind does not catch up: that would be another load.
            due_s = max(due_s + every_s, time.monotonic())
    except GONE:
        seen.answers["connection lost"] += 1
    finally:
        line.hang_up()


async def _stream(server: Server, key: str, seen: _Seen) -> None:
    line, last = await server.line(), b""
    try:
        await line.send(request(key, _ENDLESS))
        await line.head()
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + 600):
            while piece := await line.chunk():
                last = piece
                if time.monotonic() > seen.ends_s:
                    return
    except GONE:
        pass
    finally:
        line.hang_up()
    if b"api_key_revoked" in last:
        seen.cut.append(time.monotonic())


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--processes", type=int, default=3, help="servers; SQLite has one")
    options.add_argument("--rate", type=float, default=1_000.0, help="requests a second, of all")
    options.add_argument("--streams", type=int, default=30)
    given = options.parse_args()
    return drill(given, partial(_run, given))


async def _run(given: argparse.Namespace, address: Address) -> Revocation:
    return await run(
        address,
        processes=given.processes if address.url else 1,
        rate=given.rate,
        streams=given.streams,
        seed=given.seed,
        tell=aloud,
    )


if __name__ == "__main__":
    sys.exit(main())
