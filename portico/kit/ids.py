"""Random, typed identifiers: `req_`, 12 hexadecimal digits of time, 20 of chance.

The time comes first so that rows are appended to their indexes instead of scattered over them,
which saves most of what a commit writes (docs/design/0002-group-commit-writer.md).  Nothing is
decided by it; 80 random bits in the same millisecond are what tells two apart.
"""

import os
import time


def new_id(kind: str) -> str:
    """A fresh identifier such as `req_019aa3...`.  `kind` says what it names."""
    return f"{kind}_{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
