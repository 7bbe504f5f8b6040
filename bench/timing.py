"""Does a clock tell what is hidden from what is not there?

    uv run python -m bench.timing [--samples 100000]

A server with two organisations; the owner of one asks for objects of the other, and for ids that never
were, in an order that is drawn: GET /admin/v1/... by id, and /v1/models/{id} of a model that the key may
not name.  Then keys: one of the admin API against one that never was, at the API.  For each pair Welch's
t of the two times to an answer, as a client on this machine sees them; below 4.5 nothing is told (the
bound that leakage tests of cryptography use).  Ends with 1 where one is told, or where what is one's own
is not told from what is nobody's: then the clock is too coarse.

The bodies are compared, too: alike but for what was asked and the request's own id.
"""

import argparse
import asyncio
import random
import re
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from math import sqrt

from bench.faults.place import Address, fresh
from bench.faults.site import Books, opened
from portico.accounts.actors.model import Errand, operator
from portico.accounts.admin_keys.model import AdminKeyWish
from portico.accounts.admin_keys.service import create_admin_key
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.people.members import add_member
from portico.accounts.people.service_accounts import create_service_account
from portico.accounts.projects.service import create_organisation, create_project
from portico.callers.pepper import read_peppers
from portico.callers.rules import new_key
from portico.db.database import open_database
from portico.kit.clock import SystemClock
from portico.kit.ids import new_id

TOLD = 4.5
CONTROL = "control: one's own project"
"""Where there is something to be told, it is seen."""
_WARM = 500
_OWN = re.compile(rb"req_\w+|[a-z]+_[0-9a-f]{32}|sim-[a-z]+|[Dd]ate: [^\r]*")


@dataclass(frozen=True)
class Pair:
    """Requests: about what is hidden, and about what is not there."""

    name: str
    hidden: bytes
    nowhere: bytes


@dataclass(frozen=True)
class Told:
    name: str
    samples: int
    hidden_us: float
    nowhere_us: float
    t: float
    alike: bool

    @property
    def holds(self) -> bool:
        told = abs(self.t) >= TOLD or not self.alike
        return told == (self.name == CONTROL)


def pairs(address: Address) -> list[Pair]:
    """Of a new database: two organisations, and who asks in the first of them."""
    database, clock = open_database(address.folder, address.url), SystemClock()
    peppers = read_peppers(address.folder)

    def build(errand: Errand) -> list[Pair]:
        ours, theirs = (create_organisation(errand, name).id for name in ("ours", "theirs"))
        mine, foreign = (create_project(errand, each, "web").id for each in (ours, theirs))
        owner = add_member(errand, ours, "ada@x.test", "owner").subject_id
        admin = AdminKeyWish("timing", organisation_id=ours, owner_id=owner)
        key = create_admin_key(errand, peppers, admin).secret
        their_key = create_key(errand, peppers, KeyWish("theirs"), foreign).key.id
        robot = create_service_account(errand, foreign, "robot", "viewer").id
        narrow = create_key(errand, peppers, KeyWish("narrow", models=("sim-echo",)), mine).secret
        found = [
            Pair(path, _get(f"/admin/v1/{path}/{id}", key), _get(f"/admin/v1/{path}/{never}", key))
            for path, id, never in (
                ("organisations", theirs, new_id("org")),
                ("projects", foreign, new_id("proj")),
                ("keys", their_key, new_id("key")),
                ("service_accounts", robot, new_id("svc")),
            )
        ]
        found.append(
            Pair("models", _get("/v1/models/sim-tool", narrow), _get("/v1/models/sim-nono", narrow))
        )
        found.append(
            Pair(
                "an admin key at the API",
                _get("/v1/models", key),
                _get("/v1/models", new_key("admin")),
            )
        )
        never = new_id("proj")
        own = (_get(f"/admin/v1/projects/{each}", key) for each in (mine, never))
        return [*found, Pair(CONTROL, *own)]

    return database.write(lambda c: build(operator(c, clock)))


def _get(path: str, key: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


def measured(pair: Pair, port: int, samples: int, chance: random.Random) -> Told:
    """samples: of both together."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_WARM):
            for request in (pair.hidden, pair.nowhere):
                _asked(line, request)
        bodies = {_OWN.sub(b"", _asked(line, each)[1]) for each in (pair.hidden, pair.nowhere)}
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(samples):
            which = chance.getrandbits(1)
            times[which].append(_asked(line, (pair.hidden, pair.nowhere)[which])[0])
    hidden, nowhere = times
    return Told(
        pair.name,
        samples,
        statistics.fmean(hidden) * 1e6,
        statistics.fmean(nowhere) * 1e6,
        _welch(hidden, nowhere),
        len(bodies) == 1,
    )


def _asked(line: socket.socket, request: bytes) -> tuple[float, bytes]:
    """Seconds, and the answer, which is small and has a length."""
    began_s = time.perf_counter()
    line.sendall(request)
    answer = line.recv(65_536)
    while not _whole(answer):
        answer += line.recv(65_536)
    return time.perf_counter() - began_s, answer


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length: ")
    return bool(end) and len(body) >= int(length.partition(b"\r\n")[0])


def _welch(one: list[float], other: list[float]) -> float:
    spread = sqrt(statistics.variance(one) / len(one) + statistics.variance(other) / len(other))
    return (statistics.fmean(one) - statistics.fmean(other)) / spread


async def run(address: Address, samples: int, seed: int) -> list[Told]:
    chance = random.Random(seed)
    async with opened(address) as site:
        books: Books = site.books
        found = await asyncio.to_thread(pairs, books.address)
        (server,) = await site.begin(1)
        told = []
        for pair in found:
            told.append(await asyncio.to_thread(measured, pair, server.port, samples, chance))
            print(_line(told[-1]), flush=True)
        await site.stop()
    return told


def _line(each: Told) -> str:
    same = "alike" if each.alike else "TOLD APART"
    return (
        f"{each.name:26} {each.samples:>8,} samples  hidden {each.hidden_us:8.1f} us  "
        f"nowhere {each.nowhere_us:8.1f} us  t {each.t:+6.2f}  bodies {same}"
    )


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--samples", type=int, default=100_000, help="of each pair")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    with fresh("sqlite") as address:
        told = asyncio.run(run(address, given.samples, given.seed))
    return 0 if all(each.holds for each in told) else 1


if __name__ == "__main__":
    sys.exit(main())
