"""Google's official SDK against the whole product: every way it asks, and the usage it leaves."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.dialects.gemini.streams import check
from tests.dialects.gemini.streams import events as events_of
from tests.media.corpus import picture
from tests.whole.conftest import Served
from tests.whole.wire import Wire, get, post

DEMO, ECHO = "portico-demo", "sim-echo"
MODELS = pytest.mark.parametrize("model", [DEMO, ECHO])
VERSIONS = ["v1", "v1beta", "v1alpha"]


def client_of(served: Served, version: str = "v1beta", key: str = "") -> genai.Client:
    host, port = served.host_port
    options = types.HttpOptions(base_url=f"http://{host}:{port}", api_version=version)
    return genai.Client(api_key=key or served.api_key, http_options=options)


@pytest.fixture
def client(served: Served) -> Iterator[genai.Client]:
    with client_of(served) as client:
        yield client


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"24 degrees and clear in {city}"


class Person(BaseModel):
    name: str
    age: int


BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)
FORCED = types.ToolConfig(
    function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY)
)


def total(served: Served) -> tuple[int, int, int]:
    totals = served.cli("usage")["total"]
    return totals["requests"], totals["input_tokens"], totals["output_tokens"]


def used(before: tuple[int, int, int], after: tuple[int, int, int]) -> tuple[int, int, int]:
    return (after[0] - before[0], after[1] - before[1], after[2] - before[2])


@MODELS
def test_an_answer_is_recorded_as_it_says(client: genai.Client, served: Served, model: str) -> None:
    before = total(served)
    answer = client.models.generate_content(
        model=model, contents="What is Portico?", config={"max_output_tokens": 60}
    )
    assert answer.text
    assert answer.model_version == model
    assert answer.response_id is not None
    assert answer.response_id.startswith("req_")
    told = answer.usage_metadata
    assert told is not None
    assert used(before, total(served)) == (1, told.prompt_token_count, told.candidates_token_count)


@MODELS
@pytest.mark.parametrize("version", VERSIONS)
def test_a_stream(served: Served, model: str, version: str) -> None:
    with client_of(served, version) as client:
        chunks = list(
            client.models.generate_content_stream(
                model=f"models/{model}", contents="Tell me a short story.", config={"seed": 1}
            )
        )
    assert "".join(chunk.text or "" for chunk in chunks)
    ended = [c.finish_reason for chunk in chunks for c in chunk.candidates or () if c.finish_reason]
    assert ended == [types.FinishReason.STOP]
    assert [chunk.usage_metadata is not None for chunk in chunks].index(True) == len(chunks) - 1


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
async def test_asynchronously(served: Served) -> None:
    async with client_of(served).aio as client:
        answer = await client.models.generate_content(model=ECHO, contents="Hello there")
        assert answer.text == "Hello there"
        stream = await client.models.generate_content_stream(model=ECHO, contents="Hello there")
        assert [chunk.text async for chunk in stream] == ["Hello", " there", ""]


@pytest.mark.parametrize("model", [DEMO, "sim-auto"])
def test_tools_by_hand(client: genai.Client, model: str) -> None:
    config = types.GenerateContentConfig(
        tools=[get_weather], tool_config=FORCED, automatic_function_calling=BY_HAND, temperature=0
    )
    asked = types.UserContent("What is the weather in Lisbon?")
    answer = client.models.generate_content(model=model, contents=asked, config=config)
    (call,) = answer.function_calls or [types.FunctionCall()]
    assert call.name == "get_weather"
    assert call.args is not None
    assert isinstance(call.args["city"], str)
    assert answer.candidates is not None
    said = answer.candidates[0]
    assert said.finish_reason == types.FinishReason.STOP
    assert said.content is not None
    result = types.Part.from_function_response(name="get_weather", response={"result": "clear"})
    told = client.models.generate_content(
        model=model,
        contents=[asked, said.content, types.UserContent(result)],
        config=types.GenerateContentConfig(tools=[get_weather], automatic_function_calling=BY_HAND),
    )
    assert told.text


@pytest.mark.parametrize("model", [DEMO, "sim-auto"])
@pytest.mark.parametrize("streamed", [False, True])
def test_tools_that_the_sdk_calls_itself(client: genai.Client, model: str, streamed: bool) -> None:
    config = types.GenerateContentConfig(tools=[get_weather], temperature=0)
    chat = client.chats.create(model=model, config=config)
    if streamed:
        text = "".join(
            chunk.text or "" for chunk in chat.send_message_stream("What is the weather in Lisbon?")
        )
    else:
        text = chat.send_message("What is the weather in Lisbon?").text or ""
    assert text
    assert model == DEMO or "24 degrees and clear" in text
    kinds = [
        "call" if part.function_call else "result" if part.function_response else "text"
        for content in chat.get_history()
        for part in content.parts or ()
        if part.text != ""
    ]
    assert [kind for at, kind in enumerate(kinds) if kinds[at - 1 : at] != [kind]] == [
        "text",
        "call",
        "result",
        "text",
    ]


def test_several_calls_at_once_and_their_results(client: genai.Client) -> None:
    config = types.GenerateContentConfig(tools=[get_weather], automatic_function_calling=BY_HAND)
    asked = types.UserContent("Go. [[sim calls=3]]")
    chunks = client.models.generate_content_stream(model="sim-tool", contents=asked, config=config)
    calls = [part for chunk in chunks for part in chunk.parts or () if part.function_call]
    ids = {part.function_call.id for part in calls if part.function_call}
    assert (len(calls), len(ids)) == (3, 3)
    results = [
        types.Part.from_function_response(name="get_weather", response={"result": str(at)})
        for at in range(3)
    ]
    answer = client.models.generate_content(
        model="sim-tool",
        contents=[asked, types.ModelContent(calls), types.UserContent(results)],
        config=config,
    )
    assert answer.text == "2"


@pytest.mark.parametrize("model", [DEMO, "sim-json"])
def test_json_by_a_pydantic_model(client: genai.Client, model: str) -> None:
    answer = client.models.generate_content(
        model=model,
        contents="Extract as JSON: Ada is 36 years old.",
        config=types.GenerateContentConfig(
            response_mime_type="application/json", response_schema=Person, temperature=0
        ),
    )
    assert isinstance(answer.parsed, Person)
    if model == DEMO:
        assert answer.parsed == Person(name="Ada", age=36)


def test_thoughts_come_when_they_are_asked_for(client: genai.Client) -> None:
    asked = "Hello [[sim reasoning=5]]"
    hidden = client.models.generate_content(model="sim-reasoning", contents=asked)
    shown = client.models.generate_content(
        model="sim-reasoning",
        contents=asked,
        config={"thinking_config": {"include_thoughts": True}},
    )
    assert [bool(part.thought) for part in hidden.parts or ()] == [False]
    assert [bool(part.thought) for part in shown.parts or ()] == [True, False]
    for answer in (hidden, shown):
        told = answer.usage_metadata
        assert told is not None
        assert (told.thoughts_token_count, told.candidates_token_count) == (5, 1)


def test_candidates_stop_and_log_probabilities(client: genai.Client) -> None:
    answer = client.models.generate_content(
        model=ECHO,
        contents="one two STOP three",
        config={
            "candidate_count": 2,
            "stop_sequences": ["STOP"],
            "response_logprobs": True,
            "logprobs": 2,
        },
    )
    candidates = answer.candidates or []
    assert [candidate.index for candidate in candidates] == [0, 1]
    for candidate in candidates:
        assert candidate.finish_reason == types.FinishReason.STOP
        assert candidate.content is not None
        assert "three" not in str(candidate.content.parts)
        result = candidate.logprobs_result
        assert result is not None
        assert result.chosen_candidates is not None
        assert result.top_candidates is not None
        assert [len(top.candidates or ()) for top in result.top_candidates] == [2] * len(
            result.chosen_candidates
        )


def test_images_reach_who_can_see_and_nobody_else(client: genai.Client) -> None:
    png = picture() + b"\xff\xfe\xfd\xfc"  # which the two alphabets of base64 write differently
    image = types.Part.from_bytes(data=png, mime_type="image/png")
    contents: list[Any] = [image, "Hello"]
    assert client.models.generate_content(model=ECHO, contents=contents).text == "Hello"
    with pytest.raises(errors.ClientError) as refused:
        client.models.generate_content(model=DEMO, contents=contents)
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    assert "image" in str(refused.value.message)


@MODELS
def test_tokens_are_counted_as_they_are_charged(client: genai.Client, model: str) -> None:
    counted = client.models.count_tokens(model=model, contents="How long is this?")
    answer = client.models.generate_content(
        model=model, contents="How long is this?", config={"max_output_tokens": 2}
    )
    assert answer.usage_metadata is not None
    assert counted.total_tokens == answer.usage_metadata.prompt_token_count


@pytest.mark.parametrize("version", VERSIONS)
def test_models(served: Served, version: str) -> None:
    with client_of(served, version) as client:
        pages = client.models.list(config={"page_size": 3})
        assert len(pages.page) == 3
        names = [model.name for model in pages]
        assert len(names) == len(set(names)) > 6
        assert f"models/{DEMO}" in names
        one = client.models.get(model=ECHO)
    assert one.name == f"models/{ECHO}"
    assert one.input_token_limit == one.output_token_limit == 128_000
    assert one.supported_actions == ["generateContent", "streamGenerateContent", "countTokens"]


def test_vectors(client: genai.Client, served: Served) -> None:
    before = total(served)
    texts: list[Any] = ["one", "two"]
    answer = client.models.embed_content(
        model="sim-embed", contents=texts, config={"output_dimensionality": 8}
    )
    lengths = [len(vector.values or ()) for vector in answer.embeddings or ()]
    assert lengths == [8, 8]
    assert used(before, total(served))[0] == 1


@pytest.mark.parametrize(
    ("how", "code", "status", "field"),
    [
        ({"model": "nobody"}, 404, "NOT_FOUND", "model"),
        ({"config": {"temperature": 3}}, 400, "INVALID_ARGUMENT", "generationConfig.temperature"),
        (
            {"config": {"max_output_tokens": 10_000_000}},
            400,
            "INVALID_ARGUMENT",
            "generationConfig.maxOutputTokens",
        ),
        ({"contents": "word " * 200_000}, 400, "INVALID_ARGUMENT", "contents"),
    ],
)
def test_errors_are_the_sdks_own(
    client: genai.Client, how: dict[str, Any], code: int, status: str, field: str
) -> None:
    with pytest.raises(errors.ClientError) as refused:
        client.models.generate_content(**{"model": ECHO, "contents": "Hello", **how})
    error = refused.value
    assert (error.code, error.status) == (code, status)
    assert isinstance(error.details, dict)
    info, violated = error.details["error"]["details"][:2]
    assert info["metadata"]["field"] == field
    assert violated["fieldViolations"][0]["field"] == field


def test_a_wrong_key(served: Served) -> None:
    with client_of(served, key="pk_live_wrong") as client, pytest.raises(errors.ClientError) as no:
        client.models.generate_content(model=ECHO, contents="Hello")
    assert (no.value.code, no.value.status) == (401, "UNAUTHENTICATED")


def test_a_limit_says_when_to_try_again(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as refused:
        client.models.generate_content(
            model="sim-error", contents="[[sim status=429 retry_after_ms=1500]]"
        )
    assert (refused.value.code, refused.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert isinstance(refused.value.details, dict)
    assert {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "1.500s",
    } in refused.value.details["error"]["details"]


def test_a_stream_that_breaks_off_raises(client: genai.Client) -> None:
    stream = client.models.generate_content_stream(model="sim-cut", contents="Hello")
    assert all(next(stream).text for _ in range(3))
    with pytest.raises(errors.ServerError) as broken:
        next(stream)
    assert broken.value.status == "UNAVAILABLE"


def test_a_strict_key_is_refused_what_would_only_be_left_out(served: Served) -> None:
    key = served.cli("key", "create", "--name", "strict", "--compatibility", "strict")["api_key"]
    setting = types.SafetySetting(
        category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
        threshold=types.HarmBlockThreshold.BLOCK_NONE,
    )
    with client_of(served, key=key) as client:
        assert client.models.generate_content(model=ECHO, contents="Hello").text == "Hello"
        with pytest.raises(errors.ClientError) as refused:
            client.models.generate_content(
                model=ECHO,
                contents="Hello",
                config=types.GenerateContentConfig(safety_settings=[setting]),
            )
    assert refused.value.code == 400
    assert "'safetySettings'" in str(refused.value.message)


# -- what no SDK shows -----------------------------------------------------------------------------
HELLO = b'{"contents":[{"parts":[{"text":"Hello there you"}]}]}'


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stream_without_alt_is_one_json_array(served: Served, version: str) -> None:
    path = f"/{version}/models/{ECHO}:streamGenerateContent"
    status, headers, body = post(served, path, HELLO)
    assert (status, headers["content-type"]) == (200, "application/json")
    found = json.loads(body)
    check(found)
    assert len(found) == 4
    status, headers, body = post(served, f"{path}?alt=sse", HELLO)
    assert headers["content-type"].startswith("text/event-stream")
    check(events_of(body))


def test_an_array_that_breaks_off_is_whole_and_ends_in_the_error(served: Served) -> None:
    status, _, body = post(served, "/v1beta/models/sim-cut:streamGenerateContent", HELLO)
    *said, broken = json.loads(body)
    assert (status, len(said)) == (200, 3)
    assert broken["error"]["status"] == "UNAVAILABLE"
    status, _, body = post(served, "/v1beta/models/sim-cut:streamGenerateContent?alt=sse", HELLO)
    *said, broken = events_of(body)
    assert (status, len(said)) == (200, 3)
    assert broken["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize("query", ["", "?alt=sse"])
def test_what_fails_before_the_first_word_has_a_status_of_its_own(
    served: Served, query: str
) -> None:
    path = f"/v1beta/models/sim-error:streamGenerateContent{query}"
    status, headers, body = post(served, path, HELLO)
    assert (status, headers["content-type"]) == (502, "application/json")
    assert json.loads(body)["error"]["status"] == "UNAVAILABLE"


def test_a_key_in_the_query_and_headers_of_ours(served: Served) -> None:
    path = f"/v1beta/models/{ECHO}:generateContent?key={served.api_key}"
    wire = Wire(served)
    lines = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(HELLO)}\r\n\r\n"
    wire.socket.sendall(lines.encode() + HELLO)
    status, headers, body = wire.answer()
    assert (status, json.loads(body)["responseId"]) == (200, headers["x-request-id"])
    assert re.fullmatch(r"portico;dur=\d+", headers["server-timing"])
    assert not [name for name in headers if name.startswith("openai")]


def test_what_is_dropped_on_the_way_to_an_engine_is_named(served: Served) -> None:
    asked = {
        "contents": [{"parts": [{"text": "Hello"}]}],
        "tools": [{"googleSearch": {}}],
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT"}],
        "generationConfig": {"maxOutputTokens": 1, "thinkingConfig": {"thinkingBudget": 1_000}},
    }
    path = f"/v1beta/models/{DEMO}:generateContent"
    status, headers, _ = post(served, path, json.dumps(asked).encode())
    assert status == 200
    assert headers["portico-warnings"].split(", ") == [
        'not_supported; field="safetySettings"; action=dropped',
        'not_supported; field="tools[0].googleSearch"; action=dropped',
        'mapped; field="generationConfig.thinkingConfig.thinkingBudget"; action=mapped',
        'not_supported; field="reasoning_effort"; action=dropped',  # the demo model takes none
    ]


def test_a_model_list_has_the_shape_of_who_asks(served: Served) -> None:
    shapes = {
        path: set(json.loads(get(served, path, key)[2]))
        for path, key in (
            ("/v1/models", None),
            (f"/v1/models?key={served.api_key}", ""),
            ("/v1beta/models", None),
            ("/v1alpha/models?pageSize=1", None),
        )
    }
    assert list(shapes.values()) == [
        {"object", "data"},
        {"models"},
        {"models"},
        {"models", "nextPageToken"},
    ]


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        (f"/v1beta/models/{ECHO}:nothing", 405, "UNIMPLEMENTED"),
        (f"/v1beta/models/{ECHO}", 405, "UNIMPLEMENTED"),
        ("/v1beta/nowhere", 404, "NOT_FOUND"),
        (f"/v1/v1beta/models/{ECHO}:generateContent", 404, "NOT_FOUND"),
        ("/v1/models/a:7b:generateContent", 404, "NOT_FOUND"),
        ("/v1beta/models?pageSize=x", 405, "UNIMPLEMENTED"),
    ],
)
def test_wrong_paths_are_told_in_googles_words(
    served: Served, path: str, status: int, word: str
) -> None:
    answered, _, body = post(served, path, HELLO)
    error = json.loads(body)["error"]
    assert (answered, error["code"], error["status"]) == (status, status, word)


def test_pages_that_do_not_exist(served: Served) -> None:
    for query, field in (("pageSize=x", "pageSize"), ("pageToken=x", "pageToken")):
        status, _, body = get(served, f"/v1beta/models?{query}")
        assert status == 400
        error = json.loads(body)["error"]
        assert error["details"][1]["fieldViolations"][0]["field"] == field


def test_figures_are_kept_under_the_name_of_the_route(served: Served) -> None:
    post(served, "/v1beta/models/made-up-name:generateContent", HELLO)
    _, _, page = get(served, "/metrics")
    assert b'"/v1beta/models/{id}:generateContent"' in page
    assert b"made-up-name" not in page
