"""Serving processes are killed at random moments under load, again and again.

    uv run python -m bench.faults.process_kills [--database sqlite|postgresql] [--kills 1000]

In each lane a database of its own, and clients that never stop asking, for streams and for whole
answers.  On SQLite one server, on PostgreSQL two of which one at a time is killed.  A killed one is
started again at once, on its data directory; some are killed while they start, and some while they
sweep up after the one before.

What must hold: an answer whose end a client saw has its usage record with those very tokens, and the
charge it was told; nothing is charged twice; every charge is its record at its prices; every
transaction sums to zero; after the sweep no hold is open and no record runs; the balance is what was
granted less what was charged.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from bench.faults.client import GONE, Head, Heard, Line, chat, request
from bench.faults.command import Tell, aloud, drill, parser
from bench.faults.laws import broken
from bench.faults.place import Address, fresh
from bench.faults.site import MODEL, Server, Site, opened

_GRANT_NANO = 10**15
_LOAD_S_MAX = 0.5
_START_S_MAX = 0.8
_KILLED_AT_START = 0.1
_ANSWER_S_MAX = 30
_LONG_S = 2.5
"""Some live until their streams have been checkpointed."""


@dataclass
class Told:
    """What the clients of one lane were told.  ended: (output tokens, nano-USD) by request, of
    answers whose end was seen.  begun: answers that began."""

    ended: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    begun: int = 0
    strange: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kills:
    """kills: at_start: of those, before the server had said that it was ready.
    acknowledged: answers whose end a client saw; lost: of those, without their record or charge.
    begun: answers that began.  swept: holds of killed servers that were charged at a checkpoint.
    given_back: holds that cost nothing.  bare: of those, without a record: killed within 0.25 s of
    their admission.  violations: see `laws`; audit: by invariant; both over all lanes."""

    database: str
    lanes: int
    kills: int
    at_start: int
    begun: int
    acknowledged: int
    lost: int
    charged: int
    swept: int
    given_back: int
    bare: int
    wrong: list[str]
    wall_s: float
    violations: dict[str, int]
    audit: dict[str, int]

    @property
    def holds(self) -> bool:
        return (
            self.lost == 0
            and self.acknowledged > 0
            and not (self.wrong or self.violations or any(self.audit.values()))
        )


class _Lane:
    """One database, its servers, its clients."""

    def __init__(self, address: Address, seed: int) -> None:
        self.address = address
        self.told = Told()
        self.kills = self.at_start = 0
        self._chance = random.Random(seed)
        self._ready: dict[int, Server] = {}
        self._heard = asyncio.Event()
        self._over = False

    async def live(self, clients: int, next_one: Callable[[], bool]) -> "Kills":
        """Until there is no next one to kill."""
        began_s = time.perf_counter()
        async with opened(self.address) as site:
            site.books.grant(_GRANT_NANO)
            servers = await site.begin(2 if self.address.url else 1)
            self._ready = {server.number: server for server in servers}
            async with asyncio.TaskGroup() as group:
                for number in range(clients):
                    group.create_task(self._client(site.books.key, number))
                while next_one():
                    await self._kill(site, next_one)
                await self._one_more()
                self._over = True
            codes = await site.stop()
            if any(codes):
                self.told.strange.append(f"servers ended with {codes}: {site.said()}")
            site.books.sweep()
            return self._found(site, began_s, await site.audit())

    async def _one_more(self) -> None:
        """Whoever came last serves."""
        self._heard.clear()
        async with asyncio.timeout(_ANSWER_S_MAX):
            await self._heard.wait()

    async def _kill(self, site: Site, next_one: Callable[[], bool]) -> None:
        """One, after some load, and its successor, perhaps, before it is ready."""
        chance = self._chance
        await asyncio.sleep(chance.choices([chance.uniform(0, _LOAD_S_MAX), _LONG_S], [97, 3])[0])
        number = chance.choice(list(self._ready))
        await self._end(self._ready.pop(number))
        server = await site.start(number)
        while chance.random() < _KILLED_AT_START and next_one():
            await asyncio.sleep(chance.uniform(0, _START_S_MAX))
            self.at_start += 1
            await self._end(server)
            server = await site.start(number)
        if not await server.ready():
            raise RuntimeError(f"A server did not come back: {site.said()}")
        self._ready[number] = server

    async def _end(self, server: Server) -> None:
        self.kills += 1
        code = await server.kill()
        if code != -signal.SIGKILL:
            self.told.strange.append(f"a server had ended by itself: {code}")

    async def _client(self, key: str, number: int) -> None:
        """Asks until it is over, each time where somebody is."""
        chance = random.Random(f"{self._chance.random()} {number}")
        while not self._over:
            server = next(iter(chance.sample(list(self._ready.values()), len(self._ready))), None)
            if server is None:
                await asyncio.sleep(0.005)
                continue
            try:
                line = await server.line()
            except OSError:
                await asyncio.sleep(0.005)
                continue
            await self._ask_on(line, key, chance)
            line.hang_up()

    async def _ask_on(self, line: Line, key: str, chance: random.Random) -> None:
        """One answer after the other, until the server is gone."""
        heard, request_id = Heard(), ""
        try:
            while not self._over:
                heard, request_id = Heard(), ""
                await line.send(_request(key, chance))
                head = await line.head()
                if head.status != 200:
                    self.told.strange.append(f"{head.status} {await line.body(head)!r}")
                    return
                request_id = head.request_id
                self.told.begun += 1
                await self._read(line, head, heard)
                self._hear(request_id, heard)
        except GONE:
            self._hear(request_id, heard)  # the end may have come, and nothing behind it

    async def _read(self, line: Line, head: Head, heard: Heard) -> None:
        if "content-length" in head.headers:
            heard.whole(head, await line.body(head))
            return
        while data := await line.chunk():
            heard.feed(data)

    def _hear(self, request_id: str, heard: Heard) -> None:
        if heard.done:
            self._heard.set()
            self.told.ended[request_id] = (heard.output_tokens, heard.cost_nano)

    def _found(self, site: Site, began_s: float, audit: dict[str, int]) -> "Kills":
        books = site.books

        def ours(sql: str) -> dict[str, tuple[Any, ...]]:
            return {row[0]: row[1:] for row in books.rows(sql) if row[0] not in books.before}

        records = ours("SELECT id, outcome, output_text FROM usage_record")
        charges = {name: row[0] for name, row in ours("SELECT id, net_nano FROM charge").items()}
        killed = [name for name, row in records.items() if row[0] == "killed"]
        void = ours("SELECT id FROM hold WHERE state = 'void'").keys()
        lost = sum(
            records.get(name) != ("completed", tokens) or charges.get(name) != cost_nano
            for name, (tokens, cost_nano) in self.told.ended.items()
        )
        return Kills(
            self.address.kind,
            1,
            self.kills,
            self.at_start,
            self.told.begun,
            len(self.told.ended),
            lost,
            len(charges),
            sum(name in charges for name in killed),
            len(void),
            len(void - records.keys()),
            self.told.strange[:20],
            round(time.perf_counter() - began_s, 1),
            broken(books, killed=True),
            audit,
        )


def _request(key: str, chance: random.Random) -> bytes:
    """A stream, a short answer, or one that takes long enough to be checkpointed on its way."""
    tokens, delay_ms = chance.choice([(chance.randint(1, 60), 2), (3, 0), (150, 5)])
    stream = chance.random() < 0.5
    more = {"stream_options": {"include_usage": True}} if stream else {}
    told = f"[[sim tokens={tokens} delay_ms={delay_ms}]]"
    return request(key, chat(MODEL, told, stream=stream, max_tokens=tokens, **more))


async def run(
    addresses: Sequence[Address],
    *,
    kills: int,
    clients: int,
    seed: int,
    tell: Tell = lambda _: None,
) -> Kills:
    """So many kills in all lanes together, each an empty database.  clients: of each lane."""
    began_s = time.perf_counter()
    left = iter(range(kills))

    def next_one() -> bool:
        number = next(left, None)
        if number and number % 50 == 0:
            tell(f"{addresses[0].kind}: {number} of {kills}, {time.perf_counter() - began_s:.0f} s")
        return number is not None

    lanes = [_Lane(address, seed * 1_000 + n) for n, address in enumerate(addresses)]
    found = await asyncio.gather(*(lane.live(clients, next_one) for lane in lanes))
    return _together(found)


def _together(lanes: Sequence[Kills]) -> Kills:
    """Sums over the lanes; the longest time."""

    def by_name(counts: Sequence[dict[str, int]]) -> dict[str, int]:
        names = dict.fromkeys(name for each in counts for name in each)
        return {name: sum(each.get(name, 0) for each in counts) for name in names}

    counted = [each.name for each in fields(Kills) if each.type is int]
    return Kills(
        database=lanes[0].database,
        wrong=[each for lane in lanes for each in lane.wrong],
        wall_s=max(lane.wall_s for lane in lanes),
        violations=by_name([lane.violations for lane in lanes]),
        audit=by_name([lane.audit for lane in lanes]),
        **{name: sum(getattr(lane, name) for lane in lanes) for name in counted},
    )


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=1_000, help="in all lanes together")
    options.add_argument("--lanes", type=int, default=2, help="databases at the same time")
    options.add_argument("--clients", type=int, default=8, help="of each lane")
    given = options.parse_args()
    return drill(given, partial(_run, given))


async def _run(given: argparse.Namespace, address: Address) -> Kills:
    with ExitStack() as stack:
        more = [stack.enter_context(fresh(address.kind)) for _ in range(given.lanes - 1)]
        return await run(
            [address, *more],
            kills=given.kills,
            clients=given.clients,
            seed=given.seed,
            tell=aloud,
        )


if __name__ == "__main__":
    sys.exit(main())
