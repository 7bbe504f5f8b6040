import json
import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
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

from .tower import write_tower

DEMO = Path(__file__).parents[3] / "portico/engines/embedded/data/portico-demo-q8_0.gguf"
PARALLEL = 4
CONTEXT = 2_048
DEMO_WIDTH = 192


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


@contextmanager
def serving(settings: ChildConfig) -> Iterator[Server]:
    with real_worker(settings) as worker:
        ready = json.loads(worker.stdout.readline())
        assert ready["type"] == "ready", ready
        yield server_at(f"http://{ready['host']}:{ready['port']}", settings.api_key)
        worker.stdin.close()
        assert worker.wait(10) == 0


@pytest.fixture(scope="session")
def llama() -> Iterator[Server]:
    """The real engine with the demo model, one for all tests that do not kill it."""
    with serving(config()) as server:
        yield server


@pytest.fixture(scope="module")
def seeing_llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same beside a tower of random weights, which takes pictures and sound."""
    tower = tmp_path_factory.mktemp("tower") / "tower.gguf"
    write_tower(tower, DEMO_WIDTH)
    with serving(config(alias="portico-test-mm", projector_path=str(tower))) as server:
        yield server


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
    async with behind_the_adapter(llama, "demo") as real:
        yield real


@pytest.fixture
async def seeing(seeing_llama: Server) -> AsyncIterator[Real]:
    async with behind_the_adapter(seeing_llama, "portico-test-mm") as real:
        yield real


@asynccontextmanager
async def behind_the_adapter(server: Server, model: str) -> AsyncIterator[Real]:
    transport = NativeTransport()
    profile = await probe(transport, server, model)
    yield Real(server, transport, OpenAICompatible(server, profile, transport, SystemClock()))
    await transport.close()
