import sys
import textwrap
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "portico/engines/embedded/data/portico-demo-q8_0.gguf"


@pytest.fixture
def scripted_worker(tmp_path):
    """Gives command lines for workers that speak the protocol but hold no model."""

    def make(after_config: str) -> tuple[str, ...]:
        script = tmp_path / "worker.py"
        script.write_text(
            "import json, os, signal, sys, time\n"
            "config = json.loads(sys.stdin.readline())\n"
            "def ready(port=1):\n"
            "    print(json.dumps({'type': 'ready', 'host': '127.0.0.1', 'port': port,"
            " 'pid': os.getpid()}), flush=True)\n" + textwrap.dedent(after_config)
        )
        return (sys.executable, str(script))

    return make
