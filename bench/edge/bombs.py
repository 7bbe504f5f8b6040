"""Small requests that would like to become large: against every route that takes a body.

    uv run python -m bench.edge.bombs [--at-once 4] [--json]

The routes are those of the server's own /openapi.json.  Compressed bodies that unpack to 200 MiB,
JSON too deep, numbers too long, more values than anybody needs, heads of 70 kB and of 200 headers,
HTTP/1.0, `Expect`: each is sent to each route, `--at-once` of them at a time.

What must hold: no answer is a 5xx other than "busy, try again", every one comes, the server is the
same process afterwards and answers, and its resident memory never rose by more than 300 MB.
"""

import argparse
import gzip
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]  # ships no types
import zstandard

from bench.edge.place import Place, serving
from bench.edge.talk import Cut, answers, ask

RISE_BYTES_MAX = 300_000_000
_UNPACKED_BYTES = 200 * 1_048_576
_BODY_BYTES_MAX = 33_554_432
_SUITS = {"model": "sim-echo", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
_BUSY = frozenset({429, 503, 529})


@dataclass(frozen=True, slots=True)
class Bomb:
    """headers: lines besides Content-Length.  version: of HTTP.  body: made when it is sent."""

    name: str
    body: Callable[[], bytes]
    headers: tuple[str, ...] = ()
    version: str = "1.1"

    def wire(self, method: str, path: str, *headers: str) -> bytes:
        body = _made(self.body)
        lines = [
            f"{method} {path} HTTP/{self.version}",
            "Host: bench",
            "Connection: close",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *headers,
            *self.headers,
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@lru_cache(maxsize=2)
def _made(body: Callable[[], bytes]) -> bytes:
    """Once for all routes: the bombs come one after the other."""
    return body()


@cache
def _unpacks_to(coding: str) -> bytes:
    """200 MiB of a JSON document, packed: an endless string, so that nothing is found early."""
    begin, more = b'{"model":"', b"a" * 1_048_576
    pieces = [begin, *[more] * (_UNPACKED_BYTES // len(more))]
    packers: dict[str, Any] = {
        "gzip": zlib.compressobj(9, wbits=31),
        "deflate": zlib.compressobj(9),
        "zstd": zstandard.ZstdCompressor(level=3).compressobj(),
    }
    if coding == "br":
        compressor = brotli.Compressor(quality=1)
        packed = b"".join(map(compressor.process, pieces)) + compressor.finish()
    else:
        packed = b"".join(map(packers[coding].compress, pieces)) + packers[coding].flush()
    return bytes(packed)


def _with(text: str) -> Callable[[], bytes]:
    """A Chat request with one more member, which nobody knows."""
    return lambda: json.dumps(_SUITS).encode()[:-1] + b"," + text.encode() + b"}"


def _filled(unit: str, size: int, around: tuple[str, str] = ("[", "]")) -> Callable[[], bytes]:
    """A member of so many bytes, `unit` for `unit`."""

    def body() -> bytes:
        begin = json.dumps(_SUITS).encode()[:-1] + b',"x":' + around[0].encode()
        room = size - len(begin) - 10
        return (
            begin + (unit * (room // len(unit))).encode().rstrip(b",") + around[1].encode() + b"}"
        )

    return body


def _nested(opening: str, closing: str, depth: int) -> Callable[[], bytes]:
    return _with(f'"x":{opening * depth}0{closing * depth}')


PACKED = [
    *(Bomb(f"{c}, 200 MiB", lambda c=c: _unpacks_to(c), (f"Content-Encoding: {c}",))  # type: ignore[misc]  # bound now
      for c in ("gzip", "deflate", "br", "zstd")),
    Bomb("gzip in gzip", lambda: gzip.compress(_unpacks_to("gzip")), ("Content-Encoding: gzip, gzip",)),
    Bomb("br in gzip", lambda: gzip.compress(_unpacks_to("br")), ("Content-Encoding: br, gzip",)),
    Bomb("gzip of 20,000 members", lambda: gzip.compress(b"") * 20_000, ("Content-Encoding: gzip",)),
    Bomb("zstd with a window of 2 GiB", lambda: b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(64),
         ("Content-Encoding: zstd",)),
    Bomb("zstd that says 2 EiB", lambda: b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 7 + b"\x1f" + bytes(64),
         ("Content-Encoding: zstd",)),
    Bomb("a coding nobody knows", lambda: b"{}", ("Content-Encoding: compress",)),
    Bomb("four codings", lambda: b"{}", ("Content-Encoding: gzip, gzip, gzip, gzip",)),
]  # fmt: skip
DEEP = [
    *(Bomb(f"{name}, {depth} deep", _nested(opening, closing, depth))
      for depth in (65, 1_000, 100_000)
      for name, opening, closing in (("arrays", "[", "]"), ("objects", '{"a":', "}"), ("both", '[{"a":', "}]"))),
    Bomb("arrays never closed", lambda: b'{"x":' + b"[" * 1_000_000),
    Bomb("objects never closed", lambda: b'{"x":' * 1_000_000),
    Bomb("a string never closed", lambda: b'{"x":"' + b"a" * 1_000_000),
    Bomb("a message 5,000 deep", lambda: b'{"model":"sim-echo","messages":' + b"[" * 5_000 + b"]" * 5_000 + b"}"),
    Bomb("a schema 5,000 deep", _with('"tools":[{"type":"function","function":{"name":"f","parameters":'
         + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}}]")),
]  # fmt: skip
NUMBERS = [
    Bomb(f"a number: {name}", _with(f'"x":{text}'))
    for name, text in {
        "65 digits": "1" * 65,
        "a million digits": "1" * 1_000_000,
        "less than nothing, a million digits": "-" + "9" * 1_000_000,
        "a million digits behind the point": "0." + "1" * 1_000_000,
        "to the power of a million": "1e1000000",
        "an exponent of a million digits": "1e" + "9" * 1_000_000,
        "to the power of less than a million": "1e-1000000",
        "not a number": "NaN",
        "infinite": "Infinity",
        "in hex": "0x10",
        "with zeros before": "0001",
    }.items()
] + [
    Bomb(f"{field} of {name}", lambda f=field, t=text: json.dumps(_SUITS | {f: "@"}).replace('"@"', t).encode())  # type: ignore[misc]  # bound now
    for field in ("max_tokens", "temperature", "n", "seed")
    for name, text in {"a million digits": "1" * 1_000_000, "64 digits": "9" * 64, "1e300": "1e300"}.items()
]  # fmt: skip
MANY = [
    Bomb("32 MiB of empty arrays", _filled("[],", _BODY_BYTES_MAX)),
    Bomb("32 MiB of empty objects", _filled("{},", _BODY_BYTES_MAX)),
    Bomb("32 MiB of small objects", _filled('{"":0},', _BODY_BYTES_MAX)),
    Bomb("32 MiB of numbers", _filled("1.5,", _BODY_BYTES_MAX)),
    Bomb("32 MiB of short strings", _filled('"a",', _BODY_BYTES_MAX)),
    Bomb("32 MiB of messages", lambda: b'{"model":"sim-echo","messages":['
         + b'{"role":"user","content":""},' * (_BODY_BYTES_MAX // 30) + b'{"role":"user","content":""}]}'),
    Bomb("32 MiB of one string", _filled("a", _BODY_BYTES_MAX, ('"', '"'))),
    Bomb("32 MiB of escapes", _filled("\\u0000", _BODY_BYTES_MAX, ('"', '"'))),
    Bomb("the same member 300,000 times", lambda: b"{" + b'"model":"sim-echo",' * 300_000 + b'"x":1}'),
    Bomb("300,000 members", lambda: json.dumps({f"m{n}": n for n in range(300_000)}).encode()),
    Bomb("a body of 40 MB", lambda: b'"' + b"a" * 40_000_000 + b'"'),
]  # fmt: skip
HEADS = [
    Bomb("a header of 70 kB", lambda: b"{}", ("X: " + "a" * 70_000,)),
    Bomb("200 headers", lambda: b"{}", tuple(f"X{n}: y" for n in range(200))),
    Bomb("one header 200 times", lambda: b"{}", ("X: y",) * 200),
    Bomb("a header of 10 MB", lambda: b"{}", ("X: " + "a" * 10_000_000,)),
    Bomb("HTTP/1.0", lambda: json.dumps(_SUITS).encode(), version="1.0"),
    Bomb("HTTP/1.0 that expects", lambda: b"{}", ("Expect: 100-continue",), version="1.0"),
    Bomb("expects to go on", lambda: b"{}", ("Expect: 100-continue",)),
    Bomb("expects twice", lambda: b"{}", ("Expect: 100-continue", "Expect: 100-continue")),
    Bomb("expects what nobody knows", lambda: b"{}", ("Expect: 200-maybe",)),
]
CORPUS = PACKED + DEEP + NUMBERS + MANY + HEADS
HEAVY = frozenset(bomb.name for bomb in PACKED[:6] + MANY) | {"a header of 10 MB"}
"""Tens of megabytes each, or as much once unpacked."""


@dataclass(frozen=True, slots=True)
class Target:
    method: str
    path: str


def targets(document: dict[str, Any]) -> list[Target]:
    """Every route of an OpenAPI document that takes a body."""
    return [
        Target(method.upper(), path.replace("{id}", "sim-echo"))
        for path, ways in document["paths"].items()
        for method, operation in ways.items()
        if "requestBody" in operation
    ]


@dataclass(slots=True)
class Found:
    """statuses: of all answers.  wrong: what should not have happened, as sentences."""

    routes: int = 0
    sent: int = 0
    rise_bytes: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.wrong and self.sent > 0 and self.rise_bytes <= RISE_BYTES_MAX


def throw(
    place: Place, bombs: Iterable[tuple[Target, Bomb]], at_once: int, expects: int = 0
) -> Found:
    """Every bomb at its route, `at_once` at a time.  expects: how many there are, at least."""
    found, statuses = Found(), Counter[int]()
    Path(f"/proc/{place.pid}/clear_refs").write_text("5")  # forgets the peak so far
    before = place.resident_bytes

    def one(thrown: tuple[Target, Bomb]) -> tuple[Target, Bomb, int]:
        target, bomb = thrown
        wire = bomb.wire(target.method, target.path, place.authorization)
        try:
            heard = answers(ask(place.host, place.port, wire, patient_s=60.0))
        except (Cut, TimeoutError):
            return target, bomb, 0
        return target, bomb, heard[0].status if len(heard) == 1 else 0

    with ThreadPoolExecutor(at_once) as pool:
        for target, bomb, status in pool.map(one, bombs):
            found.sent += 1
            statuses[status] += 1
            if not status or (status >= 500 and status not in _BUSY):
                says = f"{status or 'no answer'}: {bomb.name} at {target.method} {target.path}"
                found.wrong.append(says)
    found.rise_bytes = place.peak_bytes - before
    found.statuses = dict(sorted(statuses.items()))
    if place.get("/healthz").status != 200:
        found.wrong.append("it does not answer any more")
    if found.sent < expects:
        found.wrong.append(f"only {found.sent} were sent")
    return found


def everything(found: list[Target]) -> Iterator[tuple[Target, Bomb]]:
    return ((target, bomb) for bomb in CORPUS for target in found)


def main() -> int:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--at-once", type=int, default=4)
    made.add_argument("--json", action="store_true")
    given = made.parse_args()
    with serving() as place:
        routes = targets(json.loads(place.get("/openapi.json").body))
        found = throw(place, everything(routes), given.at_once, len(routes) * len(CORPUS))
        found.routes = len(routes)
    shown = asdict(found) | {"holds": found.holds}
    print(json.dumps(shown) if given.json else "\n".join(f"{k:12s}  {v}" for k, v in shown.items()))
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
