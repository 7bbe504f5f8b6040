"""Every cell of the matrix with the SDKs as they were a year ago, in an environment of their own.

`older/pyproject.toml` names the day; uv installs what its lock says, as it does for the project.
"""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.matrix.asking import Door
from tests.matrix.cells import Cell, running
from tests.matrix.ways import Way

ROOT = Path(__file__).parents[2]
OLDER = Path(__file__).parent / "older"

pytestmark = [
    pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed"),
    pytest.mark.timeout(180),  # the first test of an SDK waits for all of them
]


@cache
def failures(client: str, door: Door) -> dict[tuple[str, str, str], str | None]:
    """By scenario, engine and way: how each cell of this client failed; None where it did not."""
    # Said to whoever runs the tests: that environment must not be filled with older things.
    ours = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_LOCKED", "UV_NO_SYNC"}
    done = subprocess.run(
        [
            *("uv", "run", "--quiet", "--project", OLDER, "--frozen", "--python", sys.executable),
            *("python", "-m", "tests.matrix.run", "--client", client),
            *("--origin", door.origin, "--key", door.key),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in ours},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told, done.stderr
    return {(each["scenario"], each["engine"], each["way"]): each["failure"] for each in told}


@pytest.mark.parametrize(("cell", "way"), list(running()), ids=str)
def test_200(cell: Cell, way: Way, door: Door) -> None:
    failure = failures(cell.client, door)[cell.scenario, cell.engine, way]
    assert failure is None, failure
