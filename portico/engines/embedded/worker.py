"""The child process: loads one GGUF and serves it on loopback until its stdin closes.

Started by `child.py` as `python -P -m portico.engines.embedded.worker`.  The only module that
loads xllamacpp: a malformed model or media tower can abort the whole process, and this is the
process it may abort.

`--probe` loads the wheel, prints its version and ends: what `wheel.probe_wheel` runs.
"""

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from portico.engines.embedded.messages import ChildConfig, Failed, Ready, Report

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = Path("/proc/self/oom_score_adj")
# Time between comments on a silent stream: below the idle deadline of the transport, so that a
# long prompt of a neighbour, which stalls every slot, does not look like a dead engine.
_PING_S = 10
# Streams, one thread each, and room for health checks beside them.
_SPARE_HTTP_THREADS = 4


def main() -> int:
    out = _claim_stdout()
    if "--probe" in sys.argv[1:]:
        return _probe(out)
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildConfig)
    _end_with(config.parent_pid)
    _limit(config)
    try:
        server = _load(config)
    except _NotServed as failed:
        _report(out, failed.report)
        return 1
    host, _, port = server.listening_address.removeprefix("http://").rpartition(":")
    _report(out, Ready(host, int(port), os.getpid()))
    # Closed by the parent, or by the kernel when the parent is gone, however it went.
    while sys.stdin.buffer.read(4096):
        pass
    # Without the interpreter's farewell: llama.cpp's threads may be in the middle of a batch.
    os._exit(0)


class _NotServed(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.report = Failed(reason, detail)


def _claim_stdout() -> BinaryIO:
    """Keep fd 1 for our one line; whatever a C++ library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _report(out: BinaryIO, report: Report) -> None:
    out.write(msgspec.json.encode(report) + b"\n")
    out.close()


def _probe(out: BinaryIO) -> int:
    with out:
        try:
            version = _wheel().__version__
        except _NotServed as failed:
            out.write(str(failed).encode())
            return 1
        out.write(str(version).encode())
    return 0


def _end_with(parent_pid: int) -> None:
    """Die when the parent dies, even if something keeps our stdin open."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(0)  # it died before we asked


def _limit(config: ChildConfig) -> None:
    # No core files: a crash would write prompts to disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # If memory runs out on this machine, the engine goes first: it is the one restarted.
        with contextlib.suppress(OSError):
            inherited = int(_OOM_SCORE.read_text())
            _OOM_SCORE.write_text(str(min(1_000, inherited + 300)))
        if config.memory_limit_bytes is not None:
            limit = (config.memory_limit_bytes, config.memory_limit_bytes)
            resource.setrlimit(resource.RLIMIT_DATA, limit)


def _wheel() -> Any:
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        raise _NotServed("no_wheel", f"xllamacpp cannot be loaded: {error}") from error


def _load(config: ChildConfig) -> Any:
    xllamacpp = _wheel()
    for path in (config.model_path, config.projector_path):
        if path is not None:
            _check_readable(path)
    try:
        return xllamacpp.Server(_parameters(xllamacpp, config))
    except RuntimeError as error:
        raise _NotServed("bad_model", f"llama.cpp cannot load it: {error}") from error
    except (ValueError, AttributeError, MemoryError) as error:
        raise _NotServed("engine", f"{type(error).__name__}: {error}") from error


def _check_readable(path: str) -> None:
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise _NotServed("no_model", error.strerror or str(error)) from error
    if magic != b"GGUF":
        raise _NotServed("bad_model", "it is not a GGUF file")


def _parameters(xllamacpp: Any, config: ChildConfig) -> Any:
    """Every default that would open, grow or leak something is set (08 section 2, row 9)."""
    p = xllamacpp.CommonParams()
    # The model, and nothing from the network.
    p.model.path = config.model_path
    p.model_alias = {config.alias}
    p.offline = True
    if config.projector_path is not None:
        p.mmproj.path = config.projector_path
    # Who may ask: this loopback port with this key, no browser page.
    p.hostnames = ["127.0.0.1"]
    p.port = 0
    p.api_keys = [config.api_key]
    p.cors_origins = ""
    p.cors_credentials = False
    p.ui = False
    p.endpoint_metrics = True
    p.endpoint_slots = True
    p.endpoint_props = False
    p.media_path = ""
    p.slot_save_path = ""
    # Room: every slot owns its whole context.  A cache shared by all slots would let one long
    # request take the room another was promised.
    p.n_parallel = config.parallel
    p.n_ctx = config.context_tokens
    p.kv_unified = False
    p.fit_params = False
    p.cache_ram_mib = 64 if config.share_prefix_cache else 0
    p.cache_prompt = config.share_prefix_cache
    p.cache_idle_slots = config.share_prefix_cache
    # Threads
    p.cpuparams.n_threads = config.threads
    p.cpuparams_batch.n_threads = config.threads
    p.n_threads_http = config.parallel + _SPARE_HTTP_THREADS
    # Manners
    p.warmup = False
    p.verbosity = 1
    p.sse_ping_interval = _PING_S
    return p


if __name__ == "__main__":
    sys.exit(main())
