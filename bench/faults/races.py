"""Many processes after the same money: exactly as much is given out as there is.

    uv run python -m bench.faults.races [--json] [--processes 8] [--attempts 500] [--funds 1000]

Every process holds one nano-USD at a time out of one account, in batches of several wishes, and
settles every second one.  Deadlocks and lock time-outs are tried again, as the writer does.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from bench.faults.audit import violations
from bench.faults.place import KINDS, PROCESSES, Address, Place, fresh
from portico.db.transaction import Transaction
from portico.ledger import service
from portico.ledger.model import Account, Bill, Held, Limit, Posting, Settlement, Wish

NOW_MS = 1_800_000_000_000
_BATCH = 5


@dataclass(frozen=True)
class Race:
    """admitted: holds given.  held_nano: what is still set aside.  charged_nano: what was paid.
    again: transactions that were run again.  violations: see `audit`, those above zero."""

    database: str
    processes: int
    attempts: int
    funds: int
    admitted: int
    balance_nano: int
    held_nano: int
    charged_nano: int
    again: int
    wall_s: float
    violations: dict[str, int]

    @property
    def exact(self) -> bool:
        return (
            self.admitted == min(self.funds, self.attempts)
            and self.balance_nano + self.charged_nano == self.funds
            and self.held_nano + self.charged_nano == self.admitted
            and not self.violations
        )


def prepare(place: Place, funds: int) -> None:
    """An organisation with `funds` nano-USD."""
    clearing = Account("cash_clearing", "cash_clearing", "", 0, 0, None, 0, None, NOW_MS)
    entries = (("prepaid:a", funds), ("cash_clearing", -funds))

    def work(transaction: Transaction) -> None:
        service.prepare(transaction, NOW_MS)
        service.open_account(transaction, clearing)
        service.open_account(transaction, service.prepaid("a", NOW_MS))
        service.post(transaction, [Posting("pay:1", "top_up", "a", "", entries)], NOW_MS)

    place.run(work)


def bill(net_nano: int) -> Bill:
    return Bill("p", "k", "m", "standard", "completed", "[]", "t", net_nano, net_nano)


def run(
    address: Address, processes: int, attempts: int, funds: int, *, limited: bool = False
) -> Race:
    """One race in an empty database.  limited: it is the window of a budget that has the funds,
    its account has more."""
    place = Place(address)
    prepare(place, funds * (10 if limited else 1))
    started_s = time.perf_counter()
    admitted, again = _race(address, processes, attempts, funds if limited else None)
    wall_s = time.perf_counter() - started_s
    name = "limit:b:0" if limited else "prepaid:a"
    sql = f"SELECT posted_nano, held_nano FROM account WHERE id = '{name}'"
    ((posted, held),) = place.rows(sql)
    charged = place.rows("SELECT coalesce(sum(net_nano), 0) FROM charge")[0][0]
    broken = {law: count for law, count in place.run(violations).items() if count}
    place.close()
    return Race(
        address.kind + (", a limit" if limited else ""),
        processes,
        processes * attempts,
        funds,
        admitted,
        posted + (funds if limited else 0),
        held,
        int(charged),
        again,
        round(wall_s, 2),
        broken,
    )


def _race(address: Address, processes: int, attempts: int, cap: int | None) -> tuple[int, int]:
    """(admitted, transactions run again) of all of them."""
    PROCESSES.set_forkserver_preload(["__main__", __name__])
    start = PROCESSES.Barrier(processes)
    results: Any = PROCESSES.Queue()
    racers = [
        PROCESSES.Process(target=_racer, args=(address, number, attempts, cap, start, results))
        for number in range(processes)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    if any(racer.exitcode for racer in racers):
        raise RuntimeError("A process did not come to its end.")
    found = [results.get() for _ in racers]
    return sum(each[0] for each in found), sum(each[1] for each in found)


def _racer(
    address: Address, number: int, attempts: int, cap: int | None, start: Any, results: Any
) -> None:
    place = Place(address)
    limits = () if cap is None else (Limit("limit:b:0", "key", "k", "day", cap, NOW_MS + 1),)
    admitted = 0
    start.wait(60)
    for first in range(0, attempts, _BATCH):
        wishes = [
            Wish(f"r{number}:{n}", "a", 1, limits, "{}", 60_000)
            for n in range(first, min(first + _BATCH, attempts))
        ]
        answers = place.run(partial(service.hold, wishes=wishes, now_ms=NOW_MS, owner="i"))
        held = [each for each in answers if isinstance(each, Held)]
        admitted += len(held)
        ends = [Settlement(each.request_id, "settled", bill(1)) for each in held[::2]]
        place.run(partial(service.settle, settlements=ends, now_ms=NOW_MS))
    results.put((admitted, place.retried))
    place.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--attempts", type=int, default=500, help="of each process")
    parser.add_argument("--funds", type=int, default=1000)
    given = parser.parse_args()
    races = []
    for kind in KINDS:
        for limited in (False, True):
            with fresh(kind) as address:
                races.append(
                    run(address, given.processes, given.attempts, given.funds, limited=limited)
                )
    if given.json:
        print(json.dumps([asdict(each) | {"exact": each.exact} for each in races]))
    else:
        print("database             attempts  funds  admitted  balance  held  again    s  exact")
        for each in races:
            print(
                f"{each.database:19s} {each.attempts:9d} {each.funds:6d} {each.admitted:9d} "
                f"{each.balance_nano:8d} {each.held_nano:5d} {each.again:6d} {each.wall_s:4.1f}  "
                f"{'yes' if each.exact else f'NO {each.violations}'}"
            )
    return 0 if all(each.exact for each in races) else 1


if __name__ == "__main__":
    sys.exit(main())
