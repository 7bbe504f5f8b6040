"""One message to an address that was checked, and its answer; then the connection is gone."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from portico.kit.egress import Place

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[str, int, ssl.SSLContext | None, str | None], Awaitable[Streams]]
"""Address, port, TLS and the name to ask it for.  Raises: OSError."""


async def connected(
    address: str, port: int, tls: ssl.SSLContext | None, name: str | None
) -> Streams:
    """Raises: OSError."""
    return await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)


async def answered(
    place: Place,
    address: str,
    message: bytes,
    read: Callable[[asyncio.StreamReader], Awaitable[T]],
    *,
    tls: ssl.SSLContext | None,
    connect: Connect = connected,
) -> T:
    """What `read` gives, of the answer.  The caller bounds the time.

    address: of the place, as it was looked at.  tls: None trusts the system's authorities.
    Raises: OSError; what `read` raises.
    """
    context = (tls or ssl.create_default_context()) if place.tls else None
    name = place.host if place.tls else None
    reader, writer = await connect(address, place.port, context, name)
    try:
        writer.write(message)
        await writer.drain()
        return await read(reader)
    finally:
        # Not in good order: TLS would wait for a goodbye, half a minute and beyond any bound of the
        # caller's, from a server that says none.
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
