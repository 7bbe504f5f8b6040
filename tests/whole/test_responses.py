"""The Responses dialect against the whole product: the official SDK, and the bytes themselves."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import zstandard
from pydantic import BaseModel

from tests.dialects.openai_responses.streams import check_response, check_stream
from tests.media.corpus import base64, picture
from tests.whole.conftest import Served
from tests.whole.wire import Wire, eventually, post

DEMO = "portico-demo"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
CODEX = Path(__file__).parents[1] / "dialects" / "openai_responses" / "golden" / "codex.json"


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0, timeout=30
    ) as client:
        yield client


def spent(served: Served) -> tuple[int, int, int]:
    totals = served.cli("usage")["total"]
    return totals["requests"], totals["input_tokens"], totals["output_tokens"]


def streamed(served: Served, **fields: Any) -> list[dict[str, Any]]:
    """The events of one stream, checked."""
    body = json.dumps({"stream": True, **fields}).encode()
    status, headers, content = post(served, "/v1/responses", body)
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    return check_stream(content)


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
def test_an_answer(client: openai.OpenAI, served: Served, model: str) -> None:
    before = spent(served)
    answer = client.responses.create(model=model, input="What is Portico?", max_output_tokens=60)
    assert answer.output_text
    assert answer.status in ("completed", "incomplete")
    assert answer.usage is not None
    after = spent(served)
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == (
        1,
        answer.usage.input_tokens,
        answer.usage.output_tokens,
    )
    assert answer.id == f"resp_{str(answer._request_id).removeprefix('req_')}"


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
def test_a_stream(client: openai.OpenAI, served: Served, model: str) -> None:
    events = streamed(served, model=model, input="Tell me a short story.", max_output_tokens=30)
    assert len(events) > 8
    with client.responses.stream(model=model, input="Hello", max_output_tokens=30) as stream:
        text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text
    assert text


@pytest.mark.anyio
@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
async def test_the_asynchronous_sdk(served: Served, model: str) -> None:
    async with openai.AsyncOpenAI(
        base_url=served.base_url, api_key=served.api_key, max_retries=0
    ) as client:
        whole = await client.responses.create(model=model, input="Hello", temperature=0)
        text = ""
        async for event in await client.responses.create(
            model=model, input="Hello", temperature=0, stream=True
        ):
            text += event.delta if event.type == "response.output_text.delta" else ""
        assert text == whole.output_text
        parsed = await client.responses.parse(
            model=model if model == DEMO else "sim-json",
            input="Extract as JSON: Ada is 36 years old.",
            text_format=Person,
            temperature=0,
        )
        assert parsed.output_parsed is not None


@pytest.mark.parametrize("model", [DEMO, "sim-auto"])
def test_a_round_of_tools(client: openai.OpenAI, model: str) -> None:
    history: list[Any] = [{"role": "user", "content": "What is the weather in Lisbon?"}]
    first = client.responses.create(model=model, input=history, tools=[WEATHER], temperature=0)
    (call,) = first.output
    assert call.type == "function_call"
    assert isinstance(json.loads(call.arguments)["city"], str)
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "24 degrees"}
    history += [call, output]
    second = client.responses.create(model=model, input=history, tools=[WEATHER], temperature=0)
    assert second.output_text
    assert second.output[0].type == "message"


@pytest.mark.parametrize("model", [DEMO, "sim-auto"])
def test_a_forced_tool(served: Served, model: str) -> None:
    events = streamed(
        served,
        model=model,
        input="What is the weather in Lisbon?",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        max_output_tokens=80,
    )
    (call,) = events[-1]["response"]["output"]
    assert (call["type"], call["name"]) == ("function_call", "get_weather")


def test_parallel_calls_and_a_tool_of_free_text(served: Served) -> None:
    patch = {"type": "custom", "name": "apply_patch"}
    events = streamed(
        served,
        model="sim-tool",
        input="Patch it. [[sim calls=3]]",
        tools=[patch, WEATHER],
        tool_choice="required",
    )
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == [
        "custom_tool_call",
        "function_call",
        "custom_tool_call",
    ]
    assert output[0]["input"] == "Patch it."


def test_a_tool_of_free_text_on_an_engine_that_has_none(served: Served) -> None:
    events = streamed(
        served,
        model=DEMO,
        input="What is the weather in Lisbon?",
        tools=[{"type": "custom", "name": "get_weather", "description": "The weather in a city."}],
        tool_choice="required",
        temperature=0,
        max_output_tokens=80,
    )
    (call,) = events[-1]["response"]["output"]
    assert (call["type"], call["name"]) == ("custom_tool_call", "get_weather")
    assert call["input"]


@pytest.mark.parametrize("model", [DEMO, "sim-json"])
def test_json_by_schema(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.parse(
        model=model,
        input="Extract as JSON: Ada is 36 years old.",
        text_format=Person,
        temperature=0,
        max_output_tokens=100,
    )
    assert isinstance(answer.output_parsed, Person)


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
def test_logprobs(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.create(
        model=model,
        input="Hello",
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        max_output_tokens=5,
    )
    (message,) = answer.output
    assert message.type == "message"
    (text,) = message.content
    assert text.type == "output_text"
    assert text.logprobs
    assert all(len(entry.top_logprobs) == 2 for entry in text.logprobs)


def test_thoughts_are_summarised_sealed_and_sent_back(client: openai.OpenAI) -> None:
    first = client.responses.create(
        model="sim-reasoning",
        input="Hello [[sim reasoning=9]]",
        reasoning={"summary": "auto"},
        include=["reasoning.encrypted_content"],
        store=False,
    )
    thought, message = first.output
    assert thought.type == "reasoning"
    assert thought.summary[0].text
    assert thought.encrypted_content
    assert first.usage is not None
    assert first.usage.output_tokens_details.reasoning_tokens == 9
    items: Any = [thought, message, {"role": "user", "content": "Go on"}]
    assert client.responses.create(model="sim-echo", input=items).output_text == "Go on"
    items[0].encrypted_content = thought.encrypted_content[:-8]
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="sim-echo", input=items)
    assert (refused.value.code, refused.value.param) == (
        "sealed_item_invalid",
        "input[0].encrypted_content",
    )


@pytest.mark.parametrize("model", [DEMO, "sim-echo"])
def test_input_tokens_are_those_that_are_counted(client: openai.OpenAI, model: str) -> None:
    asked: Any = {"model": model, "input": "What is Portico?", "instructions": "Be brief."}
    counted = client.responses.input_tokens.count(**asked)
    assert counted.object == "response.input_tokens"
    answer = client.responses.create(**asked, max_output_tokens=8)
    assert answer.usage is not None
    assert counted.input_tokens == answer.usage.input_tokens


def test_compact(client: openai.OpenAI) -> None:
    items: Any = [
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello Ada."},
    ]
    compacted = client.responses.compact(model="sim-echo", input=items)
    assert compacted.object == "response.compaction"
    assert compacted.usage.total_tokens == 0
    (item,) = compacted.output
    assert item.type == "compaction"
    asked: Any = [item, {"role": "user", "content": "Who am I?"}]
    counted = client.responses.input_tokens.count(model="sim-echo", input=asked)
    assert (
        counted.input_tokens
        == client.responses.input_tokens.count(
            model="sim-echo", input=[*items, asked[1]]
        ).input_tokens
    )
    assert client.responses.create(model="sim-echo", input=asked).output_text == "Who am I?"
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.compact(model=None, input=items)
    assert refused.value.param == "model"


def test_truncation_auto_drops_the_oldest_turns(client: openai.OpenAI) -> None:
    old = [{"role": "user", "content": "old " * 50_000}, {"role": "assistant", "content": "Yes."}]
    asked: Any = [*old, *old, *old, {"role": "user", "content": "Hello"}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="sim-echo", input=asked)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "input")
    raw = client.responses.with_raw_response.create(
        model="sim-echo", input=asked, truncation="auto"
    )
    assert raw.headers["portico-warnings"] == 'truncated; field="input"; action=dropped'
    answer = raw.parse()
    assert answer.output_text == "Hello"
    assert answer.usage is not None
    assert 50_000 < answer.usage.input_tokens < 128_000


def test_truncation_auto_on_an_engine_that_is_only_told_what_fits(client: openai.OpenAI) -> None:
    old = [{"role": "user", "content": "old " * 4_000}, {"role": "assistant", "content": "Yes."}]
    asked: Any = [*old * 4, {"role": "user", "content": "Hello"}]
    raw = client.responses.with_raw_response.create(
        model=DEMO, input=asked, truncation="auto", max_output_tokens=8
    )
    assert raw.headers["portico-warnings"] == 'truncated; field="input"; action=dropped'
    assert raw.parse().output_text


@pytest.mark.parametrize(
    ("model", "code"), [("sim-cut", "upstream_failed"), ("sim-error", "upstream_failed")]
)
def test_an_engine_that_fails(client: openai.OpenAI, model: str, code: str) -> None:
    with pytest.raises(openai.APIError) as failed:
        list(client.responses.create(model=model, input="Hello", stream=True))
    assert failed.value.code == code


def test_edge_09_a_stream_that_breaks_off_ends_with_a_failure(served: Served) -> None:
    events = streamed(served, model="sim-cut", input="Hello")
    assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize(
    "fault",
    [
        *("usage_shrinks", "usage_negative", "finish_twice", "finish_missing"),
        *("text_after_finish", "wrong_choice", "lone_surrogate", "delta_after_last"),
    ],
)
def test_an_engine_with_bad_manners(served: Served, fault: str) -> None:
    streamed(served, model="sim-echo", input=f"Hello there [[sim fault={fault}]]")


def test_edge_11_a_hang_up_is_recorded(served: Served) -> None:
    before = spent(served)
    body = json.dumps({"model": "sim-slow", "input": "Hello", "stream": True}).encode()
    wire = Wire(served).post("/v1/responses", body)
    wire.read_until(b"event: response.output_text.delta", 4)
    wire.hang_up()
    eventually(lambda: spent(served)[0] == before[0] + 1)
    assert spent(served)[2] >= before[2] + 4


def test_the_same_key_twice_gives_the_same_stream(served: Served) -> None:
    body = json.dumps({"model": "sim-lorem", "input": "Hello", "stream": True}).encode()
    answers = []
    for _ in range(2):
        wire = Wire(served).post("/v1/responses", body, "Idempotency-Key: responses-1")
        answers.append(wire.answer()[2])
        wire.hang_up()
    first, second = (check_stream(answer) for answer in answers)
    assert first == second


@pytest.mark.parametrize("coding", ["zstd", "gzip"])
def test_edge_15_the_golden_codex_request_compressed(served: Served, coding: str) -> None:
    asked = {**json.loads(CODEX.read_bytes()), "model": "sim-auto"}
    body = json.dumps(asked).encode()
    packed = (
        zstandard.ZstdCompressor().compress(body)
        if coding == "zstd"
        else zlib.compress(body, wbits=31)
    )
    wire = Wire(served).post("/v1/responses", packed, f"Content-Encoding: {coding}")
    status, headers, content = wire.answer()
    wire.hang_up()
    assert status == 200
    assert headers["portico-warnings"] == (
        'not_supported; field="tools[8][web_search]"; action=dropped'
    )
    events = check_stream(content)
    (call,) = events[-1]["response"]["output"]
    assert (call["type"], call["name"]) == ("function_call", "write_stdin")


def test_an_image_is_refused_where_the_model_cannot_see(client: openai.OpenAI) -> None:
    url = f"data:image/png;base64,{base64(picture())}"
    asked: Any = [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=DEMO, input=asked)
    assert refused.value.code == "unsupported_feature"
    assert client.responses.create(model="sim-lorem", input=asked).output_text


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"previous_response_id": "resp_1"}, 400, "previous_response_id"),
        ({"temperature": 9}, 400, "temperature"),
    ],
)
def test_a_refusal_is_in_openais_envelope(
    served: Served, fields: dict[str, Any], status: int, param: str
) -> None:
    body = json.dumps({"model": "sim-echo", "input": "Hi", "stream": True, **fields}).encode()
    answered, headers, content = post(served, "/v1/responses", body)
    error = json.loads(content)["error"]
    assert (answered, error["param"]) == (status, param)
    assert {"message", "type", "param", "code"} <= set(error)
    assert headers["x-should-retry"] == "false"
    assert headers["x-request-id"]


def test_a_whole_answer_has_every_key(served: Served) -> None:
    body = json.dumps({"model": "sim-echo", "input": "Hi", "metadata": {"a": "b"}}).encode()
    status, _, content = post(served, "/v1/responses", body)
    assert status == 200
    answer = json.loads(content)
    check_response(answer)
    assert answer["metadata"] == {"a": "b"}
