"""The official SDK against the whole product, and the usage it leaves, token by token."""

import asyncio
import json
from collections.abc import Iterator

import openai
import pytest

from tests.whole.conftest import Served

DEMO = "portico-demo"

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PERSON = {
    "name": "person",
    "schema": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    },
}


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        yield client


def total(served: Served) -> tuple[int, int, int]:
    """Requests, input tokens and output tokens so far."""
    totals = served.cli("usage")["total"]
    return totals["requests"], totals["input_tokens"], totals["output_tokens"]


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
def test_chat(client: openai.OpenAI, served: Served, model: str) -> None:
    before = total(served)
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "What is Portico?"}], max_tokens=60
    )
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None
    after = total(served)
    assert (after[0] - before[0]) == 1
    assert (after[1] - before[1]) == answer.usage.prompt_tokens
    assert (after[2] - before[2]) == answer.usage.completion_tokens


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
@pytest.mark.parametrize("asked", [True, False])
def test_stream(client: openai.OpenAI, served: Served, model: str, asked: bool) -> None:
    before = total(served)
    options: dict[str, object] = {"stream_options": {"include_usage": True}} if asked else {}
    text, usage, chunks = "", None, 0
    with client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Tell me a short story."}],
        max_tokens=40,
        stream=True,
        **options,  # type: ignore[arg-type]
    ) as stream:
        for chunk in stream:
            chunks += 1
            usage = chunk.usage or usage
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
    assert text
    assert chunks > 2
    assert (usage is not None) is asked
    after = total(served)
    assert after[0] - before[0] == 1
    if usage is not None:
        assert (after[1] - before[1], after[2] - before[2]) == (
            usage.prompt_tokens,
            usage.completion_tokens,
        )


@pytest.mark.parametrize("model", [DEMO, "sim-auto"])
def test_a_forced_tool(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "What is the weather in Lisbon?"}],
        tools=[WEATHER],  # type: ignore[list-item]
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        max_tokens=80,
        temperature=0,
    )
    (call,) = answer.choices[0].message.tool_calls or ()
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)


def test_a_streamed_tool_call(client: openai.OpenAI) -> None:
    name, arguments, reasons = "", "", []
    with client.chat.completions.create(
        model=DEMO,
        messages=[{"role": "user", "content": "What is the weather in Lisbon?"}],
        tools=[WEATHER],  # type: ignore[list-item]
        tool_choice="required",
        temperature=0,
        max_tokens=80,
        stream=True,
    ) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                if choice.finish_reason:
                    reasons.append(choice.finish_reason)
                for call in choice.delta.tool_calls or ():
                    assert call.function is not None
                    name += call.function.name or ""
                    arguments += call.function.arguments or ""
    assert (name, reasons) == ("get_weather", ["tool_calls"])
    assert "city" in json.loads(arguments)


@pytest.mark.parametrize("model", [DEMO, "sim-json"])
def test_json_by_schema(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Extract as JSON: Ada is 36 years old."}],
        response_format={"type": "json_schema", "json_schema": PERSON},  # type: ignore[typeddict-item]
        max_tokens=100,
        temperature=0,
    )
    assert answer.choices[0].finish_reason == "stop"
    person = json.loads(answer.choices[0].message.content or "")
    assert set(person) == {"name", "age"}
    assert 0 <= person["age"] <= 150


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
def test_logprobs(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Hello"}],
        logprobs=True,
        top_logprobs=3,
        max_tokens=5,
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 3 for entry in logprobs.content)


@pytest.mark.parametrize("model", [DEMO, "sim-lorem"])
def test_two_choices(client: openai.OpenAI, served: Served, model: str) -> None:
    before = total(served)
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}], n=2, max_tokens=10
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage is not None
    assert total(served)[2] - before[2] == answer.usage.completion_tokens


def test_stop_and_cap(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="sim-echo", messages=[{"role": "user", "content": "one two three"}], stop=" three"
    )
    assert answer.choices[0].message.content == "one two"
    capped = client.chat.completions.create(
        model=DEMO, messages=[{"role": "user", "content": "Tell me a long story."}], max_tokens=3
    )
    assert capped.choices[0].finish_reason == "length"
    assert capped.usage is not None
    assert capped.usage.completion_tokens == 3


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {DEMO, "sim-echo", "sim-auto"} <= set(names)
    assert client.models.retrieve(DEMO).id == DEMO


def test_an_unknown_model_is_a_404_the_sdk_knows(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(
            model="gpt-none", messages=[{"role": "user", "content": "x"}]
        )
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_a_bad_key_is_a_401_the_sdk_knows(served: Served) -> None:
    with (
        openai.OpenAI(base_url=served.base_url, api_key="pk_live_nonsense") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.models.list()
    assert caught.value.code == "invalid_api_key"


def test_an_error_in_the_middle_of_a_stream_is_raised(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="sim-cut", messages=[{"role": "user", "content": "hello there"}], stream=True
    )
    with stream, pytest.raises(openai.APIError, match="simulated engine ended"):
        list(stream)


@pytest.mark.anyio
async def test_many_at_once(served: Served) -> None:
    async with openai.AsyncOpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0
    ) as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(
                    model=DEMO, messages=[{"role": "user", "content": f"Hello {i}"}], max_tokens=8
                )
                for i in range(24)
            )
        )
    assert all(answer.choices[0].message.content for answer in answers)
