"""One worker process: spawn it, hear that it is ready, end it."""

import asyncio
import contextlib
import logging
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from portico.engines.embedded.messages import ChildConfig, Failed, Ready, Report

# -P: a file named msgspec.py in the directory Portico was started from must not be loaded.
WORKER = (sys.executable, "-P", "-m", "portico.engines.embedded.worker")
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


class Child:
    """A worker that is ready.  `key` opens its HTTP port."""

    def __init__(self, process: asyncio.subprocess.Process, ready: Ready, key: str) -> None:
        self.host = ready.host
        self.port = ready.port
        self.pid = ready.pid
        self.key = key
        self._process = process

    async def ended(self) -> str:
        """Wait for its end, keeping its log pipe empty meanwhile; says how it ended and what it
        wrote last."""
        return await _ended(self._process)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, then make it end.  Returns when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


async def start_child(model: ModelToServe, command: tuple[str, ...] = WORKER) -> Child:
    """Spawn a worker and wait until its model is loaded.  However this ends without a Child
    (failure, cancellation), no process stays.

    Raises: StartFailed.
    """
    key = secrets.token_urlsafe(32)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(),
            # Ctrl-C in the terminal reaches Portico only, which then lets streams finish.
            start_new_session=True,
        )
    except OSError as error:
        raise StartFailed("engine", f"cannot start a process: {error}") from error
    try:
        async with asyncio.timeout(model.load_s):
            report = await _first_report(process, _config(model, key))
        if isinstance(report, Failed):
            raise StartFailed(report.reason, report.detail)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            late = f"not ready within {model.load_s:g} s"
            raise StartFailed("timeout", late) from None
        raise
    return Child(process, report, key)


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


async def _first_report(process: asyncio.subprocess.Process, config: bytes) -> Report:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(config)
    try:
        line = await process.stdout.readline()
        if line:
            report: Report = msgspec.json.decode(line, type=Report)
            return report
    except (ValueError, msgspec.DecodeError) as error:
        return Failed("engine", f"the worker spoke nonsense: {error}")
    return Failed("died", await _ended(process))


async def _ended(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    tail = b""
    while piece := await process.stderr.read(_LOG_TAIL_BYTES):
        tail = (tail + piece)[-_LOG_TAIL_BYTES:]
        for line in piece.decode(errors="replace").splitlines():
            _log.warning("embedded engine: %s", line[:_LOG_LINE_CHARS])
    code = await process.wait()
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    last = tail.decode(errors="replace").strip().splitlines()[-1:]
    return f"{how}: {last[0][:_LOG_LINE_CHARS]}" if last else how
