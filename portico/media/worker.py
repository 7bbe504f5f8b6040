"""The child process: decodes one file after the other until its standard input closes.

Started by `child.py` as `python -P -m portico.media.worker`.  The only process that loads Pillow
and pdfium: whatever a file does to them, it does here, with the memory and the time of one file.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from portico.media.model import Job, Kept, Paper, Refused, Reply, Start
from portico.media.papers import read
from portico.media.pictures import seen

_PR_SET_PDEATHSIG = 1
_FILES_MAX = 16
_LENGTH_BYTES = 4
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_OOM_SCORE_MAX = 1_000

_start_of = msgspec.msgpack.Decoder(Start)
_job_of = msgspec.msgpack.Decoder(Job)
_written = msgspec.msgpack.Encoder()


def main() -> int:
    into = sys.stdin.buffer
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is not a reply
    first = _frame(into)
    if first is None:
        return 0
    start = _start_of.decode(first)
    _end_with(start.parent_pid)
    _limit(start)
    _say(out, Kept())
    while (frame := _frame(into)) is not None:
        _allow(start.cpu_s)
        _say(out, _reply(frame, start.memory_bytes))
    return 0


def _say(out: BinaryIO, reply: Reply) -> None:
    said = _written.encode(reply)
    out.write(len(said).to_bytes(_LENGTH_BYTES, "big"))
    out.write(said)
    out.flush()


def _reply(frame: bytes, memory_bytes: int) -> Reply:
    job = _job_of.decode(frame)
    try:
        return read(job) if isinstance(job, Paper) else seen(job)
    except MemoryError:
        return Refused("memory", None, memory_bytes)
    except Exception as error:  # noqa: BLE001 - decoders raise whatever a hostile file leads them to
        sys.stderr.write(f"{type(error).__name__}: {error}"[:500] + "\n")
        sys.stderr.flush()
        return Refused("broken")


def _frame(into: BinaryIO) -> bytes | None:
    """None when nobody is there any more."""
    head = into.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    frame = into.read(length)
    return frame if len(frame) == length else None


def _end_with(parent_pid: int) -> None:
    """Die when the parent dies, even in the middle of a file."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(0)  # it died before we asked


def _limit(start: Start) -> None:
    """From here on: no core file (it would hold what callers sent), no file written, next to none
    opened, and so much memory beyond what is used already."""
    if os.access(_OOM_SCORE, os.W_OK):  # if memory runs out on this machine, this goes first
        _OOM_SCORE.write_text(str(_OOM_SCORE_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES_MAX, _FILES_MAX))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + start.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _allow(cpu_s: int) -> None:
    """So much processor time more; at its end the kernel ends us."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, most))


if __name__ == "__main__":
    sys.exit(main())
