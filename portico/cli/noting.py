"""What a command changes stands in the audit log, in the transaction of the change."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from portico.accounts.actors.model import operator
from portico.audit.model import Details
from portico.db.database import Database
from portico.kit.clock import SystemClock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """organisation_id: whose chain it stands in; "" for the installation's."""

    organisation_id: str
    action: str
    target: str
    after: Details | None = None
    before: Details | None = None


def noted(
    database: Database, change: Callable[[Connection], T], line: Callable[[T], Line | None]
) -> T:
    """Do `change`.  line: what it came to, as the log says it; None where nothing was changed."""

    def act(connection: Connection) -> T:
        done = change(connection)
        told = line(done)
        if told is not None:
            operator(connection, SystemClock()).note(
                told.organisation_id, told.action, told.target, told.before, told.after
            )
        return done

    return database.write(act)


def noted_after(database: Database, line: Line) -> None:
    """Of what somebody else's server has done, between two transactions."""
    noted(database, lambda _: line, lambda told: told)
