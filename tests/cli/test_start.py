"""A command loads what it needs; the whole server only for `serve`."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import App

from portico.cli.main import COMMANDS
from portico.db.database import open_database

_REPORT = """
import atexit, sys
atexit.register(lambda: print("loaded:", *sorted(sys.modules)))
sys.argv[1:] = {words!r}
from portico.cli.main import main
main()
"""
_HEAVY = {
    "aiohttp",
    "httptools",
    "portico.app",
    "portico.door",
    "portico.engines",
    "portico.journey",
    "prometheus_client",
    "sqlalchemy.dialects.postgresql",
    "structlog",
    "uvicorn",
    "uvloop",
    "xllamacpp",
}


def loaded_by(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _REPORT.format(words=list(words))],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    *_, last = done.stdout.splitlines()
    assert last.startswith("loaded:")
    return set(last.split()[1:])


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("key", "list"),
        ("usage",),
        ("terms", "show"),
        ("price", "list"),
        ("db", "check"),
    ],
    ids=" ".join,
)
def test_the_server_is_not_loaded(words: tuple[str, ...], tmp_path: Path) -> None:
    open_database(tmp_path)
    beside = () if "--help" in words else ("--data-dir", str(tmp_path))
    assert loaded_by(*words, *beside) & _HEAVY == set()


def test_help_loads_no_database_and_does_not_ask_for_the_version() -> None:
    assert {"sqlalchemy", "importlib.metadata"} & loaded_by("--help") == set()


def test_what_would_be_seen_is_seen() -> None:
    """The same question about `serve`, so that the ones above can fail."""
    assert {"portico.app", "uvicorn"} <= loaded_by("serve", "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shown_is_the_commands_own(name: str) -> None:
    place, says = COMMANDS[name]
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    assert says == (found.help if isinstance(found, App) else inspect.getdoc(found))
