"""Random, typed identifiers: `req_`, 12 hexadecimal digits of time, 20 of chance.

The time comes first so that rows are appended to their indexes instead of scattered over them,
which saves most of what a commit writes (docs/design/0002-group-commit-writer.md).  Nothing is
decided by it; 80 random bits in the same millisecond are what tells two apart.
"""

import os
import time

_CHANCE_BYTES = 10
_DRAWN_AT_ONCE = 128

# Drawn ahead: asking the system is a call that gives up the interpreter, with every request.
_chances: list[str] = []
os.register_at_fork(after_in_child=_chances.clear)


def new_id(kind: str) -> str:
    """A fresh identifier such as `req_019aa3...`.  `kind` says what it names."""
    try:
        chance = _chances.pop()
    except IndexError:
        chance = _draw()
    return f"{kind}_{time.time_ns() // 1_000_000:012x}{chance}"


def _draw() -> str:
    """One for now, the others kept."""
    drawn = os.urandom(_CHANCE_BYTES * _DRAWN_AT_ONCE).hex()
    width = 2 * _CHANCE_BYTES
    first, *others = (drawn[at : at + width] for at in range(0, len(drawn), width))
    _chances.extend(others)
    return first
