"""What money costs a request: CPU of the process for its hold and its settlement, by how many
requests share a commit.

    uv run python -m bench.ledger [--json] [--seconds 2] [--profile 16]

Every commit holds for so many requests and settles the ones before, as the writer's do.  A request
holds in an organisation's prepaid account and in the window of a budget, and is settled for less.
`cpu us` is CPU of this process per request, with its share of the commits; on PostgreSQL the
server's own work comes on top of it.  --profile prints where the time goes.
"""

import argparse
import cProfile
import json
import pstats
import sys
import time
from dataclasses import asdict, dataclass

from bench.faults.place import KINDS, Place, fresh
from bench.faults.races import NOW_MS, prepare
from portico.db.transaction import Transaction
from portico.ledger import service
from portico.ledger.model import Bill, Limit, Settlement, Wish

_FUNDS = 10**15
_LINES = json.dumps(
    [
        {"meter": meter, "units": 120, "price_id": "prc_0123456789", "nano": "150000"}
        for meter in ("input_text", "output_text")
    ],
    separators=(",", ":"),
)
_QUOTE = json.dumps({"prices": ["prc_0123456789"] * 4, "tier": "standard", "bound": 9_000_000})


@dataclass(frozen=True)
class Cost:
    """cpu_us: of this process per request.  hold_us, settle_us, commit_us: where its time goes, by
    the wall clock."""

    database: str
    batch: int
    requests: int
    cpu_us: float
    hold_us: float
    settle_us: float
    commit_us: float


def measure(place: Place, batch: int, seconds: float) -> Cost:
    """Batches of this size, one after the other, for that long."""
    _work(place, f"warm{batch}", batch, 0.3)
    started_s, hold_s, settle_s, commit_s, requests = _work(place, f"b{batch}", batch, seconds)
    cpu_us = started_s / requests * 1e6
    parts = (each / requests * 1e6 for each in (hold_s, settle_s, commit_s))
    return Cost(
        place.address.kind, batch, requests, round(cpu_us, 1), *(round(each, 1) for each in parts)
    )


def _work(
    place: Place, name: str, batch: int, seconds: float
) -> tuple[float, float, float, float, int]:
    """(CPU s, hold s, settle s, commit s, requests)."""
    hold_s = settle_s = commit_s = 0.0
    turn, clock = 0, time.perf_counter
    before: list[Settlement] = []
    began_s, cpu_s = clock(), time.process_time()
    while clock() - began_s < seconds:
        turn += 1
        wishes, ends = _requests(f"{name}:{turn}", batch)
        place.begin()
        transaction = Transaction(place.connection)
        at_s = clock()
        service.hold(transaction, wishes, NOW_MS, "ins_a")
        held_s = clock()
        service.settle(transaction, before, NOW_MS)
        settled_s = clock()
        place.driver.commit()
        commit_s += clock() - settled_s
        hold_s += held_s - at_s
        settle_s += settled_s - held_s
        before = ends
    return time.process_time() - cpu_s, hold_s, settle_s, commit_s, turn * batch


def _requests(name: str, batch: int) -> tuple[list[Wish], list[Settlement]]:
    limits = (Limit("limit:bud_0123456789:0", "key", "key_a", "day", _FUNDS, NOW_MS + 1),)
    wishes, ends = [], []
    for n in range(batch):
        request_id = f"req_{name}:{n}"
        wishes.append(Wish(request_id, "a", 9_000_000, limits, _QUOTE, 660_000))
        bill = Bill(
            "prj_a", "key_a", "fable", "standard", "completed", _LINES, "trm_a", 300_000, 300_000
        )
        ends.append(Settlement(request_id, "settled", bill))
    return wishes, ends


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each batch size")
    parser.add_argument("--profile", type=int, metavar="BATCH", help="on SQLite")
    given = parser.parse_args()
    if given.profile:
        _profile(given.profile, given.seconds)
        return 0
    costs: list[Cost] = []
    for kind in KINDS:
        with fresh(kind) as address:
            place = Place(address)
            prepare(place, _FUNDS)
            costs += [measure(place, batch, given.seconds) for batch in (1, 4, 16, 64)]
            place.close()
    if given.json:
        print(json.dumps([asdict(each) for each in costs]))
        return 0
    print("database    batch  requests     cpu us   hold us  settle us  commit us")
    for each in costs:
        print(
            f"{each.database:10s} {each.batch:6d} {each.requests:9d} {each.cpu_us:10.1f} "
            f"{each.hold_us:9.1f} {each.settle_us:10.1f} {each.commit_us:10.1f}"
        )
    return 0


def _profile(batch: int, seconds: float) -> None:
    with fresh("sqlite") as address:
        place = Place(address)
        prepare(place, _FUNDS)
        _work(place, "warm", batch, 0.3)
        profile = cProfile.Profile()
        profile.runcall(_work, place, "profiled", batch, seconds)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        place.close()


if __name__ == "__main__":
    sys.exit(main())
