"""What is kept, for those it belongs to."""

import msgspec
from sqlalchemy import Connection

from portico import errors
from portico.callers.model import Caller
from portico.db.readers import Readers
from portico.resources.responses import store
from portico.resources.responses.model import Response


class _Named(msgspec.Struct):
    id: str


_named = msgspec.json.Decoder(_Named)


def id_in(body: bytes) -> str:
    """Of a response object."""
    return _named.decode(body).id


def one(connection: Connection, caller: Caller, response_id: str, now_ms: int) -> Response | None:
    """None where there is none in the caller's project, or its time is over."""
    found = store.one(connection, caller.project_id, response_id)
    if found is None or (found.expires_at_ms is not None and found.expires_at_ms <= now_ms):
        return None
    return found


async def find(readers: Readers, caller: Caller, response_id: str, now_ms: int) -> Response:
    """Raises: Refusal: resource_not_found."""
    found = await readers.run(
        lambda connection: one(connection, caller, response_id, now_ms),
        tenant=caller.organisation_id,
    )
    if found is None:
        raise errors.RESOURCE_NOT_FOUND(
            f"There is no response {response_id[:100]!r} here.", field="id", value=response_id[:100]
        )
    return found
