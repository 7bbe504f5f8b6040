"""The codex CLI, as its users have it: one turn that writes a file.

Not part of the quick run: the CLI comes from npm (`npm install @openai/codex`), and is found on the
path or by CODEX_CLI.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.whole.conftest import Served
from tests.whole.wire import metric

CODEX = os.environ.get("CODEX_CLI") or shutil.which("codex")
CONFIG = """
model = "sim-auto"
model_provider = "portico"

[model_providers.portico]
name = "Portico"
base_url = "{base_url}"
env_key = "PORTICO_API_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
supports_websockets = {websockets}
"""
CREATED = 'portico_requests_total{route="/v1/responses websocket"'
TASK = """Write hello to hello.txt
[[sim reasoning=12 call=exec_command args={"cmd": "printf hello > hello.txt"}]]"""


@pytest.mark.long
@pytest.mark.skipif(CODEX is None, reason="the codex CLI is not installed (npm: @openai/codex)")
@pytest.mark.parametrize("websockets", [False, True], ids=["http", "websocket"])
def test_codex_writes_a_file(served: Served, tmp_path: Path, *, websockets: bool) -> None:
    assert CODEX is not None
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    (home / "config.toml").write_text(
        CONFIG.format(base_url=served.base_url, websockets=str(websockets).lower())
    )
    created = metric(served, CREATED)
    before = served.cli("usage")["total"]["requests"]
    done = subprocess.run(
        [
            *(CODEX, "exec", "--skip-git-repo-check"),
            *("--dangerously-bypass-approvals-and-sandbox", TASK),
        ],
        cwd=project,
        env={**os.environ, "CODEX_HOME": str(home), "PORTICO_API_KEY": served.api_key},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (project / "hello.txt").read_text() == "hello"
    assert "Process exited with code 0" in done.stdout  # the model's last words: the call's result
    assert "ERROR" not in done.stderr
    assert served.cli("usage")["total"]["requests"] == before + 2  # the call, and the answer
    # Over a WebSocket it first has its instructions prepared, which runs nothing.
    assert metric(served, CREATED) - created == (3 if websockets else 0)
