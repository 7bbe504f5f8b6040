"""Bodies that are accepted, and what is made of them."""

import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from portico.canon.conversation import (
    AudioPart,
    Conversation,
    FilePart,
    ImagePart,
    Message,
    Sampling,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from portico.dialects.gemini.parse import SPECIMEN

from .bodies import (
    HINTS,
    PDF,
    PNG,
    TOOLS,
    WAV,
    b64,
    blob,
    call,
    conversed,
    model,
    parse,
    parse_streamed,
    parsed,
    request,
    response,
    user,
)


def test_the_smallest_request() -> None:
    prompt = parse(json.dumps(SPECIMEN).encode(), {})
    assert (prompt.model, prompt.stream, prompt.choices) == ("-", False, 1)
    assert prompt.output_tokens_max is None
    assert prompt.needs == frozenset()


def test_the_path_names_the_model_and_comes_before_the_body() -> None:
    body = json.dumps(request(model="models/other")).encode()
    assert parse(body, {":rest": "models/a:b/c"}).model == "a:b/c"
    assert parse(body, {}).model == "other"


def test_only_headers_are_hints_for_engines() -> None:
    assert parse(json.dumps(request()).encode(), {**HINTS, "x-portico-a": "1"}).hints == {
        "x-portico-a": "1"
    }


@pytest.mark.parametrize(
    ("query", "framing"),
    [
        ("alt=sse", "events"),
        ("key=x&alt=sse", "events"),
        ("%24alt=sse", "events"),
        ("", "array"),
        ("alt=json", "array"),
        ("other=sse", "array"),
    ],
)
def test_a_stream_is_parted_as_the_query_says(query: str, framing: str) -> None:
    prompt = parse_streamed(json.dumps(request()).encode(), {**HINTS, ":query": query})
    assert (prompt.stream, prompt.framing) == (True, framing)


def test_everything_that_has_a_place() -> None:
    prompt = parsed(
        user("Hi"),
        systemInstruction={"parts": [{"text": "Be kind."}]},
        tools=TOOLS,
        toolConfig={"functionCallingConfig": {"mode": "ANY"}},
        generationConfig={
            "candidateCount": 2,
            "maxOutputTokens": 30,
            "stopSequences": ["END"],
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40,
            "presencePenalty": 0.1,
            "frequencyPenalty": -0.1,
            "seed": 7,
            "responseLogprobs": True,
            "logprobs": 3,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}},
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
        },
        serviceTier="flex",
        labels={"a_b": "c"},
        store=True,
    )
    assert prompt.needs == {"tools", "json_schema", "logprobs", "choices"}
    assert (prompt.choices, prompt.output_tokens_max, prompt.service_tier) == (2, 30, "flex")
    assert prompt.thoughts_shown
    assert prompt.conversation() == snapshot(
        Conversation(
            items=(
                Message(role="system", parts=(TextPart(text="Be kind."),)),
                Message(role="user", parts=(TextPart(text="Hi"),)),
            ),
            tools=(
                Tool(
                    name="get_weather",
                    parameters={
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                        "required": ["city"],
                    },
                    description="The weather in a city.",
                ),
            ),
            tool_choice="required",
            output_schema={"type": "object", "properties": {"a": {"type": "integer"}}},
            effort="high",
            thoughts_shown=True,
            stop=("END",),
            sampling=Sampling(
                temperature=0.5,
                top_p=0.9,
                top_k=40,
                frequency_penalty=-0.1,
                presence_penalty=0.1,
                seed=7,
            ),
            top_logprobs=3,
        )
    )


def test_members_in_snake_case_are_the_same_request() -> None:
    snake = parsed(
        {"role": "user", "parts": [{"inline_data": {"mime_type": "image/png", "data": b64(PNG)}}]},
        model("x", {"function_call": {"name": "f_n", "args": {"a_b": {"c_d": 1}}}}),
        {"parts": [{"function_response": {"name": "f_n", "response": {"e_f": 2}}}]},
        system_instruction={"parts": {"text": "Be kind."}},
        tools={"function_declarations": {"name": "f_n", "parameters_json_schema": {"x_y": 1}}},
        tool_config={"function_calling_config": {"mode": "any"}},
        generation_config={"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}},
    )
    camel = parsed(
        {"role": "user", "parts": [blob(PNG, "image/png")]},
        model("x", {"functionCall": {"name": "f_n", "args": {"a_b": {"c_d": 1}}}}),
        {"parts": [{"functionResponse": {"name": "f_n", "response": {"e_f": 2}}}]},
        systemInstruction={"parts": [{"text": "Be kind."}]},
        tools=[{"functionDeclarations": [{"name": "f_n", "parametersJsonSchema": {"x_y": 1}}]}],
        toolConfig={"functionCallingConfig": {"mode": "ANY"}},
        generationConfig={"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 0}},
    )
    assert snake.conversation() == camel.conversation()
    assert snake.output_tokens_max == camel.output_tokens_max == 5
    items = snake.conversation().items
    assert ToolCall("call_1", "f_n", '{"a_b": {"c_d": 1}}') in items
    assert snake.conversation().tools[0].parameters == {"x_y": 1}


def test_numbers_may_come_as_strings_as_protocol_buffers_write_them() -> None:
    prompt = parsed(generationConfig={"maxOutputTokens": "12", "topK": 40.0, "seed": "3"})
    assert prompt.output_tokens_max == 12
    assert prompt.conversation().sampling == Sampling(top_k=40, seed=3)


def test_the_only_item_of_a_list_may_stand_by_itself() -> None:
    body = {"contents": {"parts": {"text": "Hi"}}, "tools": TOOLS[0]}
    conversation = parse(json.dumps(body).encode(), HINTS).conversation()
    assert conversation.items == (Message("user", (TextPart("Hi"),)),)
    assert [tool.name for tool in conversation.tools] == ["get_weather"]


def test_media() -> None:
    prompt = parsed(
        user(
            "What is this?",
            blob(PNG, "image/png"),
            blob(WAV, "audio/wav"),
            blob(PDF, "application/pdf"),
            blob("é".encode(), "text/plain; charset=utf-8"),
        )
    )
    assert prompt.needs == {"image", "audio", "file"}
    assert prompt.media_characters == {
        "image": len(b64(PNG)),
        "audio": len(b64(WAV)),
        "file": len(b64(PDF)),
    }
    assert prompt.conversation().items == (
        Message(
            "user",
            (
                TextPart("What is this?"),
                ImagePart(f"data:image/png;base64,{b64(PNG)}"),
                AudioPart(b64(WAV), "wav"),
                FilePart(b64(PDF), "application/pdf"),
                TextPart("é"),
            ),
        ),
    )


def test_base64_for_urls_and_without_padding_becomes_the_usual_one() -> None:
    content = PNG + b"\xff\xfe\xfd\xfb"
    data = b64(content).replace("+", "-").replace("/", "_").rstrip("=")
    assert "-" in data or "_" in data
    part = {"inlineData": {"mimeType": "image/png", "data": data}}
    (item,) = conversed(user(part)).items
    assert item == Message("user", (ImagePart(f"data:image/png;base64,{b64(content)}"),))


def test_a_round_of_tools() -> None:
    assert conversed(
        user("Weather in Lisbon and Rome?"),
        model(
            {"text": "Two calls.", "thought": True},
            {**call(city="Lisbon"), "thoughtSignature": "c2lnbmVk"},
            call(city="Rome"),
        ),
        user("Here:", response(output="clear"), response(error="no such city")),
        model("Clear in Lisbon."),
    ).items == (
        Message("user", (TextPart("Weather in Lisbon and Rome?"),)),
        Thought("Two calls.", "c2lnbmVk", "gemini"),
        ToolCall("call_1", "get_weather", '{"city": "Lisbon"}'),
        ToolCall("call_2", "get_weather", '{"city": "Rome"}'),
        ToolResult("call_1", (TextPart("clear"),), "get_weather"),
        ToolResult("call_2", (TextPart("no such city"),), "get_weather", failed=True),
        Message("user", (TextPart("Here:"),)),
        Message("assistant", (TextPart("Clear in Lisbon."),)),
    )


@pytest.mark.parametrize(
    ("said", "text", "failed"),
    [
        ({"output": "clear"}, "clear", False),
        ({"result": {"sky": "clear"}}, '{"sky": "clear"}', False),
        ({"error": "no such city"}, "no such city", True),
        ({"error": {"code": 1}}, '{"code": 1}', True),
        ({"result": "clear", "error": None}, '{"result": "clear", "error": null}', False),
        ({"sky": "clear"}, '{"sky": "clear"}', False),
        ({}, "{}", False),
    ],
)
def test_what_a_tool_said(said: dict[str, Any], text: str, failed: bool) -> None:
    result = conversed(model(call()), user(response(**said))).items[-1]
    assert isinstance(result, ToolResult)
    assert (result.text, result.failed) == (text, failed)


def test_many_arguments_take_no_more_room_than_they_came_in() -> None:
    """What is set aside for a prompt is a token for each byte of its body."""
    args = {str(at): "" for at in range(1_000)}
    (item,) = conversed(model(call(**args))).items
    assert isinstance(item, ToolCall)
    assert item.arguments == json.dumps(args, separators=(",", ":"))


def test_results_find_their_calls_by_id_then_by_name() -> None:
    items = conversed(
        model(call("a", id="x"), call("b"), call("a", id="y"), call("b")),
        user(response("a", id="y"), response("b"), response("a"), response("b", id="unknown")),
    ).items
    results = [item.call_id for item in items if isinstance(item, ToolResult)]
    assert results == ["y", "call_2", "x", "call_4"]


def test_ids_that_come_again_are_made_anew_by_position() -> None:
    items = conversed(
        model(call(id="call_0")),
        user(response(id="call_0", output="1")),
        model(call(id="call_0"), call(id="call_2")),
        user(response(id="call_0", output="2"), response(id="call_2", output="3")),
    ).items
    pairs = [item.id for item in items if isinstance(item, ToolCall)]
    assert pairs == ["call_0", "call_2", "call_3"]
    assert [item.call_id for item in items if isinstance(item, ToolResult)] == pairs


def test_a_results_images_stand_behind_its_words() -> None:
    part = response(output="a map")
    part["functionResponse"]["parts"] = [blob(PNG, "image/png")]
    prompt = parsed(model(call()), user(part))
    assert prompt.needs == {"image"}
    result = prompt.conversation().items[-1]
    assert isinstance(result, ToolResult)
    assert result.parts[1] == ImagePart(f"data:image/png;base64,{b64(PNG)}")


def test_an_answer_kept_as_one_content_for_each_chunk_is_one_message() -> None:
    """As the SDKs' chats do it."""
    items = conversed(user("Hi"), model("Hel"), model("lo"), model(""), user("More")).items
    assert items[1] == Message("assistant", (TextPart("Hello"),))
    assert len(items) == 3


def test_thoughts_stand_before_what_they_led_to() -> None:
    thought: dict[str, Any] = {"text": "Hm.", "thought": True}
    signed = {"text": "Yes.", "thoughtSignature": "c2ln"}
    assert conversed(model("Well.", thought, signed, "Bye."), model(thought)).items == (
        Message("assistant", (TextPart("Well."),)),
        Thought("Hm.", "c2ln", "gemini"),
        Message("assistant", (TextPart("Yes.Bye."),)),
        Thought("Hm."),
    )


def test_code_that_google_ran_is_text_here() -> None:
    (item,) = conversed(
        model(
            {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            {"toolCall": {"toolType": "GOOGLE_SEARCH"}},
        )
    ).items
    assert item == Message(
        "assistant",
        (TextPart('```python\nprint(1)\n``````\n1\n```{"toolType": "GOOGLE_SEARCH"}'),),
    )


@pytest.mark.parametrize(
    ("config", "choice", "names"),
    [
        ({}, "auto", ["a", "b"]),
        ({"mode": "AUTO"}, "auto", ["a", "b"]),
        ({"mode": "none"}, "none", ["a", "b"]),
        ({"mode": "VALIDATED"}, "auto", ["a", "b"]),
        ({"mode": "ANY", "allowedFunctionNames": ["b"]}, "required", ["b"]),
        ({"mode": "MODE_UNSPECIFIED"}, "auto", ["a", "b"]),
    ],
)
def test_the_choice_of_tools(config: dict[str, Any], choice: str, names: list[str]) -> None:
    conversation = conversed(
        tools=[
            {"functionDeclarations": [{"name": "a"}]},
            {"functionDeclarations": [{"name": "b"}]},
        ],
        toolConfig={"functionCallingConfig": config},
    )
    assert conversation.tool_choice == choice
    assert [tool.name for tool in conversation.tools] == names


@pytest.mark.parametrize(
    ("thinking", "effort", "mapped"),
    [
        ({}, "", ()),
        ({"thinkingLevel": "low"}, "low", ()),
        ({"thinkingLevel": "XHIGH"}, "xhigh", ()),
        ({"thinkingBudget": -1}, "", ()),
        ({"thinkingBudget": 0}, "none", ()),
        ({"thinkingBudget": 8_000}, "medium", ("generationConfig.thinkingConfig.thinkingBudget",)),
    ],
)
def test_how_hard_to_think(thinking: dict[str, Any], effort: str, mapped: tuple[str, ...]) -> None:
    conversation = conversed(generationConfig={"thinkingConfig": thinking})
    assert (conversation.effort, conversation.mapped) == (effort, mapped)


@pytest.mark.parametrize(
    ("config", "schema", "needs"),
    [
        ({}, None, set()),
        ({"responseMimeType": "text/plain"}, None, set()),
        ({"responseMimeType": "application/json"}, {}, set()),
        ({"responseJsonSchema": {"type": "integer"}}, {"type": "integer"}, {"json_schema"}),
        (
            {"responseFormat": {"text": {"mimeType": "APPLICATION_JSON", "schema": {"a": 1}}}},
            {"a": 1},
            {"json_schema"},
        ),
        ({"responseFormat": [{"text": {"mimeType": "application/json"}}]}, {}, set()),
        ({"responseModalities": ["TEXT"]}, None, set()),
    ],
)
def test_the_shape_of_the_answer(config: dict[str, Any], schema: Any, needs: set[str]) -> None:
    prompt = parsed(generationConfig=config)
    assert prompt.conversation().output_schema == schema
    assert prompt.needs == needs


def test_what_has_no_place_is_named() -> None:
    assert conversed(
        user("Hi", {"videoMetadata": {"fps": 1}}),
        safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        tools=[{"googleSearch": {}, "codeExecution": None}, {"urlContext": {}}, *TOOLS],
        generationConfig={
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "speechConfig": None,
            "thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 5},
        },
        neverHeardOf=1,
    ).dropped == (
        "safetySettings",
        "neverHeardOf",
        "generationConfig.thinkingConfig.thinkingBudget",
        "generationConfig.mediaResolution",
        "tools[0].googleSearch",
        "tools[1].urlContext",
        "contents[0].parts[1]",
    )
