"""The import contracts hold, and each of them catches a violation planted in a copy."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = {
    "1. a request flows down": ("kit/planted.py", "import portico.admission.rules\n"),
    "1. (a new room is declared)": ("cellar/__init__.py", '"""A room nobody declared."""\n'),
    "2. hot never imports cold": ("routing/planted.py", "import jinja2\n"),
    "3. rules decide, they do no I/O": ("dialects/planted.py", "import asyncio\n"),
    "4. a room's store is its own": (
        "door/planted.py",
        "def f() -> None:\n    import portico.metering.store\n",
    ),
    "4. (the store of a room inside billing)": (
        "billing/planted.py",
        "from portico.billing.invoices import store\n\nread = store.by_name\n",
    ),
    "4. (one room inside billing in another's)": (
        "billing/plans/planted.py",
        "import portico.billing.alerts.store\n",
    ),
    "5. settings arrive by constructor": (
        "routing/planted.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import portico.settings\n",
    ),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(cache_dir=None))"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_contracts_hold() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_violation_is_caught(contract: str, tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "portico",
        tmp_path / "portico",
        ignore=shutil.ignore_patterns("*.gguf", "__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    name, source = PLANTED[contract]
    planted = tmp_path / "portico" / name
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(source)
    done = lint(tmp_path)
    assert done.returncode != 0, f"not caught: {name}"
