"""One server per data directory.

The lock is the kernel's (flock), so a killed server leaves none behind; the file only says who
holds it.  The command line reads it to find the running server.
"""

import fcntl
import os
from pathlib import Path

import msgspec

FILE_NAME = "portico.lock"


class Server(msgspec.Struct, frozen=True):
    """Who serves a data directory.  base_url: "" until the port is bound."""

    pid: int
    base_url: str


class AlreadyServing(Exception):
    """Another server has this data directory."""

    def __init__(self, data_dir: Path, server: Server | None) -> None:
        who = f"process {server.pid} at {server.base_url}" if server else "another process"
        super().__init__(
            f"{data_dir} is being served by {who}; stop it, or use another --data-dir."
        )
        self.server = server


class ServerLock:
    """Held from `take` to `release`, or to the end of the process, however that comes."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._file: int | None = None

    def take(self) -> None:
        """Raises: AlreadyServing; OSError, when the directory cannot be written."""
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self._data_dir / FILE_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise AlreadyServing(self._data_dir, _read(self._data_dir)) from None
        self._file = file
        self.announce("")

    @property
    def held(self) -> bool:
        return self._file is not None

    def announce(self, base_url: str) -> None:
        """Say where the server listens, once it does."""
        if self._file is None:
            raise RuntimeError("announce() needs a lock that was taken.")
        text = msgspec.json.encode(Server(os.getpid(), base_url))
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.ftruncate(file, 0)
            os.close(file)


def running_server(data_dir: Path) -> Server | None:
    """Who serves `data_dir` now.  Looks without touching the lock, so it can never keep a server
    from starting."""
    server = _read(data_dir)
    if server is None or not _alive(server.pid):
        return None
    return server


def _read(data_dir: Path) -> Server | None:
    try:
        return msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=Server)
    except (OSError, msgspec.DecodeError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
