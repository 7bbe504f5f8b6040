"""How long it takes to find what is kept, where there is much of it.

    uv run python -m bench.resources.kept [--responses 100000] [--samples 5000] [--database sqlite]

Rows are written into a new database as settled requests write them: responses of one project, each with
1 KiB of input and as much of output; once a hundredth of them, and then all; and a conversation of as
many items as one may have.  Then a server is asked over one connection, one request at a time, as a
client on this machine sees it: responses by ids that are drawn, in random order; the first and the last
page of the conversation; and responses are deleted.  Percentiles of each, in microseconds.

Ends with 1 where the p99 of reading one of all of them is over 10 ms, or where the last page takes three
times as long as the first, or where what was deleted has left no room in the file.
"""

import argparse
import asyncio
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
from sqlalchemy import Connection

from bench.faults.place import Address, fresh
from bench.faults.site import Books, Site, opened
from portico.callers.model import Caller
from portico.db.database import Database, open_database
from portico.db.transaction import Transaction
from portico.keeping import service as keeping
from portico.keeping.model import KeptResponse
from portico.kit.ids import new_id
from portico.resources.conversations import store as conversations
from portico.resources.conversations.model import Conversation

P99_US_MAX = 10_000
FLAT = 3.0
_AT_ONCE = 1_000
_ITEMS = 10_000
_WARM = 200
_DAY_MS = 86_400_000
_TEXT = "x" * 1_024


@dataclass(frozen=True)
class Times:
    name: str
    microseconds: Sequence[float]

    def at(self, share: float) -> float:
        found = sorted(self.microseconds)
        return found[min(len(found) - 1, int(share * len(found)))]

    def __str__(self) -> str:
        return (
            f"{self.name:34} {len(self.microseconds):>7,} samples  "
            f"p50 {self.at(0.5):9.1f} us  p99 {self.at(0.99):9.1f} us"
        )


class Shelf:
    """What is written beside the server, before it starts."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.database: Database = open_database(books.address.folder, books.address.url)
        project_id = str(books.one("SELECT id FROM project"))
        self._caller = Caller(new_id("key"), project_id, books.organisation, "live", 1)
        self.ids: list[str] = []

    def fill(self, count: int) -> None:
        """Until there are so many."""
        while len(self.ids) < count:
            made = [self._response() for _ in range(min(_AT_ONCE, count - len(self.ids)))]
            self.ids += [each.id for each in made]
            self.database.write(partial(_write, made=made, now_ms=self._now_ms))

    @property
    def _now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def _response(self) -> KeptResponse:
        caller, response_id = self._caller, new_id("resp")
        message = {"type": "message", "role": "assistant", "status": "completed"}
        said = {**message, "content": [{"type": "output_text", "text": _TEXT, "annotations": []}]}
        body = {
            "id": response_id,
            "object": "response",
            "status": "completed",
            "output": [{**said, "id": new_id("msg")}],
        }
        given = [{"type": "message", "role": "user", "id": new_id("msg"), "content": _TEXT}]
        return KeptResponse(
            *(response_id, caller.organisation_id, caller.project_id, caller.key_id, caller.key_id),
            *("sim-echo", "completed", False, None, msgspec.json.encode(given)),
            *(msgspec.json.encode(body), self._now_ms, 30 * _DAY_MS),
        )

    def converse(self) -> str:
        made = Conversation(
            new_id("conv"), self._caller.organisation_id, self._caller.project_id, {}, 1, None
        )
        message = {"type": "message", "role": "user", "status": "completed", "content": "x" * 100}
        ids = [new_id("msg") for _ in range(_ITEMS)]
        items = [(each, msgspec.json.encode({"id": each, **message})) for each in ids]
        self.database.write(lambda c: conversations.add(c, made))
        self.database.write(lambda c: conversations.extend(c, made, items, self._now_ms))
        return made.id

    def free_pages(self) -> int:
        return int(self.books.one("PRAGMA freelist_count"))


def _write(connection: Connection, made: list[KeptResponse], now_ms: int) -> None:
    keeping.write(Transaction(connection), made, now_ms)


class Line:
    """One connection, one request at a time.  Blocking."""

    def __init__(self, port: int, key: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n"

    def timed(self, name: str, asked: Iterator[str], *, warm: int = _WARM) -> Times:
        """asked: method and path of each.  warm: of them that are not counted."""
        times = [self._ask(each) for each in asked]
        return Times(name, times[warm:])

    def _ask(self, asked: str) -> float:
        began_s = time.perf_counter()
        self._socket.sendall(f"{asked} {self._head}".encode())
        answer = self._socket.recv(65_536)
        while not _whole(answer):
            answer += self._socket.recv(65_536)
        took_us = 1e6 * (time.perf_counter() - began_s)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{asked}: {answer[:400]!r}")
        return took_us

    def close(self) -> None:
        self._socket.close()


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length: ")
    return bool(end) and len(body) >= int(length.partition(b"\r\n")[0])


async def run(address: Address, count: int, samples: int, seed: int) -> bool:
    chance = random.Random(seed)
    async with opened(address) as site:
        shelf = Shelf(site.books)
        await asyncio.to_thread(shelf.fill, count // 100)
        few = await _served(site, lambda line: _read(line, shelf.ids, samples, chance))
        await asyncio.to_thread(shelf.fill, count)
        chat = await asyncio.to_thread(shelf.converse)
        told = await _served(site, lambda line: _all(line, shelf, chat, samples, chance))
        for each in (*few, *told):
            print(each, flush=True)
        freed = address.kind == "postgresql" or shelf.free_pages() > samples // 4
        if not freed:
            print("What was deleted has left no room.")
        pages = [each.at(0.5) for each in told if "page" in each.name]
        return told[0].at(0.99) <= P99_US_MAX and max(pages) < FLAT * min(pages) and freed


async def _served(site: Site, measure: Callable[[Line], list[Times]]) -> list[Times]:
    (server,) = await site.begin(1)

    def asked() -> list[Times]:
        line = Line(server.port, site.books.key)
        try:
            return measure(line)
        finally:
            line.close()

    told = await asyncio.to_thread(asked)
    await site.stop()
    return told


def _read(line: Line, ids: list[str], samples: int, chance: random.Random) -> list[Times]:
    drawn = (f"GET /v1/responses/{chance.choice(ids)}" for _ in range(samples + _WARM))
    return [line.timed(f"one of {len(ids):,} responses", drawn)]


def _all(line: Line, shelf: Shelf, chat: str, samples: int, chance: random.Random) -> list[Times]:
    told = _read(line, shelf.ids, samples, chance)
    items = f"GET /v1/conversations/{chat}/items"
    for name, order in (("newest", "desc"), ("oldest", "asc")):
        page = (f"{items}?order={order}&limit=20" for _ in range(samples // 5 + _WARM))
        told.append(line.timed(f"page of the {name} of {_ITEMS:,} items", page))
    gone = chance.sample(shelf.ids, min(samples // 2, len(shelf.ids)))
    told.append(
        line.timed("deleting one", (f"DELETE /v1/responses/{each}" for each in gone), warm=0)
    )
    return told


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--responses", type=int, default=100_000)
    options.add_argument("--samples", type=int, default=5_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    given = options.parse_args()
    with fresh(given.database) as address:
        good = asyncio.run(run(address, given.responses, given.samples, given.seed))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
