"""Anthropic's official SDK against the whole product, and the usage it leaves."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pydantic
import pytest
from anthropic.types import MessageParam, ToolParam

from tests.dialects.anthropic_messages.golden import HEADERS, PATH, golden
from tests.dialects.anthropic_messages.streams import check_stream
from tests.whole.conftest import Served
from tests.whole.wire import Wire

DEMO = "portico-demo"
MODELS = [DEMO, "sim-auto"]
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


class Person(pydantic.BaseModel):
    name: str
    age: int


def asks(words: str) -> list[MessageParam]:
    return [{"role": "user", "content": words}]


def root(served: Served) -> str:
    return served.base_url.removesuffix("/v1")


@pytest.fixture
def client(served: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=root(served), api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        yield client


def total(served: Served) -> tuple[int, int, int]:
    """Requests, input tokens and output tokens so far."""
    totals = served.cli("usage")["total"]
    return totals["requests"], totals["input_tokens"], totals["output_tokens"]


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_metered_as_it_says(
    client: anthropic.Anthropic, served: Served, model: str, stream: bool
) -> None:
    before = total(served)
    if stream:
        with client.messages.stream(
            model=model, max_tokens=60, messages=asks("What is Portico?")
        ) as running:
            text = "".join(running.text_stream)
            message: anthropic.types.Message = running.get_final_message()
        assert message.content[0].type == "text"
        assert message.content[0].text == text
    else:
        message = client.messages.create(
            model=model, max_tokens=60, messages=asks("What is Portico?")
        )
    assert message.content[0].type == "text"
    assert message.content[0].text
    assert message.stop_reason in ("end_turn", "max_tokens")
    after = total(served)
    assert after[0] - before[0] == 1
    assert after[1] - before[1] == message.usage.input_tokens
    assert after[2] - before[2] == message.usage.output_tokens


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_whole_round_of_tools(client: anthropic.Anthropic, model: str, stream: bool) -> None:
    asked: dict[str, Any] = {
        "model": model,
        "max_tokens": 100,
        "tools": [WEATHER],
        "extra_body": {"temperature": 0},  # gone from the SDK's signature, not from the dialect
    }
    question = asks("What is the weather in Lisbon?")
    if stream:
        with client.messages.stream(messages=question, **asked) as running:
            first: Any = running.get_final_message()
    else:
        first = client.messages.create(messages=question, **asked)
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert (first.stop_reason, call.name) == ("tool_use", "get_weather")
    assert isinstance(call.input["city"], str)
    result = {"temperature_c": 24, "sky": "clear"}
    second = client.messages.create(
        messages=[
            *question,
            first.to_param(),
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": call.id,
                        "content": [{"type": "text", "text": json.dumps(result)}],
                    }
                ],
            },
        ],
        **asked,
    )
    assert second.stop_reason == "end_turn"
    assert second.content[0].type == "text"
    assert "24" in second.content[0].text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}], ids=str
)
def test_a_forced_tool(client: anthropic.Anthropic, model: str, choice: Any) -> None:
    message = client.messages.create(
        model=model,
        max_tokens=100,
        messages=asks("What is the weather in Lisbon?"),
        tools=[WEATHER],
        tool_choice=choice,
        extra_body={"temperature": 0},
    )
    assert [block.type for block in message.content if block.type != "text"] == ["tool_use"]


def test_parallel_calls(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model="sim-tool", max_tokens=100, messages=asks("Go [[sim calls=3]]"), tools=[WEATHER]
    ) as stream:
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert len({call.id for call in calls}) == 3
    assert all(isinstance(call.input["city"], str) for call in calls)


@pytest.mark.parametrize("model", [DEMO, "sim-json"])
def test_json_by_schema(client: anthropic.Anthropic, model: str) -> None:
    message = client.messages.parse(
        model=model,
        max_tokens=100,
        messages=asks("Extract as JSON: Ada is 36 years old."),
        output_format=Person,
    )
    assert isinstance(message.parsed_output, Person)


@pytest.mark.parametrize("display", ["summarized", "omitted"])
def test_thinking_is_shown_as_asked(client: anthropic.Anthropic, display: Any) -> None:
    with client.messages.stream(
        model="sim-reasoning",
        max_tokens=2_000,
        messages=asks("Hello"),
        thinking={"type": "enabled", "budget_tokens": 1_024, "display": display},
    ) as stream:
        message = stream.get_final_message()
    thinking, text = message.content
    assert thinking.type == "thinking"
    assert bool(thinking.thinking) is (display == "summarized")
    assert thinking.signature.startswith("pt1.")
    assert text.type == "text"
    details = message.usage.output_tokens_details
    assert details is not None
    assert 0 < details.thinking_tokens < message.usage.output_tokens


def test_stop_sequence_and_cap(client: anthropic.Anthropic) -> None:
    stopped = client.messages.create(
        model="sim-echo",
        max_tokens=9,
        messages=asks("one two three"),
        stop_sequences=["never", " three"],
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " three")
    capped = client.messages.create(
        model=DEMO, max_tokens=3, messages=asks("Tell me a long story.")
    )
    assert (capped.stop_reason, capped.usage.output_tokens) == ("max_tokens", 3)


def test_a_refusal(client: anthropic.Anthropic) -> None:
    message = client.messages.create(model="sim-refusal", max_tokens=50, messages=asks("Hello"))
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert message.stop_details.explanation


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
def test_counted_tokens_are_those_of_the_answer(client: anthropic.Anthropic, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": asks("Hello there"), "system": "Be brief."}
    counted = client.messages.count_tokens(**asked).input_tokens
    assert counted == client.messages.create(max_tokens=1, **asked).usage.input_tokens


def test_models(client: anthropic.Anthropic) -> None:
    pages = client.models.list(limit=4)
    assert pages.has_more
    names = [model.id for model in pages]
    assert {DEMO, "sim-echo", "sim-auto"} <= set(names)
    assert len(names) == len(set(names))
    back = client.models.list(limit=4, before_id=names[5])
    assert [model.id for model in back.data] == names[1:5]
    one = client.models.retrieve(DEMO)
    assert (one.id, one.lifecycle) == (DEMO, "active")
    assert one.max_input_tokens
    assert one.capabilities is not None
    assert one.capabilities.structured_outputs.supported


@pytest.mark.parametrize(
    ("changed", "kind", "code"),
    [
        ({"model": "claude-none"}, anthropic.NotFoundError, "model_not_found"),
        ({"max_tokens": 0}, anthropic.BadRequestError, "out_of_range"),
        ({"model": "sim-error"}, anthropic.InternalServerError, "upstream_failed"),
        (
            {"messages": asks("[[sim code=overloaded]]")},
            anthropic.InternalServerError,
            "overloaded",
        ),
        (
            {"messages": asks("[[sim code=credit_balance_exhausted]]")},
            anthropic.APIStatusError,
            "credit_balance_exhausted",
        ),
        ({"messages": asks("x " * 200_000)}, anthropic.BadRequestError, "context_length_exceeded"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_are_the_sdks_own(
    client: anthropic.Anthropic,
    changed: dict[str, Any],
    kind: type[anthropic.APIStatusError],
    code: str,
) -> None:
    asked: dict[str, Any] = {
        "model": "sim-echo",
        "max_tokens": 9,
        "messages": asks("Hi"),
        **changed,
    }
    with pytest.raises(kind) as caught:
        client.messages.create(**asked)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["details"]["error_code"] == code
    assert caught.value.body["request_id"] == caught.value.request_id


def test_a_bad_key_is_a_401_the_sdk_knows(served: Served) -> None:
    with (
        anthropic.Anthropic(base_url=root(served), api_key="pk_live_nonsense") as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.models.list()


def test_the_key_may_come_as_a_bearer_token(served: Served) -> None:
    with anthropic.Anthropic(
        base_url=root(served), auth_token=served.api_key, max_retries=0
    ) as client:
        assert client.models.retrieve(DEMO).id == DEMO


def test_an_error_in_the_middle_of_a_stream_is_raised(client: anthropic.Anthropic) -> None:
    with (
        pytest.raises(anthropic.APIStatusError, match="simulated engine ended"),
        client.messages.stream(
            model="sim-cut", max_tokens=50, messages=asks("hello there")
        ) as stream,
    ):
        stream.until_done()


@pytest.mark.anyio
async def test_many_at_once(served: Served) -> None:
    async with anthropic.AsyncAnthropic(
        base_url=root(served), api_key=served.api_key, max_retries=0
    ) as client:
        answers = await asyncio.gather(
            *(
                client.messages.create(model=DEMO, max_tokens=8, messages=asks(f"Hello {at}"))
                for at in range(12)
            )
        )
    assert all(answer.content for answer in answers)


def test_what_a_coding_agent_sends_is_answered(served: Served) -> None:
    """First a probe, then the request, byte for byte as it was seen."""
    probe = Wire(served)
    probe.socket.sendall(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert probe.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    wire = Wire(served)
    headers = [f"{name}: {value}" for name, value in HEADERS.items()]
    wire.post(PATH, json.dumps(golden("sim-auto")).encode(), *headers)
    status, told, body = wire.answer()
    assert (status, told["content-type"].partition(";")[0]) == (200, "text/event-stream")
    frames = body.split(b"\n\n")[:-1]
    events = check_stream([frame + b"\n\n" for frame in frames if not frame.startswith(b":")])
    kinds = [
        event["content_block"]["type"] for event in events if event["type"] == "content_block_start"
    ]
    assert kinds == ["thinking", "text"]


def test_a_model_too_small_for_it_says_so_in_words_agents_know(served: Served) -> None:
    wire = Wire(served)
    wire.post(PATH, json.dumps(golden(DEMO)).encode())
    status, _, body = wire.answer()
    error = json.loads(body)["error"]
    assert (status, error["details"]["error_code"]) == (400, "context_length_exceeded")
    assert error["message"].startswith("prompt is too long: ")
