"""What differs between SQLite and PostgreSQL."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

Dialect = Literal["sqlite", "postgresql"]


class Unusable(Exception):
    """A database cannot be used as it is.  The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing can be written now, by anybody: not a fault of the row that met it.

    says: the cause, as the end of a sentence.
    passing: may be over in a moment, and is worth another try before anybody is refused.
    lost: the connection is of no use any more.
    """

    says: str
    passing: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Space:
    """free_bytes: of the file, to be used again.  shrinks: it can give them back beside its users."""

    file_bytes: int
    free_bytes: int
    shrinks: bool


class Backend(Protocol):
    """A database server, or a file.  Connections are in the driver's autocommit mode: transactions
    begin where `begin` says so, and nowhere else."""

    name: Dialect
    place: str
    """Where it is, for people: without any password."""
    keeps_tenants_apart: bool
    """It shows a connection only the rows of the organisation that the connection says it is for."""
    fills_own_disk: bool
    """Its data grows on the disk of the data directory."""

    @property
    def engine(self) -> Engine: ...

    def begin(self, driver: Any) -> None:
        """Start a writing transaction.  They take turns, here and in every other process."""
        ...

    def begin_snapshot(self, driver: Any) -> None:
        """Start a transaction that sees one moment, whatever is written meanwhile, and makes
        nobody wait."""
        ...

    def as_system(self, driver: Any) -> None:
        """From now on this connection sees the rows of every organisation.  One that has said
        nothing sees none."""
        ...

    def begin_for(self, driver: Any, organisation_id: str) -> None:
        """Start a transaction that sees the rows of this organisation, and no others, as they are at
        one moment."""
        ...

    def only_reads(self, connection: Connection) -> None:
        """From now on `connection` refuses to write."""
        ...

    def limit(self, driver: Any, seconds: float | None) -> None:
        """From now on no statement on this connection takes longer; None: as long as it takes."""
        ...

    def took_too_long(self, error: Exception) -> bool:
        """Was it ended for that?"""
        ...

    def prepare_writer(self, driver: Any, log_bytes: int) -> None:
        """Before the writer's first transaction on a connection.  log_bytes: see WriterLimits."""
        ...

    def finish_writer(self, driver: Any) -> None:
        """After the writer's last transaction."""
        ...

    def wipe(self, driver: Any) -> bool:
        """What was deleted is gone from the log as well, as far as that is ours.  False where
        somebody reads just now: to be tried again."""
        ...

    def space(self, driver: Any) -> Space | None:
        """None where the room is a server's own to look after."""
        ...

    def shrink(self, driver: Any) -> bool:
        """Give some of what is free back to the disk, in a step that nobody minds waiting for.
        Whether there is more."""
        ...

    def compact(self, driver: Any) -> None:
        """Write all of it anew, without what is free.  Nobody else may use it meanwhile."""
        ...

    def trouble(self, error: Exception) -> Trouble | None:
        """What stops every write, if that is what `error` (of the driver) tells of."""
        ...


def of_driver(error: Exception) -> BaseException:
    """The driver's own error, with SQLAlchemy's wrapping taken off."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig
    return error
