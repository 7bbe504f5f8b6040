"""Embeddings with the official SDK against the whole product, and the usage they leave."""

import json
import urllib.request
from collections.abc import Iterator

import openai
import pytest

from tests.whole.conftest import Served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        yield client


def test_edge_20_the_sdk_gets_whole_vectors_whatever_it_asks_for(
    client: openai.OpenAI, served: Served
) -> None:
    """The SDK asks for base64 when nothing is said, and decodes it itself."""
    texts = ["The front door", "to a model"]
    before = served.cli("usage")["total"]
    silent = client.embeddings.create(model="sim-embed", input=texts)
    floats = client.embeddings.create(model="sim-embed", input=texts, encoding_format="float")
    after = served.cli("usage")["total"]
    assert [len(item.embedding) for item in silent.data] == [64, 64]
    assert [item.embedding for item in silent.data] == [item.embedding for item in floats.data]
    assert silent.usage.prompt_tokens == silent.usage.total_tokens > 0
    assert after["requests"] - before["requests"] == 2
    assert after["input_tokens"] - before["input_tokens"] == 2 * silent.usage.prompt_tokens
    assert after["output_tokens"] == before["output_tokens"]


def test_what_goes_over_the_wire_is_base64_when_asked_for(served: Served) -> None:
    body = {"model": "sim-embed", "input": "x", "encoding_format": "base64", "dimensions": 3}
    asked = urllib.request.Request(
        f"{served.base_url}/embeddings",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {served.api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        told = json.loads(answer.read())
    (item,) = told["data"]
    assert len(item["embedding"]) == 16
    assert told["model"] == "sim-embed"


def test_models_that_make_no_vectors_say_so(client: openai.OpenAI) -> None:
    for model in ("portico-demo", "sim-auto"):
        with pytest.raises(openai.BadRequestError) as found:
            client.embeddings.create(model=model, input="x")
        assert found.value.code == "unsupported_feature"
        assert "embeddings" in str(found.value)


def test_a_model_of_vectors_says_no_words(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as found:
        client.chat.completions.create(
            model="sim-embed", messages=[{"role": "user", "content": "Hi"}]
        )
    assert found.value.code == "unsupported_feature"
