import json
import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from engines.openai_compatible.prompts import Heard
from portico.canon.prompt import Prompt
from portico.engines.embedded.child import WORKER, child_environment
from portico.engines.embedded.messages import ChildConfig
from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.probe import probe
from portico.engines.openai_compatible.server import Server, server_at
from portico.engines.transport.base import Answer, Call, Deadlines
from portico.engines.transport.native import NativeTransport
from portico.kit.clock import SystemClock

DEMO = Path(__file__).parents[3] / "portico/engines/embedded/data/portico-demo-q8_0.gguf"
PARALLEL = 4
CONTEXT = 2_048


@pytest.fixture
def scripted_worker(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
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


def config(**changes: object) -> ChildConfig:
    known = {
        "model_path": str(DEMO),
        "alias": "demo",
        "api_key": secrets.token_hex(8),
        "parent_pid": os.getpid(),
        "parallel": PARALLEL,
        "context_tokens": CONTEXT * PARALLEL,
        "threads": 1,
        "share_prefix_cache": False,
        "memory_limit_bytes": None,
        "projector_path": None,
    }
    return ChildConfig(**{**known, **changes})


def real_worker(settings: ChildConfig) -> "subprocess.Popen[bytes]":
    worker = subprocess.Popen(
        WORKER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
    )
    worker.stdin.write(msgspec.json.encode(settings) + b"\n")
    worker.stdin.flush()
    return worker


@pytest.fixture(scope="session")
def llama() -> Iterator[Server]:
    """The real engine with the demo model, one for all tests that do not kill it."""
    settings = config()
    with real_worker(settings) as worker:
        ready = json.loads(worker.stdout.readline())
        assert ready["type"] == "ready", ready
        yield server_at(f"http://{ready['host']}:{ready['port']}", settings.api_key)
        worker.stdin.close()
        assert worker.wait(10) == 0


@dataclass
class Real:
    """The real engine behind the adapter, and a way around the adapter."""

    server: Server
    transport: NativeTransport
    engine: OpenAICompatible

    async def generate(self, prompt: Prompt) -> Heard:
        heard = Heard(prompt)
        await self.engine.generate(prompt, heard.relay)
        return heard

    async def ask(self, path: str, body: object = None) -> tuple[int, bytes]:
        """Not through the adapter."""
        sent = b"" if body is None else json.dumps(body).encode()
        answer = await self.send("GET" if body is None else "POST", path, sent)
        return answer.status, await answer.read(10_000_000)

    async def send(self, method: str, path: str, body: bytes = b"") -> Answer:
        server = self.server
        return await self.transport.send(
            Call(server.origin, method, path, server.headers, body, Deadlines(), reuse=False)
        )

    async def is_idle(self) -> bool:
        _, slots = await self.ask("/slots")
        return not any(slot["is_processing"] for slot in json.loads(slots))


@pytest.fixture
async def real(llama: Server) -> AsyncIterator[Real]:
    transport = NativeTransport()
    profile = await probe(transport, llama, "demo")
    yield Real(llama, transport, OpenAICompatible(llama, profile, transport, SystemClock()))
    await transport.close()
