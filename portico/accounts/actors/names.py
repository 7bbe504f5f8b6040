"""What things may be called.  Pure."""

import re

from portico import errors

NAME_MAX = 200
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What breaks lines, steers terminals or turns text round, and what PostgreSQL or UTF-8 cannot hold."""


def check_name(name: str, field: str = "name") -> None:
    """Raises: Refusal: out_of_range, invalid_value."""
    if not 1 <= len(name) <= NAME_MAX:
        raise errors.OUT_OF_RANGE(
            f"{field!r} has {len(name)} characters; it must have 1 to {NAME_MAX}.",
            field=field,
            value=len(name),
            limit=NAME_MAX,
        )
    if (found := _UNSEEN.search(name)) is not None:
        raise errors.INVALID_VALUE(
            f"{field!r} has the character U+{ord(found[0]):04X} in it; write it without control "
            "characters.",
            field=field,
            value=f"U+{ord(found[0]):04X}",
        )
