"""One worker process: spawn it, hear that it is ready, end it."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from portico.engines.embedded.messages import ChildConfig, Failed, Ready, Report

# -P: a file named msgspec.py in the directory Portico was started from must not be loaded.
WORKER = (sys.executable, "-P", "-m", "portico.engines.embedded.worker")
_REPORT_BYTES_MAX = 65_536
_LOG_TAIL_BYTES = 4_096
_LOG_LINE_CHARS = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelToServe:
    """What the embedded engine serves and what it may use.

    alias: the name developers use.
    parallel: requests at once.  context_tokens: what they have together, split evenly, so that
      none can take the room another was promised.
    threads: see `threads.usable_cores`; 1 is fastest for the demo model.
    share_prefix_cache: lets a request reuse the prompt of an earlier one: 20 times faster to the
    first token, but time and `cached_tokens` then tell one tenant what another has sent.
    memory_limit_bytes: heap of the child, None for no limit (Linux only).
    projector: image and audio towers (mmproj), None for a text model.
    load_s: how long loading may take before it counts as failed.
    """

    path: Path
    alias: str
    parallel: int = 8
    context_tokens: int = 32_768
    threads: int = 1
    share_prefix_cache: bool = False
    memory_limit_bytes: int | None = None
    projector: Path | None = None
    load_s: float = 300.0


class StartFailed(Exception):
    """The worker did not get ready.  `reason` as in `messages.Failed`, or "timeout"/"died"."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Child(asyncio.SubprocessProtocol):
    """A worker process.  `key` opens its HTTP port once `ready` is known.

    Its log pipe is emptied as it fills, whatever anybody waits for: a worker never blocks on it.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.host = ""
        self.port = 0
        self.pid = 0
        loop = asyncio.get_running_loop()
        self.reported: asyncio.Future[Report] = loop.create_future()
        self._ended: asyncio.Future[str] = loop.create_future()
        self._transport: asyncio.SubprocessTransport | None = None
        self._report_line = b""
        self._log_tail = b""

    async def ended(self) -> str:
        """Wait until it is gone; says how it ended and what it wrote last."""
        return await asyncio.shield(self._ended)

    def configure(self, model: ModelToServe) -> None:
        """Tell it what to serve; it ends when this pipe closes, which nobody does on purpose."""
        assert self._transport is not None
        stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        stdin.write(_config(model, self.key))

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, then make it end.  Returns when it is gone."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self.ended()
        except TimeoutError:
            self.kill()
            await self.ended()

    def _signal(self, number: signal.Signals) -> None:
        if self._transport is not None and self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError):
                self._transport.send_signal(number)

    # --- asyncio calls -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._hear(data)
            return
        self._log_tail = (self._log_tail + data)[-_LOG_TAIL_BYTES:]
        for line in data[:_LOG_TAIL_BYTES].decode(errors="replace").splitlines():
            _log.debug("embedded engine: %s", line[:_LOG_LINE_CHARS])

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone and both pipes are empty."""
        how = self._how()
        if not self.reported.done():
            self.reported.set_result(Failed("died", how))
        self._ended.set_result(how)
        if self._transport is not None:
            self._transport.close()

    def _hear(self, data: bytes) -> None:
        if self.reported.done():
            return
        self._report_line += data
        line, ended, _ = self._report_line.partition(b"\n")
        if not ended and len(line) < _REPORT_BYTES_MAX:
            return
        try:
            report: Report = msgspec.json.decode(line, type=Report)
        except msgspec.DecodeError as error:
            report = Failed("engine", f"the worker spoke nonsense: {error}")
        if isinstance(report, Ready):
            self.host, self.port = report.host, report.port
        self.reported.set_result(report)

    def _how(self) -> str:
        code = self._transport.get_returncode() if self._transport is not None else None
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        last = self._log_tail.decode(errors="replace").strip().splitlines()[-1:]
        return f"{how}: {last[0][:_LOG_LINE_CHARS]}" if last else how


async def start_child(model: ModelToServe, command: tuple[str, ...] = WORKER) -> Child:
    """Spawn a worker and wait until its model is loaded.  However this ends without a Child
    (failure, cancellation), no process stays.

    Raises: StartFailed.
    """
    child = await _spawn(command)
    try:
        async with asyncio.timeout(model.load_s):
            child.configure(model)
            report = await child.reported
        if isinstance(report, Failed):
            raise StartFailed(report.reason, report.detail)
    except BaseException as error:
        child.kill()
        await child.ended()
        if isinstance(error, TimeoutError):
            late = f"not ready within {model.load_s:g} s"
            raise StartFailed("timeout", late) from None
        raise
    return child


async def _spawn(command: tuple[str, ...]) -> Child:
    key = secrets.token_urlsafe(32)
    try:
        _, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: Child(key),
            *command,
            env=child_environment(),
            # Ctrl-C in the terminal reaches Portico only, which then lets streams finish.
            start_new_session=True,
        )
    except OSError as error:
        raise StartFailed("engine", f"cannot start a process: {error}") from error
    return child


def child_environment() -> dict[str, str]:
    """All the environment a worker sees: none of ours, so no LLAMA_ARG_* variable, proxy or
    credential of the operator reaches it."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "GGML_NO_BACKTRACE": "1",  # or an abort would start gdb and wait for it
    }


def _config(model: ModelToServe, key: str) -> bytes:
    config = ChildConfig(
        model_path=str(model.path.absolute()),
        alias=model.alias,
        api_key=key,
        parent_pid=os.getpid(),
        parallel=model.parallel,
        context_tokens=model.context_tokens,
        threads=model.threads,
        share_prefix_cache=model.share_prefix_cache,
        memory_limit_bytes=model.memory_limit_bytes,
        projector_path=str(model.projector.absolute()) if model.projector else None,
    )
    return msgspec.json.encode(config) + b"\n"
