"""One server per data directory; a dead one is in nobody's way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portico.db.lock import AlreadyServing, Server, ServerLock, running_server

HOLD = """
import sys
from pathlib import Path
from portico.db.lock import ServerLock
lock = ServerLock(Path(sys.argv[1]))
lock.take()
lock.announce("http://127.0.0.1:4000")
print("held", flush=True)
sys.stdin.read()
"""


def _holder(data_dir: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_server_is_told_who_is_there_and_stops(tmp_path: Path) -> None:
    with _holder(tmp_path) as first:
        with pytest.raises(AlreadyServing) as refused:
            ServerLock(tmp_path).take()
        assert refused.value.server == Server(first.pid, "http://127.0.0.1:4000")
        assert f"process {first.pid} at http://127.0.0.1:4000" in str(refused.value)
        assert running_server(tmp_path) == refused.value.server
        first.kill()
        first.communicate()


def test_a_killed_server_is_in_nobodys_way(tmp_path: Path) -> None:
    with _holder(tmp_path) as first:
        first.kill()
        first.communicate()
    assert running_server(tmp_path) is None
    lock = ServerLock(tmp_path)
    lock.take()
    lock.announce("http://127.0.0.1:5000")
    assert running_server(tmp_path) == Server(os.getpid(), "http://127.0.0.1:5000")
    lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first, second = ServerLock(tmp_path), ServerLock(tmp_path)
    first.take()
    with pytest.raises(AlreadyServing):
        second.take()
    first.release()
    assert running_server(tmp_path) is None
    second.take()
    second.release()
