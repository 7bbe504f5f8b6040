"""What of it fits where there is little room."""

from portico.keeping.model import Kept, KeptLine

_SPOOLED_BYTES_MAX = 262_144


def spooled(kept: Kept | None) -> Kept | None:
    """As it goes to the spool while the database will not write; None where it is too large.  What
    it was made for finds then that its request has ended without it, and says so."""
    if kept is None:
        return None
    size = len(kept.answer) if isinstance(kept, KeptLine) else len(kept.input) + len(kept.body)
    return kept if size <= _SPOOLED_BYTES_MAX else None
