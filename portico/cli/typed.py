"""The name under which this very Portico can be called again, for commands that are shown to be copied."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

_UNDER_UV_RUN = "UV_RUN_RECURSION_DEPTH"


def as_typed() -> str:
    """Such as "portico", "uv run portico" or ".venv/bin/portico"."""
    # What started us is no setting: uv says it in the environment and nowhere else.
    return call_again(sys.argv[0], os.environ, shutil.which("portico"))  # noqa: TID251


def call_again(program: str, environment: Mapping[str, str], on_path: str | None) -> str:
    """program: what runs, as Python was told.  on_path: what the word `portico` would start here.

    Under `uv run` that word works for us and not in the shell it was typed in.
    """
    path = Path(program)
    if path.suffix == ".py":
        return "python -m portico.cli.main"
    if _UNDER_UV_RUN in environment:
        return "uv run portico"
    if on_path is not None and Path(on_path).resolve() == path.resolve():
        return "portico"
    return program
