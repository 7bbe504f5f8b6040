"""Many processes after the same money: exactly as much is given out as there is, and what two of
them do is done once.

    uv run python -m bench.faults.races [--json] [--processes 8] [--attempts 500] [--funds 1000]

Every process holds one nano-USD at a time out of one account, in batches of several wishes, and
settles every second one.  Then all of them end the same holds and post the same top-ups, in
different orders.  Deadlocks and lock time-outs are tried again, as the writer does.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Doubles:
    """ended, posted: how often a process was told that it was the one.  once: of so many things
    that every process did."""

    database: str
    processes: int
    once: int
    ended: int
    posted: int
    balance_nano: int
    again: int
    wall_s: float
    violations: dict[str, int]

    @property
    def exact(self) -> bool:
        told_once = self.ended == self.posted == self.once
        # One nano-USD from each top-up, one for each hold, and one was there for each hold.
        return told_once and self.balance_nano == self.once and not self.violations


def run_doubles(address: Address, processes: int, once: int) -> Doubles:
    """Every process ends the same holds and posts the same top-ups, in an empty database."""
    place = Place(address)
    prepare(place, once)
    wishes = [Wish(f"r{n}", "a", 1, (), "{}", 60_000) for n in range(once)]
    place.run(partial(service.hold, wishes=wishes, now_ms=NOW_MS, owner="i"))
    started_s = time.perf_counter()
    found = _all(address, _doubler, processes, once)
    wall_s = time.perf_counter() - started_s
    balance = place.rows("SELECT posted_nano FROM account WHERE id = 'prepaid:a'")[0][0]
    broken = {law: count for law, count in place.run(violations).items() if count}
    place.close()
    ended, posted, again = (sum(each) for each in zip(*found, strict=True))
    return Doubles(
        address.kind, processes, once, ended, posted, balance, again, round(wall_s, 2), broken
    )


def _doubler(address: Address, number: int, once: int, start: Any, results: Any) -> None:
    place = Place(address)
    order = list(range(once))
    random.Random(number).shuffle(order)
    ended = posted = 0
    start.wait(60)
    for first in range(0, once, _BATCH):
        some = order[first : first + _BATCH]
        ends = [Settlement(f"r{n}", "settled", bill(1)) for n in some]
        answers = place.run(partial(service.settle, settlements=ends, now_ms=NOW_MS))
        ended += sum(answer is not None for answer in answers)
        entries = (("prepaid:a", 1), ("cash_clearing", -1))
        tops = [Posting(f"top:{n}", "top_up", "a", "", entries) for n in some]
        posted += sum(place.run(partial(service.post, postings=tops, now_ms=NOW_MS)))
    results.put((ended, posted, place.retried))
    place.close()


def _race(address: Address, processes: int, attempts: int, cap: int | None) -> tuple[int, int]:
    """(admitted, transactions run again) of all of them."""
    found = _all(address, _racer, processes, attempts, cap)
    return sum(each[0] for each in found), sum(each[1] for each in found)


def _all(address: Address, work: Callable[..., None], processes: int, *given: Any) -> list[Any]:
    """What each of so many processes, started at the same moment, puts into its results."""
    PROCESSES.set_forkserver_preload(["__main__", __name__])
    start = PROCESSES.Barrier(processes)
    results: Any = PROCESSES.Queue()
    racers = [
        PROCESSES.Process(target=work, args=(address, number, *given, start, results))
        for number in range(processes)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    if any(racer.exitcode for racer in racers):
        raise RuntimeError("A process did not come to its end.")
    return [results.get() for _ in racers]


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
    doubles = []
    for kind in KINDS:
        with fresh(kind) as address:
            doubles.append(run_doubles(address, given.processes, given.funds))
    everything: list[Race | Doubles] = [*races, *doubles]
    if given.json:
        print(json.dumps([asdict(each) | {"exact": each.exact} for each in everything]))
    else:
        _print(races, doubles)
    return 0 if all(each.exact for each in everything) else 1


def _print(races: Sequence[Race], doubles: Sequence[Doubles]) -> None:
    print("database             attempts  funds  admitted  balance  held  again    s  exact")
    for each in races:
        print(
            f"{each.database:19s} {each.attempts:9d} {each.funds:6d} {each.admitted:9d} "
            f"{each.balance_nano:8d} {each.held_nano:5d} {each.again:6d} {each.wall_s:4.1f}  "
            f"{'yes' if each.exact else f'NO {each.violations}'}"
        )
    print("\ndatabase   processes  things  ended  posted  balance  again    s  exact")
    for two in doubles:
        print(
            f"{two.database:10s} {two.processes:9d} {two.once:7d} {two.ended:6d} "
            f"{two.posted:7d} {two.balance_nano:8d} {two.again:6d} {two.wall_s:4.1f}  "
            f"{'yes' if two.exact else f'NO {two.violations}'}"
        )


if __name__ == "__main__":
    sys.exit(main())
