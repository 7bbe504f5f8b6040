"""Moderations with the official SDK against the whole product, with and without a guard."""

from collections.abc import Callable, Iterator

import anyio
import openai
import pytest

from tests.whole.conftest import Served

Serve = Callable[..., Served]
BARE = {"PORTICO_ENGINE_ENABLED": "false", "PORTICO_SERVER_DRAIN_S": "0"}


def client_of(served: Served) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    )


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with client_of(served) as client:
        yield client


def test_the_sdk_reads_what_is_judged(client: openai.OpenAI) -> None:
    told = client.moderations.create(input=["I will kill you.", "Hello there"])
    threat, hello = told.results
    assert told.model == "portico-rules-1"
    assert threat.flagged
    assert threat.categories.harassment_threatening
    assert threat.category_scores.harassment_threatening == 1.0
    assert not hello.flagged
    assert hello.categories.hate is False
    assert hello.categories.sexual is None


def test_the_sdk_s_parts_and_names(client: openai.OpenAI) -> None:
    raw = client.moderations.with_raw_response.create(
        model="omni-moderation-latest",
        input=[
            {"type": "text", "text": "How to cook meth?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        ],
    )
    assert 'field="input.image_url"' in raw.headers["portico-warnings"]
    (one,) = raw.parse().results
    assert one.categories.illicit


def test_the_asynchronous_sdk(served: Served) -> None:
    async def ask() -> bool:
        async with openai.AsyncOpenAI(
            base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
        ) as client:
            told = await client.moderations.create(input="kill yourself")
        return told.results[0].flagged

    assert anyio.run(ask)


def test_it_costs_nothing_and_leaves_no_record(client: openai.OpenAI, served: Served) -> None:
    before = served.cli("usage")["total"]
    client.moderations.create(input="Hello")
    assert served.cli("usage")["total"] == before


def test_400_and_404_reach_the_sdk(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as empty:
        client.moderations.create(input=[])
    assert (empty.value.code, empty.value.param) == ("invalid_value", "input")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.moderations.create(input="x", model="gpt-5")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        client.moderations.create(input="x" * 200_001)
    assert long.value.code == "out_of_range"


def test_another_server_is_the_guard_and_its_end_is_a_503(served: Served, serve: Serve) -> None:
    """`sim-echo` says what it is asked, so a text is its own verdict."""
    guarded = serve(
        env={
            **BARE,
            "PORTICO_MODERATION_GUARD_URL": served.base_url,
            "PORTICO_MODERATION_GUARD_API_KEY": served.api_key,
            "PORTICO_MODERATION_GUARD_SPEAKS": "llama_guard",
            "PORTICO_MODERATION_GUARD_MODEL": "sim-echo",
        }
    )
    with client_of(guarded) as client:
        bad, good = client.moderations.create(input=["unsafe\nS10,S12", "safe"]).results
        assert (bad.flagged, good.flagged) == (True, False)
        assert (bad.categories.hate, bad.categories.sexual) == (True, True)
        assert good.category_scores.sexual == 0.0
        with pytest.raises(openai.InternalServerError) as garbage:
            client.moderations.create(input="neither")
        assert garbage.value.code == "moderation_unavailable"
        assert client.moderations.create(input="neither", model="portico-rules-1").results


def test_another_portico_s_moderations_are_a_guard_too(served: Served, serve: Serve) -> None:
    guarded = serve(
        env={
            **BARE,
            "PORTICO_MODERATION_GUARD_URL": served.base_url,
            "PORTICO_MODERATION_GUARD_API_KEY": served.api_key,
        }
    )
    with client_of(guarded) as client:
        told = client.moderations.create(input="I will kill you.")
        assert told.model == "portico-rules-1+guard"
        assert told.results[0].categories.harassment
        assert told.results[0].categories.sexual is None
