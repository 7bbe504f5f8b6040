"""A server within a test's own event loop, whose connections are over when the test is.

`asyncio.start_server` alone leaves a connection open whose handler is cancelled with the loop, while
it waits for a client that is slower than the test: a warning in whatever test comes next.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handle: Handler) -> AsyncIterator[int]:
    """Gives its port, on loopback.  `handle` may leave its connection open, and may still run at
    the end: it is cancelled then."""
    running: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def live(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # the client hung up
            await handle(reader, writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running[asyncio.get_running_loop().create_task(live(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        async with server:
            yield server.sockets[0].getsockname()[1]
    finally:
        for task in running:
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
        for writer in running.values():
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
    for error in ended:
        if isinstance(error, Exception):
            raise error
