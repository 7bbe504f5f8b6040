"""Vectors from a server: the route, the meters, and servers that have none."""

import json

import pytest

from engines.openai_compatible.prompts import prompt_of
from engines.openai_compatible.test_probe import CHAT, PROPS, found_at, models, stream
from engines.transport.upstream import sized
from portico.canon.usage import Meters
from portico.dialects.openai_embeddings.parse import parse
from portico.engines.base import Abilities, UpstreamFailed
from portico.errors import Refusal

pytestmark = pytest.mark.anyio

JSON = b"Content-Type: application/json\r\n"
EMBEDDINGS = "/v1/embeddings"
VECTORS = {
    "data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [2.0]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
ONLY = Abilities(frozenset({"embeddings"}), 512, 4)


def to_embed(**fields):
    return parse(json.dumps({"model": "public", "input": ["a", "b"], **fields}).encode(), {})


def answering(body, seen, status=b"200 OK"):
    async def script(peer):
        seen.append(await peer.request())
        await peer.send(sized(json.dumps(body).encode(), fields=JSON, status=status))

    return script


async def pushed(engine, prompt):
    deltas = []

    async def relay(delta):
        deltas.append(delta)

    await engine.generate(prompt, relay)
    return deltas


async def test_the_request_goes_to_the_route_with_the_engines_name(bench):
    seen = []
    engine = await bench.engine(answering(VECTORS, seen))
    (delta,) = await pushed(engine, to_embed(dimensions=1))
    (request,) = seen
    assert request.line == b"POST /v1/embeddings HTTP/1.1"
    assert json.loads(request.body) == {"model": "gpt", "input": ["a", "b"], "dimensions": 1}
    assert delta.last
    assert json.loads(delta.raw) == VECTORS
    assert delta.meters == Meters(input_text=3)


@pytest.mark.parametrize("status", [b"404 Not Found", b"405 No", b"501 Not Implemented"])
async def test_a_server_without_the_route_lacks_the_feature(bench, status):
    engine = await bench.engine(answering({"error": {"message": "no"}}, [], status))
    with pytest.raises(Refusal) as found:
        await pushed(engine, to_embed())
    assert found.value.code == "unsupported_feature"
    assert "embeddings" in found.value.message


async def test_an_answer_with_too_few_vectors_is_the_servers_failure(bench):
    engine = await bench.engine(answering({**VECTORS, "data": VECTORS["data"][:1]}, []))
    with pytest.raises(UpstreamFailed):
        await pushed(engine, to_embed())


async def test_a_model_of_vectors_is_not_asked_for_words(bench):
    seen = []
    engine = await bench.engine(answering({}, seen), abilities=ONLY)
    with pytest.raises(Refusal) as found:
        await pushed(engine, prompt_of())
    assert found.value.code == "unsupported_feature"
    assert not seen


async def test_llamacpp_started_for_vectors_is_found_out(bench):
    served = {"/v1/models": models("m", owner="llamacpp"), "/props": PROPS, CHAT: stream()}
    found = await found_at(bench, served)
    assert "embeddings" not in found.abilities.features
    found = await found_at(bench, {**served, EMBEDDINGS: VECTORS})
    assert found.abilities.features >= {"embeddings", "json_schema"}


async def test_a_server_that_only_makes_vectors_is_served(bench):
    found = await found_at(bench, {"/v1/models": models("m", owner="vllm"), EMBEDDINGS: VECTORS})
    assert found.problem == ""
    assert found.abilities.features == {"embeddings"}


async def test_a_server_that_does_neither_is_not(bench):
    found = await found_at(bench, {"/v1/models": models("m", owner="vllm")})
    assert "404" in found.problem
