"""Our own upstream client: asyncio.Protocol and httptools, no task and no timer per request."""

import asyncio
import ssl

from portico.engines.transport.answer import NativeAnswer
from portico.engines.transport.base import Call, Limits, Origin, TransportFailed
from portico.engines.transport.head import host_field, request_head
from portico.engines.transport.pool import Pool
from portico.engines.transport.tls import trusting

# The most one read of a socket brings.
READ_BYTES = 65_536


class NativeTransport:
    """See `base.Transport`.  Belongs to the loop that first sends on it.

    `tls` is for every https origin; None trusts the system's authorities (`tls.trusting`).
    """

    def __init__(self, limits: Limits | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._limits = limits or Limits()
        self._tls = tls
        self._scratch = memoryview(bytearray(READ_BYTES))
        self._pools: dict[Origin, tuple[bytes, Pool]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def send(self, call: Call) -> NativeAnswer:
        loop = self._loop or self._adopt_loop()
        host, pool = self._pools.get(call.origin) or self._open_pool(call.origin, loop)
        head = request_head(call, host)
        now = loop.time()
        whole_until = now + call.deadlines.total_s
        connection = pool.take()
        if connection is None:
            connection = await pool.acquire(min(now + call.deadlines.connect_s, whole_until))
        reused = connection.used
        answer = connection.start(call, head, whole_until)
        try:
            # As `head` does, without a coroutine of its own.
            while not answer.status and answer.failure is None:
                await answer.woken()
        except asyncio.CancelledError:
            answer.close()
            raise
        failed = answer.failure
        if answer.status or failed is None:
            return answer
        if failed.stage != "lost" or failed.answered or not reused:
            raise failed
        # The upstream had closed the idle connection before our request reached it.
        connect_until = min(loop.time() + call.deadlines.connect_s, whole_until)
        connection = await pool.acquire(connect_until, fresh=True)
        answer = connection.start(call, head, whole_until)
        await answer.head()
        return answer

    async def close(self) -> None:
        self._closed = True
        for _, pool in self._pools.values():
            pool.abort_all()
        for _, pool in self._pools.values():
            await pool.wait_until_empty()

    def _adopt_loop(self) -> asyncio.AbstractEventLoop:
        """Asked once: it is a system call every time."""
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _open_pool(self, origin: Origin, loop: asyncio.AbstractEventLoop) -> tuple[bytes, Pool]:
        if self._closed:
            raise TransportFailed("connect", "the transport is closed")
        host = host_field(origin)
        if origin.scheme == "https" and self._tls is None:
            self._tls = trusting()
        tls = self._tls if origin.scheme == "https" else None
        self._pools[origin] = host, Pool(origin, self._limits, tls, loop, self._scratch)
        return self._pools[origin]
