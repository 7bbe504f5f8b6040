"""One response while it arrives: the buffer between a socket that pushes and a caller who pulls."""

import asyncio
from typing import Protocol

from portico.engines.transport.base import Headers, TransportFailed


class Source(Protocol):
    """The connection an answer comes from."""

    def resume(self) -> None:
        """The buffer is empty again; read on if reading was paused."""
        ...

    def fail(self, failure: TransportFailed) -> None:
        """End the exchange and abort the socket."""
        ...


class NativeAnswer:
    """See `base.Answer`.  `source` is None once the exchange has ended, well or badly, so a late
    close() can never touch a connection that already serves somebody else."""

    __slots__ = (
        "_loop",
        "_waiter",
        "answered",
        "buffered_bytes",
        "complete",
        "failure",
        "headers",
        "pieces",
        "source",
        "status",
    )

    def __init__(self, source: Source, loop: asyncio.AbstractEventLoop) -> None:
        self.source: Source | None = source
        self.status = 0  # 0 until the final head is complete
        self.headers: Headers = []
        self.pieces: list[bytes] = []
        self.buffered_bytes = 0
        self.complete = False
        self.answered = False
        self.failure: TransportFailed | None = None
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait for the final head.  Raises: TransportFailed."""
        try:
            while not self.status:
                if self.failure is not None:
                    raise self.failure
                await self.woken()
        except asyncio.CancelledError:
            self.close()
            raise

    async def next(self) -> bytes:
        while not self.pieces:
            if self.failure is not None:
                raise self.failure
            if self.complete:
                return b""
            await self.woken()
        return self._take()

    async def read(self, limit_bytes: int) -> bytes:
        if self.complete and self.pieces:  # nearly every answer to a small request
            self._refuse_above(limit_bytes, self.buffered_bytes)
            return self._take()
        body = bytearray()
        while not self.complete:
            body += await self.next()
            self._refuse_above(limit_bytes, len(body))
        if self.pieces:
            self._refuse_above(limit_bytes, len(body) + self.buffered_bytes)
            body += self._take()
        return bytes(body)

    def close(self) -> None:
        if self.source is not None:
            self.source.fail(
                TransportFailed("closed", "closed on our side", answered=self.answered)
            )

    def end(self, failure: TransportFailed | None) -> None:
        """Called once by the connection: complete (None) or broken."""
        self.source = None
        self.failure = failure
        self.complete = failure is None
        self.wake()

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def woken(self) -> "asyncio.Future[None]":
        """Resolved by the next thing that happens: the head, a piece of the body, the end."""
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _take(self) -> bytes:
        pieces = self.pieces
        self.pieces = []
        self.buffered_bytes = 0
        if self.source is not None:
            self.source.resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _refuse_above(self, limit_bytes: int, size_bytes: int) -> None:
        if size_bytes > limit_bytes:
            failure = TransportFailed(
                "too_large", f"the body is larger than {limit_bytes} bytes", answered=True
            )
            if self.source is not None:
                self.source.fail(failure)
            raise failure
