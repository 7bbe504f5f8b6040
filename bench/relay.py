"""What does Portico cost as a relay, compared with nginx in the same interleaved run?

    uv run python bench/relay.py

The figure that counts is CPU time per request (or per streamed chunk) as a ratio to nginx inside the
same round: it survives a busy machine, requests per second do not.  Method: bench/README.md.
"""

import argparse
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lab import contenders, machine, report, rules
from lab.model import BenchError, Contender, Scenario, Server, Turn, scenarios
from lab.stage import Stage, cores
from lab.tools import build
from lab.window import Lab

QUICK = ("idle", "json", "rate", "stream")
OUT = Path(__file__).parent / "out" / "relay.json"
EXAMPLES = """examples:
  uv run python bench/relay.py                                    every scenario, every server installed
  uv run python bench/relay.py --quick                            a smoke test, about 15 s
  uv run python bench/relay.py json stream --servers nginx,portico --max json=3.5 --max stream=2.5
  uv run python bench/relay.py idle rate stream --max idle.kb_per_stream=30 --max idle.base_mb=100 \\
      --max rate.added_p50_us=1000 --max rate.added_p99_us=3000 --max stream.p99_us=10000
  uv run python bench/relay.py json --servers nginx --candidate mine=http://127.0.0.1:8080/v1 \\
      --start 'mine-server --port 8080 --upstream {upstream}' --key sk-mine
"""


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/relay.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "scenario",
        nargs="*",
        help="idle json rate stream burst big (default: all; quick: the first four)",
    )
    add("--quick", action="store_true", help="one short round of nginx and Portico, fewer streams")
    add("--servers", default="", help=f"comma-separated, of {','.join(contenders.NAMES)}")
    add("--rounds", type=int, help="turns per server and scenario (default 5, quick 1)")
    add("--window-s", type=float, help="seconds measured per turn (default 2, quick 0.5)")
    add("--streams", type=int, help="streams in `stream` (default 1000, quick 100)")
    add("--idle", type=int, help="streams in `idle` (default 1000, quick 100)")
    add("--rate", type=int, default=200, help="requests/s in `rate` (default %(default)s)")
    add("--cores", default="", metavar="SERVER,UPSTREAM,LOAD", help="default: the first three")
    add("--max", action="append", default=[], metavar="SCENARIO=RATIO",
        help="exit 1 if Portico or a candidate is above this times nginx; "
        "SCENARIO.FIGURE=NUMBER limits another figure of the JSON file")  # fmt: skip
    add("--candidate", action="append", default=[], metavar="NAME=URL",
        help="another server, by its base URL on this machine")  # fmt: skip
    add("--start", action="append", default=[], metavar="COMMAND",
        help="how to start the candidate of the same place; {upstream} becomes the mock's URL")  # fmt: skip
    add("--key", default=contenders.KEY, help="API key for the candidates")
    add("--header", action="append", default=[], metavar="'NAME: VALUE'",
        help="request header for the candidates")  # fmt: skip
    add("--out", type=Path, default=OUT, help="JSON file (default bench/out/relay.json)")
    return parser.parse_args(words)


def chosen_scenarios(args: argparse.Namespace) -> list[Scenario]:
    """Raises: BenchError: there is no scenario of that name."""
    few = 100 if args.quick else 1000
    every = scenarios(
        quick=args.quick,
        window_s=args.window_s or (0.5 if args.quick else 2.0),
        streams=args.streams or few,
        idle=args.idle or few,
        rate_per_s=args.rate,
    )
    limited = [rules.limit(text).scenario for text in args.max]
    for name in (*args.scenario, *limited):
        if name not in every:
            raise BenchError(f"there is no scenario {name!r}; there are {', '.join(every)}")
    asked = args.scenario or (QUICK if args.quick else every)
    return [scenario for name, scenario in every.items() if name in asked]


def chosen_names(args: argparse.Namespace) -> list[str]:
    """nginx first, always: without it there is no ratio.

    Raises: BenchError: there is no server of that name.
    """
    default = "nginx,portico" if args.quick or args.candidate else ",".join(contenders.NAMES)
    asked = (args.servers or default).split(",")
    for name in asked:
        if name not in contenders.NAMES:
            raise BenchError(
                f"there is no server {name!r}; there are {', '.join(contenders.NAMES)}"
            )
    return [name for name in contenders.NAMES if name in asked or name == rules.REFERENCE]


def field_of(args: argparse.Namespace, ground: contenders.Ground) -> Iterator[Contender]:
    """Who runs: the tools alone, then the servers; a peer that is not installed is named."""
    yield contenders.direct(ground)
    for name in chosen_names(args):
        how = contenders.missing(name)
        if how:
            print(f"{name} is not installed and is left out. To install it: {how}")
        else:
            yield contenders.MAKERS[name](ground)
    yield from contenders.custom(args.candidate, args.start, ground, args.key, args.header)


def interleaved(lab: Lab, servers: list[Server], scenario: Scenario, rounds: int) -> Iterator[Turn]:
    """Every round gives each server one turn, starting with another one each time."""
    for number in range(rounds):
        shift = number % len(servers)
        for server in (*servers[shift:], *servers[:shift]):
            lab.settle(servers)
            yield lab.turn(server, scenario, number)


def warm_up(lab: Lab, servers: list[Server], seconds: float) -> None:
    """Thrown away: interpreters and compilers get faster over their first seconds."""
    warm = scenarios(quick=True, window_s=seconds, streams=20, idle=1)
    for server in servers:
        for name in ("json", "stream"):
            lab.turn(server, replace(warm[name], name=f"warm-{name}", connections=16), 0)


def measure(args: argparse.Namespace, folder: Path) -> tuple[list[Turn], list[Server]]:
    tools = build()
    chosen = chosen_scenarios(args)
    rounds = args.rounds or (1 if args.quick else 5)
    turns: list[Turn] = []
    with Stage(folder, cores(args.cores)) as stage:
        if not stage.cores.spread:
            print("server, upstream and load share cores: the figures mean little")
        ground = contenders.Ground(folder, stage.upstream(tools))
        lab = Lab(tools, stage.cores, folder)
        servers = [stage.start(contender) for contender in field_of(args, ground)]
        warm_up(lab, servers, 0.3 if args.quick else 1.5)
        for scenario in chosen:
            print(f"{scenario.name} ...", flush=True)
            repeats = 1 if scenario.name == "idle" else rounds
            turns += interleaved(lab, servers, scenario, repeats)
    return turns, servers


def run(args: argparse.Namespace) -> int:
    limits = [rules.limit(text) for text in args.max]
    place = machine.facts(cores(args.cores), ["bench/relay.py", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="portico-bench-") as folder:
        turns, servers = measure(args, Path(folder))
    place["load_average_after"] = machine.load_average()
    rows = rules.rows(turns)
    report.save(args.out, place, rows, turns)
    print(report.table(rows, turns))
    judged = [server.name for server in servers if server.judged]
    peers = [server.name for server in servers if server.name in contenders.HOW_TO_INSTALL]
    print()
    for peer in peers:
        for than in judged:
            print(report.dearer_lines(peer, than, rules.times_dearer(turns, peer, than)))
    print(f"{place['cpu']}, {place['cores']} cores, load {place['load_average_before']} before and "
          f"{place['load_average_after']} after; every turn is in {args.out}")  # fmt: skip
    failures = rules.broken(limits, rows, judged)
    for sentence in failures:
        print(f"FAIL {sentence}", file=sys.stderr)
    return 1 if failures else 0


def main() -> int:
    """Exit codes: 0 within the limits, 1 above one, 2 it could not be measured."""
    args = arguments(sys.argv[1:])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(args)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
