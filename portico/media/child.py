"""One decoder, as the server sees it: spawned, asked one thing at a time, ended."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from math import ceil
from typing import cast

import msgspec

from portico.media.model import Job, Limits, Reply, Start

# -P: a file named msgspec.py in the directory Portico was started from must not be loaded.
WORKER = (sys.executable, "-P", "-m", "portico.media.worker")
_REPLY_BYTES_MAX = 134_217_728
_LENGTH_BYTES = 4
_LOG_CHARACTERS = 500
_START_S = 30.0
_log = logging.getLogger(__name__)
_written = msgspec.msgpack.Encoder()
_reply_of: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


class Gone(Exception):
    """It ended without an answer, or gave one that is none."""


class Child(asyncio.SubprocessProtocol):
    """A decoder process.  It is not trusted: it looks at what strangers send."""

    def __init__(self) -> None:
        self.pid = 0
        self.asked = 0
        """Files it was given so far."""
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._reply: asyncio.Future[bytes] | None = None
        self._pieces: list[bytes] = []
        self._received_bytes = 0
        self._transport: asyncio.SubprocessTransport | None = None

    @property
    def alive(self) -> bool:
        return not self._ended.done()

    async def ended(self) -> None:
        """Wait until the process is gone."""
        await asyncio.shield(self._ended)

    def when_ended(self, tell: Callable[[], None]) -> None:
        self._ended.add_done_callback(lambda _: tell())

    async def begin(self, start: Start) -> None:
        """Returns when it is ready.  Raises: Gone."""
        await self._said_to(start)

    async def ask(self, job: Job) -> Reply:
        """Raises: Gone.  If cancelled, it must be killed: it is still at work."""
        self.asked += 1
        return await self._said_to(job)

    def kill(self) -> None:
        if self._transport is not None and self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError):
                self._transport.send_signal(signal.SIGKILL)

    async def _said_to(self, what: Start | Job) -> Reply:
        if not self.alive:
            raise Gone
        self._pieces, self._received_bytes = [], 0
        self._reply = asyncio.get_running_loop().create_future()
        self._write(what)
        said = await self._reply
        try:
            return _reply_of.decode(said)
        except msgspec.DecodeError as error:
            raise Gone from error

    def _write(self, what: Start | Job) -> None:
        assert self._transport is not None
        said = _written.encode(what)
        into = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        into.write(len(said).to_bytes(_LENGTH_BYTES, "big"))
        into.write(said)

    # --- asyncio calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._hear(data)
            return
        for line in data.decode(errors="replace").splitlines():
            _log.debug("decoder %d: %s", self.pid, line[:_LOG_CHARACTERS])

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone and its pipes are empty."""
        self._ended.set_result(None)
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(Gone())
        if self._transport is not None:
            self._transport.close()

    def _hear(self, data: bytes) -> None:
        if self._reply is None or self._reply.done():
            return  # it was not asked
        self._pieces.append(data)
        self._received_bytes += len(data)
        if self._received_bytes < _LENGTH_BYTES:
            return
        if len(self._pieces[0]) < _LENGTH_BYTES:
            self._pieces = [b"".join(self._pieces)]
        length = int.from_bytes(self._pieces[0][:_LENGTH_BYTES], "big")
        if length > _REPLY_BYTES_MAX:
            self.kill()
        elif self._received_bytes >= _LENGTH_BYTES + length:
            self._reply.set_result(b"".join(self._pieces)[_LENGTH_BYTES:])


async def start_child(limits: Limits, command: tuple[str, ...] = WORKER) -> Child:
    """Spawn a decoder and wait until it is ready: no file's time goes by for that.  However this
    ends without a Child, no process stays.

    Raises: OSError: no process can be started, or not in time.
    """
    _, child = await asyncio.get_running_loop().subprocess_exec(
        Child,
        *command,
        # None of ours: no credential of the operator is where strangers' files are read.
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        # Ctrl-C in the terminal reaches Portico only, which then lets streams finish.
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_START_S):
            await child.begin(Start(os.getpid(), limits.memory_bytes, ceil(limits.timeout_s)))
    except BaseException as error:
        child.kill()
        await child.ended()
        if isinstance(error, Gone):
            raise OSError("the decoder did not get ready") from error
        raise
    return child
