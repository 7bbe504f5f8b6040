"""LoRA adapters at a real llama-server, with one of random weights: it answers in another way."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from engines.openai_compatible.prompts import heard, prompt_of
from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.probe import try_stream
from portico.engines.openai_compatible.server import Server, server_at
from portico.engines.openai_compatible.survey import survey
from portico.engines.transport.native import NativeTransport
from portico.kit.clock import SystemClock

from .conftest import DEMO, DEMO_WIDTH
from .test_known_behaviours import text_of
from .tower import GgufFile

pytestmark = pytest.mark.anyio

_RANK, _LAYERS = 8, 4
_LLAMA_SERVER = """
import sys, xllamacpp
model, adapter, key = sys.argv[1:]
p = xllamacpp.CommonParams()
p.model.path, p.model_alias, p.api_keys = model, {"demo"}, [key]
p.hostnames, p.port, p.n_parallel, p.n_ctx, p.cpuparams.n_threads = ["127.0.0.1"], 0, 2, 2048, 1
p.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(adapter, 0.0)]
p.warmup, p.verbosity = False, 1
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def write_adapter(path: Path) -> None:
    file = GgufFile(Random(7))
    file.text("general.architecture", "llama")
    file.text("general.type", "adapter")
    file.text("adapter.type", "lora")
    file.real("adapter.lora.alpha", 16.0 * _RANK)
    for layer in range(_LAYERS):
        for name in ("attn_q", "attn_output"):
            file.random(f"blk.{layer}.{name}.weight.lora_a", DEMO_WIDTH, _RANK)
            file.random(f"blk.{layer}.{name}.weight.lora_b", _RANK, DEMO_WIDTH)
    file.write(path)


@pytest.fixture
def llama_with_adapter(tmp_path: Path) -> Iterator[Server]:
    adapter, key = tmp_path / "strange.gguf", secrets.token_hex(8)
    write_adapter(adapter)
    with subprocess.Popen(
        [sys.executable, "-c", _LLAMA_SERVER, str(DEMO), str(adapter), key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield server_at(process.stdout.readline().strip(), key)
        finally:
            process.kill()


async def test_an_adapter_is_a_model_that_answers_in_its_own_way(llama_with_adapter):
    transport = NativeTransport()
    surveyed = await survey(transport, llama_with_adapter)
    assert [model.name for model in surveyed.models] == ["demo", "demo:strange"]

    async def says(model: str) -> str:
        profile = await try_stream(transport, llama_with_adapter, surveyed, model)
        engine = OpenAICompatible(llama_with_adapter, profile, transport, SystemClock())
        asked = [{"role": "user", "content": "What is Portico?"}]
        prompt = prompt_of(stream=True, messages=asked, temperature=0, max_tokens=16)
        return text_of((await heard(engine, prompt)).written)

    base, strange = await says("demo"), await says("demo:strange")
    assert base != strange
    assert await says("demo") == base, "an adapter stays with its own model"
    await transport.close()
