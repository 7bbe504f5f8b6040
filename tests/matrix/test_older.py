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
from tests.warm.commands import NOBODY

ROOT = Path(__file__).parents[2]
NAMES = ("client", "scenario", "engine", "way")
OLDER = Path(__file__).parent / "older"

pytestmark = [
    pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed"),
    pytest.mark.timeout(180),  # the first test waits for all of them
]


@cache
def failures(door: Door) -> dict[tuple[str, str, str, str], str | None]:
    """By client, scenario, engine and way: how each cell failed; None where it did not.

    One process for all of them: to load an SDK takes longer than to ask all there is to ask.
    """
    # Said to whoever runs the tests: that environment must not be filled with older things.
    ours = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_LOCKED", "UV_NO_SYNC"}
    # uv may have something to fetch; the SDKs have not.
    trusting = f"SSL_CERT_FILE={os.environ['SSL_CERT_FILE']}"
    ours |= {"SSL_CERT_FILE"} if trusting.endswith(str(NOBODY)) else set()
    done = subprocess.run(
        [
            *("uv", "run", "--quiet", "--project", OLDER, "--frozen", "--python", sys.executable),
            *("env", trusting, "python", "-m", "tests.matrix.run"),
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
    return {tuple(each[name] for name in NAMES): each["failure"] for each in told}


@pytest.mark.parametrize(("cell", "way"), list(running()), ids=str)
def test_200(cell: Cell, way: Way, door: Door) -> None:
    failure = failures(door)[cell.client, cell.scenario, cell.engine, way]
    assert failure is None, failure
