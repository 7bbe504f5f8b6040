"""One installation goes through all drills over HTTP, one after the other; then its books are read.

    uv run python -m bench.faults.survivor [--database sqlite|postgresql] [--rounds 50]
        [--disconnects 2000] [--kills 50]

First money runs out under many clients, then clients hang up, then servers are killed: see
`overspend`, `disconnects` and `process_kills` for the laws of each.  At the end all of them must hold
on the same rows, and `portico ledger audit` must find nothing.
"""

import argparse
import sys
from dataclasses import dataclass
from functools import partial

from bench.faults import disconnects, overspend, process_kills
from bench.faults.command import aloud, drill, parser
from bench.faults.place import Address


@dataclass(frozen=True)
class Survivor:
    """What it went through, and what the audit found afterwards, by invariant."""

    database: str
    admitted: int
    disconnected: int
    killed: int
    acknowledged: int
    charged: int
    held: list[bool]
    violations: dict[str, int]
    audit: dict[str, int]

    @property
    def holds(self) -> bool:
        return all(self.held) and not (self.violations or any(self.audit.values()))


async def run(
    address: Address, *, rounds: int, leaving: int, kills: int, clients: int, seed: int
) -> Survivor:
    """In an empty database.  leaving: clients that hang up."""
    servers = 3 if address.url else 1
    spent = await overspend.run(
        address, processes=servers, clients=clients, rounds=rounds, seed=seed, tell=aloud
    )
    left = await disconnects.run(
        address, processes=servers, disconnects=leaving, clients=clients, seed=seed, tell=aloud
    )
    # Last: its laws are about every row there is.
    dead = await process_kills.run([address], kills=kills, clients=8, seed=seed, tell=aloud)
    return Survivor(
        dead.database,
        spent.admitted + spent.admitted_mixed,
        left.disconnects,
        dead.kills,
        dead.acknowledged,
        dead.charged + left.charged + spent.admitted + spent.admitted_mixed,
        [spent.holds, left.holds, dead.holds],
        dead.violations,
        dead.audit,
    )


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=50)
    options.add_argument("--disconnects", type=int, default=2_000)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--clients", type=int, default=64)
    given = options.parse_args()
    return drill(given, partial(_run, given))


async def _run(given: argparse.Namespace, address: Address) -> Survivor:
    return await run(
        address,
        rounds=given.rounds,
        leaving=given.disconnects,
        kills=given.kills,
        clients=given.clients,
        seed=given.seed,
    )


if __name__ == "__main__":
    sys.exit(main())
