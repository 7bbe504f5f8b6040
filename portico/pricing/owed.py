"""Which ways of ending are paid for.  The table customers read is docs/concepts/who-pays.md."""

PAID = frozenset(
    {
        "completed",
        "client_gone",  # what was generated until the engine stopped
        "revoked",  # the same
        "out_of_funds",  # the windows that were set aside
        "off_schema",  # it was generated, and of a stream it was read
        "killed",  # what the last checkpoint had counted; the rest is the operator's loss
    }
)
"""Every other ending is free: refused, failed, broken off by us."""
