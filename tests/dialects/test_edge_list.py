"""The traps that clients and servers of these dialects were seen to fall into: 29, each with a test."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
NAMED = re.compile(r"^(?:async )?def test_edge_(\d\d)_", re.MULTILINE)
MANY = 29


def test_each_has_a_test_that_bears_its_number() -> None:
    files = [path for path in TESTS.rglob("test_*.py") if ".venv" not in path.parts]
    found = {int(number) for path in files for number in NAMED.findall(path.read_text())}
    assert found == set(range(1, MANY + 1))
