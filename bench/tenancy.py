"""What knowing who asks costs: keys, permissions, limits, the audit chain.

    uv run python bench/tenancy.py            # all of it, about a minute
    uv run python bench/tenancy.py --help

Each figure is CPU time of this process (or memory it holds), the median of several rounds.
"""

import argparse
import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from portico.accounts.actors.model import operator
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.service import open_accounts
from portico.audit import service as audit
from portico.audit.model import Actor
from portico.callers import store
from portico.callers.model import Caller
from portico.callers.rules import new_key
from portico.callers.scopes import GENERATE
from portico.callers.service import Callers
from portico.canon.usage import Meters
from portico.db.database import open_database
from portico.db.readers import Readers
from portico.db.tables import api_key, organisation, project
from portico.kit.clock import SystemClock
from portico.rates.counters import Alone
from portico.rates.model import Rule
from portico.rates.service import Rates

ROUNDS = 7
_KEYS = 100_000
_EVENTS = 100_000
_WRITTEN_AT_ONCE = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keys", type=int, default=_KEYS, help="keys that are remembered")
    parser.add_argument("--events", type=int, default=_EVENTS, help="rows of the audit chain")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for name, floor, figure in (
            ("a known key, verified", "5 us", asyncio.run(known_key(path))),
            ("a permission, decided", "1 us", permission()),
            ("limits of key, project and organisation, taken and settled", "-", limits()),
            (f"{told.keys:,} keys remembered", "100 MB", remembered(path, told.keys)),
            (f"{told.events:,} audit events, verified", "5 s", chain(path, told.events)),
        ):
            print(f"{name:60} {floor:>8} {figure:>12}", flush=True)


def _each_us(work: Callable[[], object], times: int) -> str:
    """CPU of one call: the median of the rounds, less an empty loop."""
    found = []
    for _ in range(ROUNDS):
        started_ns = time.process_time_ns()
        for _ in range(times):
            work()
        found.append((time.process_time_ns() - started_ns) / times / 1000)
    return f"{statistics.median(found):.2f} us"


def _once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


async def known_key(path: Path) -> str:
    clock = SystemClock()
    database = open_database(path)
    peppers, _ = open_accounts(database, path, clock)
    issued = database.write(
        lambda c: create_key(operator(c, clock), peppers, KeyWish("bench", scopes=("generate",)))
    )
    readers = Readers(database)
    callers = Callers(readers, peppers, clock)
    await callers.verify(issued.secret, GENERATE, "127.0.0.1")
    figure = _each_us(lambda: _once(callers.verify(issued.secret, GENERATE, "127.0.0.1")), 50_000)
    readers.close()
    return figure


def permission() -> str:
    caller = Caller("key", "proj", "org", "live", 1)
    return _each_us(lambda: GENERATE in caller.scopes, 1_000_000)


def limits() -> str:
    clock = SystemClock()
    rates = Rates(None, Alone(clock), clock)  # type: ignore[arg-type]  # nothing is read here
    most = 10**9
    rates._rules = {
        (scope, scope): (Rule(scope, scope, "", most, most, most),)
        for scope in ("key", "project", "organisation")
    }
    caller = Caller("key", "project", "organisation", "live", 1)
    used = Meters(input_text=90, output_text=30)

    def ask() -> None:
        allowance = _once(rates.take(caller, "m", 100))
        allowance.settle(used)

    return _each_us(ask, 20_000)


def remembered(path: Path, keys: int) -> str:
    """Resident memory that so many known keys take: each of an organisation of its own, with scopes
    and models, and read from the database as a server does."""
    database = open_database(path / "keys")
    for first in range(0, keys, _WRITTEN_AT_ONCE):
        # Few at once: memory that was only used for writing would be there for what is remembered.
        some = range(first, min(first + _WRITTEN_AT_ONCE, keys))
        database.write(partial(_add_keys, numbers=some))
    with database.connect() as connection:
        callers = Callers(None, (), SystemClock(), keys_max=keys)  # type: ignore[arg-type]  # nor here
        gc.collect()
        before = _resident_bytes()
        for number in range(keys):
            known = store.find(connection, (_digest(number),))
            callers._known[new_key("live")] = callers._judge(known, 0.0)
        gc.collect()
        return f"{(_resident_bytes() - before) / 1e6:.1f} MB"


def _add_keys(connection: Connection, numbers: range) -> None:
    connection.execute(
        insert(organisation),
        [{"id": f"org_{n:032x}", "name": "bench", "created_at_ms": 0} for n in numbers],
    )
    connection.execute(
        insert(project),
        [
            {
                "id": f"proj_{n:032x}",
                "organisation_id": f"org_{n:032x}",
                "name": "bench",
                "created_at_ms": 0,
            }
            for n in numbers
        ],
    )
    connection.execute(insert(api_key), [_key(n) for n in numbers])


def _key(number: int) -> dict[str, Any]:
    return {
        "id": f"key_{number:032x}",
        "organisation_id": f"org_{number:032x}",
        "project_id": f"proj_{number:032x}",
        "name": "bench",
        "mode": "live",
        "digest": _digest(number),
        "pepper_id": "pepper",
        "prefix": "pk_live_abcd",
        "last4": "abcd",
        "concurrency_max": 64,
        "created_at_ms": 0,
        "scopes": "embed generate models:read",
        "models": '["large","small"]',
    }


def _digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def chain(path: Path, events: int) -> str:
    database = open_database(path / "chain")
    actor = Actor("user", "user_bench", "key_bench", "203.0.113.7")

    def write(connection: Any) -> None:
        for number in range(events):
            audit.record(
                connection, number, actor, "org_bench", "key.update", "key_1", {"n": 0}, {"n": 1}
            )

    database.write(write)
    found = []
    for _ in range(3):
        started_s = time.process_time()
        verdict = database.read(lambda c: audit.verify_all(c, {}))
        found.append(time.process_time() - started_s)
        assert verdict.ok
        assert verdict.events == events
    return f"{statistics.median(found):.2f} s"


if __name__ == "__main__":
    main()
