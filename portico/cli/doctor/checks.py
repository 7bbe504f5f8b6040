"""Is everything on this machine that Portico needs, and how to fix what is not."""

import asyncio
import errno
import platform
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from portico.db.backends.base import Unusable
from portico.db.check import walls
from portico.db.database import connect_database
from portico.db.lock import running_server
from portico.engines.embedded.wheel import probe_wheel
from portico.settings import Settings

_FREE_BYTES_COMFORTABLE = 1_000_000_000
_BUILT = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Check:
    """One row.  `fix` says what to do when it is not ok.  figures: what `says` tells, for scripts."""

    name: str
    ok: bool
    says: str
    fix: str = ""
    figures: Mapping[str, int | None] = field(default_factory=dict)


def examine(settings: Settings) -> Iterator[Check]:
    """This machine, check by check; none of them changes anything or raises."""
    checks: tuple[Callable[[Settings], Check], ...] = (
        _python,
        _platform,
        _event_loop,
        _engine,
        _model_file,
        _data_dir,
        _database,
        _disk,
        _port,
        _clock,
    )
    for check in checks:
        yield check(settings)


def _python(_: Settings) -> Check:
    version = platform.python_version()
    return Check(
        "python",
        sys.version_info >= (3, 11),
        f"Python {version}",
        "Install Python 3.11 or newer; `uv python install 3.12` does it.",
    )


def _platform(_: Settings) -> Check:
    libc = platform.libc_ver()[0] or "libc unknown"
    known = sys.platform in ("linux", "darwin")
    return Check(
        "platform",
        known,
        f"{platform.system()} {platform.machine()}, {libc}",
        "Run Portico on Linux or macOS, or in a Debian-based container.",
    )


def _event_loop(_: Settings) -> Check:
    try:
        names = [f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools")]
    except PackageNotFoundError as error:
        return Check("server", False, f"{error.name} is not installed", "Reinstall: `uv sync`.")
    return Check("server", True, ", ".join(names))


def _engine(settings: Settings) -> Check:
    if not settings.engine.enabled:
        return Check("engine", True, "the embedded engine is switched off")
    wheel = asyncio.run(probe_wheel())
    if wheel.usable:
        return Check(
            "engine", True, f"the embedded engine can be loaded (xllamacpp {wheel.version})"
        )
    return Check("engine", False, wheel.problem, wheel.remedy)


def _model_file(settings: Settings) -> Check:
    if not settings.engine.model:
        return Check("model", True, "the demo model that comes with Portico")
    path = Path(settings.engine.model)
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        return Check("model", False, f"{path}: {error.strerror}", "Check engine.model or --model.")
    return Check(
        "model",
        magic == b"GGUF",
        f"{path}: {'a GGUF file' if magic == b'GGUF' else 'not a GGUF file'}",
        "Portico serves GGUF files; convert the model with llama.cpp's tools.",
    )


def _data_dir(settings: Settings) -> Check:
    path = Path(settings.server.data_dir)
    if not path.exists():
        return Check("data", True, f"{path} will be made at the first start")
    probe = path / ".doctor"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        fix = "Give the user that runs Portico the right to write there, or choose --data-dir."
        return Check("data", False, f"{path}: {error.strerror}", fix)
    return Check("data", True, f"{path} can be written")


def _database(settings: Settings) -> Check:
    if settings.database.url:
        return _shared_database(settings)
    path = Path(settings.server.data_dir) / "portico.db"
    if not path.exists():
        return Check("database", True, f"SQLite {sqlite3.sqlite_version}, no database yet")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Check("database", False, f"{path}: {error}", "Stop whatever holds it, or restore.")
    return Check(
        "database",
        verdict == "ok",
        f"SQLite {sqlite3.sqlite_version}, {path.name}: {verdict}",
        "Stop Portico and restore the file from a backup.",
    )


def _shared_database(settings: Settings) -> Check:
    """PostgreSQL: that it answers, and keeps tenants apart."""
    try:
        database = connect_database(Path(settings.server.data_dir), settings.database.url)
        found = walls(database)
    except (Unusable, OSError, SQLAlchemyError) as error:
        says = getattr(error, "orig", None) or error
        fix = "Check database.url, and that PostgreSQL runs and lets this user in."
        return Check("database", False, f"PostgreSQL: {says}", fix)
    return Check("database", found.ok, f"{database.place}: {found.says}", found.fix)


def _disk(settings: Settings) -> Check:
    folder = Path(settings.server.data_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    needed = max(settings.storage.free_bytes_min, _FREE_BYTES_COMFORTABLE)
    return Check(
        "disk",
        free >= needed,
        f"{free / 1e9:.1f} GB free",
        f"Free some space: below {settings.storage.free_bytes_min / 1e6:.0f} MB Portico admits no "
        "new requests.",
    )


def _port(settings: Settings) -> Check:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            server = running_server(Path(settings.server.data_dir))
            if server is not None and f":{port}/" in server.base_url:
                says = f"{host}:{port} is used by the Portico of this folder ({server.pid})"
                return Check("port", True, says)
            used = error.errno == errno.EADDRINUSE
            says = f"{host}:{port} is in use" if used else f"{host}:{port}: {error.strerror}"
            fix = "Choose another port with --port, or stop what uses this one."
            return Check("port", False, says, fix)
    return Check("port", True, f"{host}:{port} is free")


def _clock(_: Settings) -> Check:
    now = datetime.now(UTC)
    return Check(
        "clock",
        now > _BUILT,
        f"{now:%Y-%m-%d %H:%M:%S} UTC",
        "Set the clock (NTP): expiry dates and usage records depend on it.",
    )
