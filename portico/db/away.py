"""Where the database could not be asked: nobody's fault who asked, and over some time."""

import logging

from sqlalchemy.exc import InterfaceError, OperationalError

from portico import errors

AWAY = (InterfaceError, OperationalError)
"""It is gone, restarted, locked or full.  What is wrong with a statement has other classes, but for
SQLite's of a table that is not as it should be."""
_RETRY_AFTER_MS = 2_000
log = logging.getLogger(__name__)


def away(failure: InterfaceError | OperationalError, work: str) -> errors.Refusal:
    """What is answered; logged.  work: an id, of what could not be done."""
    log.error("%s: the database cannot be asked: %s", work, failure.orig)
    return errors.STORAGE_UNAVAILABLE(
        "The database cannot be asked now.", retry_after_ms=_RETRY_AFTER_MS
    )
