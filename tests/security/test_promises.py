"""What SECURITY.md names as shown by a test or a command is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOLD = (ROOT / "SECURITY.md").read_text()
FILES = sorted(set(re.findall(r"`((?:tests|bench)/[\w/]+\.\w+)", TOLD)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TOLD)))
COMMANDS = sorted(set(re.findall(r"`uv run python -m ([\w.]+)", TOLD)))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_there(name: str) -> None:
    assert (ROOT / name).is_file()


@pytest.mark.parametrize(("name", "test"), TESTS)
def test_a_test_is_there(name: str, test: str) -> None:
    tree = ast.parse((ROOT / name).read_text())
    made = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert test in made


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_is_there(module: str) -> None:
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    assert '__name__ == "__main__"' in source


def test_every_incident_is_named() -> None:
    """Those of `tests/security/test_incidents.py`; others may be elsewhere."""
    tree = ast.parse((ROOT / "tests/security/test_incidents.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "cve" in node.name:
            assert node.name in TOLD
    assert len(TESTS) > 15
    assert len(COMMANDS) > 4
