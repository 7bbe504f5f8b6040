"""Does a clock tell what is hidden from what is not there?

    uv run python -m bench.timing [--samples 100000] [--only responses]

A server with two organisations; the owner of one asks for objects of the other, and for ids that never
were, in an order that is drawn: GET /admin/v1/... by id, /v1/models/{id} of a model that the key may not
name, and what developers keep: responses, conversations, files, uploads, batches, read, deleted and
followed.  Then keys: one of the admin API against one that never was, at the API.  For each pair Welch's
t of the two times to an answer, as a client on this machine sees them; below 4.5 nothing is told (the
bound that leakage tests of cryptography use).  Ends with 1 where one is told, or where what is one's own
is not told from what is nobody's: then the clock is too coarse.

The bodies are compared, too: alike but for what was asked and the request's own id.
"""

import argparse
import asyncio
import json
import random
import re
import socket
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from bench.faults.place import Address, fresh
from bench.faults.site import Books, opened
from portico.accounts.actors.model import Errand, operator
from portico.accounts.admin_keys.model import AdminKeyWish
from portico.accounts.admin_keys.service import create_admin_key
from portico.accounts.catalogue.terms import set_terms as agree
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
from portico.pricing.model import TermsWish

TOLD = 4.5
CONTROL = "control: one's own project"
"""Where there is something to be told, it is seen."""
_WARM = 500
_CHAT = "/v1/chat/completions"
_FORM = (
    b'--zz\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--zz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nHello\r\n--zz--\r\n'
)
_GET, _DELETE = ("GET", "", None), ("DELETE", "", None)
_WAYS: dict[str, tuple[tuple[str, str, object], ...]] = {
    "responses": (_GET, ("GET", "/input_items", None), ("POST", "/cancel", None), _DELETE),
    "conversations": (_GET, ("GET", "/items", None), ("POST", "", {"metadata": {}}), _DELETE),
    "files": (_GET, ("GET", "/content", None), _DELETE),
    "uploads": (("POST", "/cancel", None),),
    "messages/batches": (_GET, ("GET", "/results", None), _DELETE),
}
_NAMED: dict[str, Callable[[str], dict[str, object]]] = {
    "responses": lambda id: {"input": "x", "previous_response_id": id},
    "conversations": lambda id: {"input": "x", "conversation": id},
    "files": lambda id: {
        "input": [{"role": "user", "content": [{"type": "input_file", "file_id": id}]}]
    },
}
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


@dataclass(frozen=True)
class Cast:
    """pairs: about what is there before a server is.  asks, owns: keys of the API, of whoever asks and
    of the organisation whose things are hidden."""

    pairs: list[Pair]
    asks: str
    owns: str


def cast(address: Address) -> Cast:
    """Of a new database: two organisations, and who asks in the first of them."""
    database, clock = open_database(address.folder, address.url), SystemClock()
    peppers = read_peppers(address.folder)

    def build(errand: Errand) -> Cast:
        ours, theirs = (create_organisation(errand, name).id for name in ("ours", "theirs"))
        mine, foreign = (create_project(errand, each, "web").id for each in (ours, theirs))
        owner = add_member(errand, ours, "ada@x.test", "owner").subject_id
        admin = AdminKeyWish("timing", organisation_id=ours, owner_id=owner)
        key = create_admin_key(errand, peppers, admin).secret
        their_key = create_key(errand, peppers, KeyWish("theirs"), foreign).key.id
        agree(errand, TermsWish(organisation_id=theirs, kind="internal"))
        owns = create_key(errand, peppers, KeyWish("owns"), foreign).secret
        asks = create_key(errand, peppers, KeyWish("asks"), mine).secret
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
        return Cast([*found, Pair(CONTROL, *own)], asks, owns)

    return database.write(lambda c: build(operator(c, clock)))


def kept(port: int, known: Cast) -> list[Pair]:
    """What the one who owns keeps on a running server, asked for by the other."""
    with socket.create_connection(("127.0.0.1", port)) as line:

        def made(path: str, body: object, *headers: str) -> str:
            answer = _asked(line, _request("POST", path, known.owns, body, *headers))[1]
            head, _, told = answer.partition(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(told.decode())
            return str(json.loads(told)["id"])

        said = {"type": "message", "role": "user", "content": "Hello"}
        file = made("/v1/files", _FORM, "Content-Type: multipart/form-data; boundary=zz")
        upload = {"bytes": 3, "filename": "u", "mime_type": "text/plain", "purpose": "user_data"}
        wish = {"input_file_id": file, "endpoint": _CHAT, "completion_window": "24h"}
        params = {"model": "sim-echo", "max_tokens": 9, "messages": [said]}
        ids = {
            "responses": made("/v1/responses", {"model": "sim-echo", "input": "Hello"}),
            "conversations": made("/v1/conversations", {"items": [said]}),
            "files": file,
            "uploads": made("/v1/uploads", upload),
            "batches": made("/v1/batches", wish),
            "messages/batches": made(
                "/v1/messages/batches", {"requests": [{"custom_id": "1", "params": params}]}
            ),
        }
    found = []
    for kind, id in ids.items():
        never = new_id(id.partition("_")[0])
        for method, ending, body in _WAYS.get(kind, (("GET", "", None),)):
            path = f"/v1/{kind}/%s{ending}"
            two = (_request(method, path % each, known.asks, body) for each in (id, never))
            found.append(Pair(f"{method} {path.replace('%s', '{id}')}", *two))
        if kind in _NAMED:
            asked = [{**_NAMED[kind](each), "model": "sim-echo"} for each in (id, never)]
            two = (_request("POST", "/v1/responses", known.asks, each) for each in asked)
            found.append(Pair(f"a response that names {kind}", *two))
    return found


def _request(method: str, path: str, key: str, body: object = None, *headers: str) -> bytes:
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = (f"{method} {path} HTTP/1.1", "Host: t", f"Authorization: Bearer {key}", *headers)
    length = (f"Content-Length: {len(sent)}",) if sent else ()
    return "\r\n".join((*lines, *length, "", "")).encode() + sent


def _get(path: str, key: str) -> bytes:
    return _request("GET", path, key)


def measured(pair: Pair, port: int, samples: int, chance: random.Random) -> Told:
    """samples: of both together."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_WARM):
            for request in (pair.hidden, pair.nowhere):
                _asked(line, request)
        answers = [_asked(line, each)[1] for each in (pair.hidden, pair.nowhere)]
        if b" 429 " in answers[0][:16]:
            raise RuntimeError(f"{pair.name} is asked for too often to be measured.")
        bodies = {_OWN.sub(b"", each) for each in answers}
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


async def run(address: Address, samples: int, seed: int, only: str = "") -> list[Told]:
    """only: pairs whose name holds this."""
    chance = random.Random(seed)
    # A key asks for one thing after the other here, faster than anybody may.
    unhindered = {
        "PORTICO_ADMIN_REQUESTS_PER_MINUTE": "1000000000",
        "PORTICO_ADMIN_FAILURES_PER_MINUTE": "1000000000",
    }
    async with opened(address, **unhindered) as site:
        books: Books = site.books
        known = await asyncio.to_thread(cast, books.address)
        (server,) = await site.begin(1)
        found = await asyncio.to_thread(kept, server.port, known)
        told = []
        for pair in (*known.pairs, *found):
            if only not in pair.name:
                continue
            told.append(await asyncio.to_thread(measured, pair, server.port, samples, chance))
            print(_line(told[-1]), flush=True)
        await site.stop()
    return told


def _line(each: Told) -> str:
    same = "alike" if each.alike else "TOLD APART"
    return (
        f"{each.name:40} {each.samples:>8,} samples  hidden {each.hidden_us:8.1f} us  "
        f"nowhere {each.nowhere_us:8.1f} us  t {each.t:+6.2f}  bodies {same}"
    )


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--samples", type=int, default=100_000, help="of each pair")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="", help="pairs whose name holds this")
    given = options.parse_args()
    with fresh("sqlite") as address:
        told = asyncio.run(run(address, given.samples, given.seed, given.only))
    return 0 if all(each.holds for each in told) else 1


if __name__ == "__main__":
    sys.exit(main())
