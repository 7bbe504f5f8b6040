"""What an answer leaves behind that takes several requests, and ends after the last was settled."""

from sqlalchemy import Connection

from portico.db.transaction import Transaction
from portico.db.within import within
from portico.keeping import service as keeping
from portico.keeping.model import Kept
from portico.replay import service as replay
from portico.replay.model import Ended


def leave(
    organisation_id: str,
    kept: Kept | None,
    ended: Ended | None,
    now_ms: int,
    connection: Connection,
) -> None:
    """For `Writer.run`.  It may come twice."""
    with within(connection, organisation_id):
        transaction = Transaction(connection)
        if kept is not None:
            keeping.write(transaction, [kept], now_ms)
        if ended is not None:
            replay.finish(transaction, [ended], {}, now_ms)
