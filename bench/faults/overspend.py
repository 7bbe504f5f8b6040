"""Many clients over HTTP after one balance, in front of several servers that share a database.

    uv run python -m bench.faults.overspend [--database sqlite|postgresql] [--rounds 200]

Every round grants money, then lets all clients ask at once, each now at this server and now at that,
until each of them is told `credit_balance_exhausted`.  A refusal that says it may pass
(`funds_held_by_in_flight_requests`) is tried again.  In four of five rounds all requests are alike
(whole answers, or streams) and the balance pays for exactly k of them, which is k - 1 times what one
costs and once what one sets aside: asked one after the other, k would run.  Exactly k run, whoever
asks where, and each costs the same; and where no more than k are asked for, nobody is told that it is
over.  In every fifth round requests differ, streams set more aside as they go on and are cut where
the money ends: what was spent is what the answers said, and never more than there was.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from bench.faults.client import GONE, Line, chat, code_of, request
from bench.faults.command import Tell, aloud, drill, parser
from bench.faults.laws import broken
from bench.faults.place import Address
from bench.faults.site import MODEL, Server, Site, opened
from portico.cli.words import scaled

AGAIN, OVER = "funds_held_by_in_flight_requests", "credit_balance_exhausted"
_WINDOW_TOKENS = 16
_ROUND_S_MAX = 120
_ROUNDS = (
    ("whole", False),
    ("streamed", True),
    ("mixed", False),
    ("streamed", False),
    ("whole", True),
)
"""(what is asked for, is it only as much as is paid for at first?)"""


@dataclass(frozen=True)
class Alike:
    """holds_nano: what one such request sets aside; costs_nano: what it costs in the end."""

    body: bytes
    holds_nano: int
    costs_nano: int

    def balance_for(self, requests: int) -> int:
        return (requests - 1) * self.costs_nano + self.holds_nano


@dataclass
class Round:
    """What the clients were told in one round."""

    costs: list[int | None] = field(default_factory=list)
    again: int = 0
    over: int = 0
    cut: int = 0
    strange: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Overspend:
    """admitted, expected: in the rounds of requests that are alike.  again: refusals that were
    tried again.  cut: streams that ended where the money did.  wrong: what was not as it must be,
    round by round.  violations: see `laws`; audit: by invariant."""

    database: str
    processes: int
    clients: int
    rounds: int
    admitted: int
    expected: int
    admitted_mixed: int
    again: int
    cut: int
    spent_nano: int
    wrong: list[str]
    wall_s: float
    violations: dict[str, int]
    audit: dict[str, int]

    @property
    def holds(self) -> bool:
        return not (self.wrong or self.violations or any(self.audit.values()))


async def run(
    address: Address,
    *,
    processes: int,
    clients: int,
    rounds: int,
    seed: int,
    tell: Tell = lambda _: None,
) -> Overspend:
    """In an empty database."""
    began_s = time.perf_counter()
    async with opened(address, PORTICO_PRICING_WINDOW_TOKENS=str(_WINDOW_TOKENS)) as site:
        servers = await site.begin(processes)
        drill = _Drill(site, servers, clients, seed)
        await drill.measure()
        for number in range(rounds):
            await drill.round(number)
            if (number + 1) % 10 == 0:
                seconds = time.perf_counter() - began_s
                tell(f"{address.kind}: {number + 1} of {rounds} rounds, {seconds:.0f} s")
        drill.close()
        codes = await site.stop()
        if any(codes):
            drill.wrong.append(f"servers ended with {codes}: {site.said()}")
        return Overspend(
            address.kind,
            processes,
            clients,
            rounds,
            drill.admitted,
            drill.expected,
            drill.admitted_mixed,
            drill.again,
            drill.cut,
            site.books.granted_nano - site.books.balance_nano,
            drill.wrong,
            round(time.perf_counter() - began_s, 1),
            broken(site.books),
            await site.audit(),
        )


class _Client:
    def __init__(self, number: int, turn: int) -> None:
        self.number = number
        self.chance = random.Random(f"{number} {turn}")


class _Drill:
    def __init__(self, site: Site, servers: list[Server], clients: int, seed: int) -> None:
        self.admitted = self.expected = self.admitted_mixed = self.again = self.cut = 0
        self.wrong: list[str] = []
        self._site = site
        self._servers = servers
        self._chance = random.Random(seed)
        self._lines: list[dict[int, Line]] = [{} for _ in range(clients)]
        self._alike: dict[str, Alike] = {}

    async def measure(self) -> None:
        """What requests that are alike set aside and cost: one of each kind, alone."""
        books = self._site.books
        for shape, stream in (("whole", False), ("streamed", True)):
            # As long as asked for in every round, and short enough that one window covers it.
            body = request(books.key, _body(stream, 12))
            line = await self._servers[0].line()
            head, _, refused = await line.ask(body)
            if head.status == 200:
                raise RuntimeError(f"It ran with {books.balance_nano} nano-USD: {head}.")
            said = re.search(r"may cost up to (\S+);", json.loads(refused)["error"]["message"])
            assert said is not None
            holds_nano = scaled(said[1])
            before = books.balance_nano
            books.grant(holds_nano - before)
            head, _, _ = await line.ask(body)
            line.hang_up()
            if head.status != 200:
                raise RuntimeError(f"{holds_nano} nano-USD were not enough: {head}.")
            self._alike[shape] = Alike(body, holds_nano, holds_nano - books.balance_nano)

    async def round(self, number: int) -> None:
        books, (shape, fair) = self._site.books, _ROUNDS[number % len(_ROUNDS)]
        alike = self._alike.get(shape)
        requests = self._chance.randint(20, 60)
        wanted = (alike or self._alike["whole"]).balance_for(requests)
        books.grant(wanted - books.balance_nano)
        told, clients = Round(), [_Client(n, number) for n in range(len(self._lines))]
        async with asyncio.timeout(_ROUND_S_MAX):
            if fair:
                wishes = iter(range(requests))
                await asyncio.gather(*(self._in_turn(one, alike, wishes, told) for one in clients))
            await asyncio.gather(*(self._to_the_end(one, alike, told) for one in clients))
        wrong = told.strange + self._checked(alike, requests, wanted, told)
        self.wrong += [f"round {number} ({shape}): {each}" for each in wrong]
        self.again += told.again
        self.cut += told.cut

    def _checked(self, alike: Alike | None, requests: int, wanted: int, told: Round) -> list[str]:
        """What is wrong about a round that had `wanted` nano-USD."""
        books, wrong = self._site.books, []
        spent = wanted - books.balance_nano
        open_holds = books.one("SELECT count(*) FROM hold WHERE state = 'open'")
        if not 0 <= spent <= wanted:
            wrong.append(f"{spent} of {wanted} were spent")
        if sum(cost or 0 for cost in told.costs) != spent or None in told.costs:
            said = sorted(Counter(told.costs).items(), key=str)
            wrong.append(f"the answers said {said}, it was {spent}")
        if told.over != len(self._lines) or open_holds:
            wrong.append(f"{told.over} were told that it is over; {open_holds} holds are open")
        if alike is None:
            self.admitted_mixed += len(told.costs)
            return wrong
        self.admitted += len(told.costs)
        self.expected += requests
        if told.costs != [alike.costs_nano] * requests:
            wrong.append(f"{len(told.costs)} ran where {requests} were paid for")
        return wrong

    async def _to_the_end(self, one: "_Client", alike: Alike | None, told: Round) -> None:
        """Ask until it is said to be over."""
        while (code := await self._ask(one, alike, told)) == "":
            pass
        if code == OVER:
            told.over += 1
        else:
            told.strange.append(code)

    async def _in_turn(
        self, one: "_Client", alike: Alike | None, wishes: Iterator[int], told: Round
    ) -> None:
        """One request after the other, as many in all as are paid for: none is told that it is
        over, however many there are at once."""
        for _ in wishes:
            code = await self._ask(one, alike, told)
            if code:
                told.strange.append(f"{code}, though it was paid for")

    async def _ask(self, one: "_Client", alike: Alike | None, told: Round) -> str:
        """Again while it may pass; "" for an answer, else the code of what ended it."""
        while True:
            body = alike.body if alike is not None else self._some_body(one.chance)
            line = await self._line(one.number, one.chance.randrange(len(self._servers)))
            try:
                head, heard, refused = await line.ask(body)
            except GONE as error:
                return f"a connection ended early: {error!r}"
            if head.status == 200:
                told.costs.append(heard.cost_nano)
                told.cut += bool(heard.stopped)
                return ""
            if (code := code_of(refused)) != AGAIN:
                return code
            told.again += 1
            # Sooner than Retry-After asks for: more of them meet.
            await asyncio.sleep(one.chance.uniform(0.002, 0.02))

    def _some_body(self, chance: random.Random) -> bytes:
        """Streams of several windows, or whole answers, of any length."""
        tokens = chance.randint(1, 6 * _WINDOW_TOKENS)
        return request(self._site.books.key, _body(chance.random() < 0.7, tokens))

    async def _line(self, client: int, server: int) -> Line:
        lines = self._lines[client]
        if server not in lines:
            lines[server] = await self._servers[server].line()
        return lines[server]

    def close(self) -> None:
        for lines in self._lines:
            for line in lines.values():
                line.hang_up()


def _body(stream: bool, tokens: int) -> bytes:
    return chat(MODEL, f"[[sim tokens={tokens} delay_ms=1]]", stream=stream, max_tokens=tokens)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--processes", type=int, default=3, help="servers; SQLite has one")
    options.add_argument("--clients", type=int, default=64, help="of all servers together")
    options.add_argument("--rounds", type=int, default=200)
    given = options.parse_args()
    return drill(given, partial(_run, given))


async def _run(given: argparse.Namespace, address: Address) -> Overspend:
    return await run(
        address,
        processes=given.processes if address.url else 1,
        clients=given.clients,
        rounds=given.rounds,
        seed=given.seed,
        tell=aloud,
    )


if __name__ == "__main__":
    sys.exit(main())
