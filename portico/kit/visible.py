"""What of a text cannot be seen, or makes what stands beside it look different.  Pure."""

import re

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What breaks lines, steers terminals or turns text round, and what PostgreSQL or UTF-8 cannot hold."""


def unseen(text: str) -> str:
    """The first such character, as U+001B; "" where there is none."""
    found = _UNSEEN.search(text)
    return "" if found is None else f"U+{ord(found[0]):04X}"
