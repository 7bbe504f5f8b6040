"""A process that holds, extends and settles is killed at random points, again and again.

    uv run python -m bench.faults.kills [--json] [--kills 1000] [--database sqlite|postgresql]

It says what was acknowledged to it, after the commit; whatever it said must be there afterwards,
once; what it had not said is there as a whole or not at all.
"""

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from bench.faults.audit import violations
from bench.faults.place import KINDS, PROCESSES, Address, Place, fresh
from bench.faults.races import NOW_MS, bill, prepare
from portico.ledger import service
from portico.ledger.model import Held, Settlement, Wish

_FUNDS = 10**12
_BATCH = 8


@dataclass
class Told:
    """What one process said before it was killed, in order."""

    held: set[str] = field(default_factory=set)
    raised: dict[str, int] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    voided: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Kills:
    """kills: processes killed while they worked.  lost: acknowledged, and not there as they were
    acknowledged.  twice: charged more than once.  open_holds: left behind by the killed ones, of
    which wrongly_open were acknowledged as ended."""

    database: str
    kills: int
    acknowledged: int
    lost: int
    twice: int
    open_holds: int
    wrongly_open: int
    integrity: str
    wall_s: float
    violations: dict[str, int]

    @property
    def whole(self) -> bool:
        wrong = self.lost + self.twice + self.wrongly_open
        return wrong == 0 and self.integrity == "ok" and not self.violations


def run(address: Address, kills: int, seed: int) -> Kills:
    """Kill that many processes, one after the other, on one database that was empty."""
    PROCESSES.set_forkserver_preload(["__main__", __name__])
    chance = random.Random(seed)
    started_s = time.perf_counter()
    place = Place(address)
    prepare(place, _FUNDS)
    told = Told()
    for life in range(kills):
        # So many answers are waited for, then a part of a step: every point is met in time.
        _live_and_die(address, life, chance.randint(1, 12), chance.uniform(0, 0.004), told)
    found = _look(place, kills, told, started_s)
    place.close()
    return found


def _live_and_die(address: Address, life: int, lines: int, more_s: float, told: Told) -> None:
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_work, args=(address, life, theirs))
    process.start()
    theirs.close()
    for _ in range(lines):
        _hear(ours.recv(), told)
    time.sleep(more_s)
    process.kill()
    with suppress(EOFError, OSError):  # the end, or half a line: that was never said
        while True:
            _hear(ours.recv(), told)
    process.join()
    if process.exitcode != -signal.SIGKILL:
        raise RuntimeError(f"A process ended by itself: {process.exitcode}.")


def _hear(said: tuple[str, Sequence[Any]], told: Told) -> None:
    verb, items = said
    if verb == "hold":
        told.held.update(items)
    elif verb == "extend":
        told.raised.update(items)
    else:
        for request_id, net_nano in items:
            if net_nano is None:
                told.voided.add(request_id)
            else:
                told.settled[request_id] = net_nano


def _look(place: Place, kills: int, told: Told, started_s: float) -> Kills:
    kind = place.address.kind
    holds = {row[0]: row[1:] for row in place.rows("SELECT id, state, amount_nano FROM hold")}
    charges = place.rows("SELECT id, net_nano FROM charge")
    charged = dict(charges)
    ended = told.settled.keys() | told.voided
    opened = {name for name, (state, _) in holds.items() if state == "open"}
    lost = len(told.held - holds.keys())
    lost += sum(holds[name][1] < nano for name, nano in told.raised.items() if name in holds)
    lost += sum(charged.get(name) != nano for name, nano in told.settled.items())
    lost += sum(holds[name][0] != "void" for name in told.voided if name in holds)
    integrity = place.rows("PRAGMA integrity_check")[0][0] if kind == "sqlite" else "ok"
    return Kills(
        kind,
        kills,
        len(told.held) + len(told.raised) + len(ended),
        lost,
        len(charges) - len(charged),
        len(opened),
        len(opened & ended),
        str(integrity),
        round(time.perf_counter() - started_s, 1),
        {law: count for law, count in place.run(violations).items() if count},
    )


def _work(address: Address, life: int, said: Any) -> None:
    """Hold, extend and settle until killed; say what was committed."""
    place = Place(address)
    chance = random.Random(life)
    turn = 0
    while True:
        turn += 1
        names = [f"r{life}:{turn}:{n}" for n in range(_BATCH)]
        wishes = [Wish(name, "a", chance.randint(10, 20), (), "{}", 60_000) for name in names]
        answers = place.run(partial(service.hold, wishes=wishes, now_ms=NOW_MS, owner=f"i{life}"))
        said.send(("hold", [each.request_id for each in answers if isinstance(each, Held)]))
        more = [Wish(name, "a", chance.randint(21, 40), (), "{}", 60_000) for name in names[::2]]
        place.run(partial(service.extend, wishes=more, now_ms=NOW_MS))
        said.send(("extend", [(each.request_id, each.amount_nano) for each in more]))
        nets = {name: chance.choice([None, 0, chance.randint(1, 10)]) for name in names}
        ends = [
            Settlement(
                name, "void" if net is None else "settled", None if net is None else bill(net)
            )
            for name, net in nets.items()
        ]
        place.run(partial(service.settle, settlements=ends, now_ms=NOW_MS))
        said.send(("settle", list(nets.items())))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--kills", type=int, default=1000, help="on each database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=KINDS)
    given = parser.parse_args()
    kinds = [given.database] if given.database else KINDS
    found = []
    for kind in kinds:
        with fresh(kind) as address:
            found.append(run(address, given.kills, given.seed))
    if given.json:
        print(json.dumps([asdict(each) | {"whole": each.whole} for each in found]))
    else:
        print("database    kills  acknowledged  lost  twice  open  wrongly open  integrity      s")
        for each in found:
            print(
                f"{each.database:10s} {each.kills:6d} {each.acknowledged:13d} {each.lost:5d} "
                f"{each.twice:6d} {each.open_holds:5d} {each.wrongly_open:13d}  "
                f"{each.integrity:9s} {each.wall_s:6.1f}  {each.violations or ''}"
            )
    return 0 if all(each.whole for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
