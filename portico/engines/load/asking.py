"""Ask a server for its load."""

from portico.engines.load.model import Load
from portico.engines.load.page import load_on
from portico.engines.openai_compatible.server import Kind, Server
from portico.engines.transport.base import Call, Deadlines, Transport, TransportFailed

_PAGE_BYTES_MAX = 1_048_576
_DEADLINES = Deadlines(connect_s=2.0, first_byte_s=3.0, idle_s=2.0, total_s=5.0)
_SHOWS_NONE = frozenset({403, 404, 405, 501})


class NotTold(Exception):
    """Says why there is no load to know, for the operator."""


async def ask_load(transport: Transport, server: Server, kind: Kind) -> Load:
    """At most 5 s and 1 MiB.  Raises: NotTold."""
    call = Call(
        server.origin,
        "GET",
        f"{server.base_path}/metrics",
        server.headers,
        b"",
        _DEADLINES,
        reuse=False,
    )
    try:
        answer = await transport.send(call)
        try:
            page = await answer.read(_PAGE_BYTES_MAX)
        finally:
            answer.close()
    except TransportFailed as failed:
        raise NotTold(f"its metrics cannot be read: {failed.detail}") from failed
    if answer.status in _SHOWS_NONE:
        raise NotTold(f"it shows no metrics (status {answer.status})")
    if answer.status != 200:
        raise NotTold(f"its metrics answer with status {answer.status}")
    load = load_on(page, kind)
    if not load.known:
        raise NotTold("its metrics have none of the figures of its kind")
    return load
