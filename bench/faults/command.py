"""What the drills have in common as commands."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, Protocol

from bench.faults.place import KINDS, Address, fresh

Tell = Callable[[str], None]


class Found(Protocol):
    """What came of a drill: a dataclass."""

    @property
    def holds(self) -> bool:
        """Did every law?"""
        ...


def parser(text: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--database", choices=KINDS, help="both, one after the other, if left out")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--json", action="store_true", help="one line for each database")
    return made


def drill(given: argparse.Namespace, run: Callable[[Address], Coroutine[Any, Any, Found]]) -> int:
    """The exit code: 0 only where every law held on every database."""
    held = True
    for kind in [given.database] if given.database else KINDS:
        with fresh(kind) as address:
            found = asyncio.run(run(address))
        held &= found.holds
        shown: dict[str, Any] = asdict(found) | {"holds": found.holds}  # type: ignore[call-overload]  # a protocol cannot say that it is one
        if given.json:
            print(json.dumps(shown), flush=True)
        else:
            width = max(len(name) for name in shown)
            for name, value in shown.items():
                print(f"{name:{width}s}  {value}", flush=True)
            print()
    return 0 if held else 1


def aloud(line: str) -> None:
    """Progress, apart from what was found."""
    print(line, file=sys.stderr, flush=True)
