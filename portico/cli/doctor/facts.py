"""What the rules of hardening are told about, gathered: files, packages, keys, doors of engines."""

import os
import socket
import stat
import sysconfig
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from portico.cli.doctor.hardening import Facts, KeyFacts, is_public
from portico.db.backends.base import Unusable
from portico.db.backends.sqlite import FILE_NAME
from portico.db.database import connect_database
from portico.db.tables import api_key
from portico.kit.clock import SystemClock
from portico.settings import SECRETS, Settings

_FILES = (".", "pepper", "receipt-keys", FILE_NAME)
_KNOWN_PATHS = ("_virtualenv.pth", "distutils-precedence.pth", "coloredlogs.pth", "a1_coverage.pth")
_KNOCK_S = 0.5


def gathered(settings: Settings, config: Path | None) -> Facts:
    """Reads and changes nothing; what cannot be read is left out."""
    return Facts(
        settings=settings,
        modes=_modes(Path(settings.server.data_dir)),
        config_mode=_config_mode(config or Path("portico.toml")),
        strange_paths=strange_paths(Path(sysconfig.get_path("purelib"))),
        exposed=_exposed(settings),
        keys=_keys(settings),
        now_ms=SystemClock().wall_ms(),
        runs_as_root=os.geteuid() == 0,
    )


def _modes(folder: Path) -> dict[str, int]:
    found = {}
    for name in _FILES:
        path = folder / name
        if path.exists():
            found[name] = stat.S_IMODE(path.stat().st_mode)
    return found


def _config_mode(path: Path) -> int | None:
    """None where the file has no secrets in it."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        return None
    return mode if any(told.get(section, {}).get(key) for section, key in SECRETS) else None


def strange_paths(packages: Path) -> tuple[str, ...]:
    """`.pth` files with a line that is run, other than those that installers are known to leave."""
    found = []
    for path in sorted(packages.glob("*.pth")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        runs = any(line.startswith(("import ", "import\t")) for line in lines)
        if runs and path.name not in _KNOWN_PATHS and not path.name.startswith("__editable__"):
            found.append(path.name)
    return tuple(found)


def _exposed(settings: Settings) -> tuple[str, ...]:
    """Engines on this machine that answer under its other addresses, too."""
    others = [address for address in _own_addresses() if is_public(address)]
    found = []
    for url in settings.upstream.urls:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not is_public(parts.hostname or "") and any(_answers(each, port) for each in others):
            found.append(url)
    return tuple(found)


def _own_addresses() -> list[str]:
    try:
        told = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(each[4][0]) for each in told})


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=_KNOCK_S).close()
    except OSError:
        return False
    return True


def _keys(settings: Settings) -> tuple[KeyFacts, ...]:
    folder = Path(settings.server.data_dir)
    if not settings.database.url and not (folder / FILE_NAME).exists():
        return ()
    columns = api_key.c
    query = select(
        columns.id,
        columns.name,
        columns.created_at_ms,
        columns.expires_at_ms,
        columns.revoked_at_ms,
        columns.last_used_at_ms,
    )

    def read(connection: Connection) -> tuple[KeyFacts, ...]:
        return tuple(KeyFacts(*row) for row in connection.execute(query))

    try:
        return connect_database(folder, settings.database.url).read(read)
    except (SQLAlchemyError, Unusable, OSError):
        return ()  # what is wrong with the database, other checks say
