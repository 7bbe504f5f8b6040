"""LoRA adapters: offered as models of their own, asked for in each server's way."""

import json

import pytest

from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.probe import try_stream
from portico.engines.openai_compatible.server import server_at
from portico.engines.openai_compatible.survey import survey
from portico.kit.clock import SystemClock

from .prompts import heard, prompt_of
from .test_probe import CHAT, PROPS, models, speaking, stream

pytestmark = pytest.mark.anyio


def with_parent(owner):
    base = {"id": "org/base", "owned_by": owner, "max_model_len": 8_192, "parent": None}
    return {"data": [base, {"id": "sql", "owned_by": owner, "parent": "org/base"}]}


LLAMACPP = {
    "/v1/models": models("base", owner="llamacpp"),
    "/props": PROPS,
    "/lora-adapters": [
        {"id": 0, "path": "/srv/lora/sql.gguf", "scale": 0.0},
        {"id": 1, "path": "C/verse.gguf", "scale": 0.7, "task_name": "x"},
        {"id": 2, "path": "/elsewhere/sql.gguf", "scale": 1.0},
    ],
    CHAT: stream(),
}


async def asked(bench, answers, model):
    """What a server is sent for a prompt to `model`, once it was surveyed."""
    upstream = await bench.upstream(speaking(answers))
    server = server_at(f"http://127.0.0.1:{upstream.origin.port}", "sk-own")
    surveyed = await survey(bench.transport, server)
    profile = await try_stream(bench.transport, server, surveyed, model)
    assert profile.problem == ""
    engine = OpenAICompatible(server, profile, bench.transport, SystemClock())
    await heard(engine, prompt_of(stream=True, lora=[{"id": 7, "scale": 9}], lora_path="/etc"))
    return profile, json.loads(bench.seen[-1].body)


async def names(bench, answers):
    upstream = await bench.upstream(speaking(answers))
    server = server_at(f"http://127.0.0.1:{upstream.origin.port}", "sk-own")
    return [found.name for found in (await survey(bench.transport, server)).models]


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
async def test_an_adapter_is_offered_upon_its_base(bench, kind):
    served = {"/v1/models": with_parent(kind)}
    assert await names(bench, served) == ["org/base", "org/base:sql"]


@pytest.mark.parametrize(("kind", "word"), [("vllm", "sql"), ("sglang", "org/base:sql")])
@pytest.mark.parametrize("model", ["org/base:sql", "sql"])
async def test_it_is_asked_for_by_its_name(bench, kind, word, model):
    served = {"/v1/models": with_parent(kind), CHAT: stream()}
    profile, body = await asked(bench, served, model)
    assert body["model"] == word
    assert profile.abilities.context_tokens == 8_192, "the room of its base"
    assert not {"lora", "lora_path"} & body.keys(), "the choice of an adapter is a model's name"


async def test_llamacpp_is_asked_for_an_adapter_by_its_number(bench):
    profile, body = await asked(bench, LLAMACPP, "base:verse")
    assert (body["model"], body["lora"]) == ("base", [{"id": 1, "scale": 0.7}])
    assert profile.abilities.context_tokens == 4_096
    tried = [seen for seen in bench.seen if CHAT.encode() in seen.line]
    assert json.loads(tried[0].body)["lora"] == [{"id": 1, "scale": 0.7}], "the probe's own"


async def test_one_that_is_left_aside_until_it_is_asked_for_counts_in_full(bench):
    _, body = await asked(bench, LLAMACPP, "base:sql")
    assert body["lora"] == [{"id": 0, "scale": 1.0}]


async def test_llamacpps_base_is_asked_for_as_the_server_was_started(bench):
    _, body = await asked(bench, LLAMACPP, "base")
    assert "lora" not in body


async def test_llamacpps_adapters_have_the_names_of_their_files(bench):
    assert await names(bench, LLAMACPP) == ["base", "base:sql", "base:verse"]


@pytest.mark.parametrize("listed", [None, {"no": "list"}, [{"id": "x"}], b"\xff"])
async def test_a_server_that_tells_of_none_serves_its_base(bench, listed):
    served = {**LLAMACPP, "/lora-adapters": listed}
    assert await names(bench, served) == ["base"]


async def test_a_parent_means_nothing_elsewhere(bench):
    served = {"/v1/models": with_parent("somebody")}
    assert await names(bench, served) == ["org/base", "sql"]
