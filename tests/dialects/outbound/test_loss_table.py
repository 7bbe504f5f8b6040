"""Row by row: what becomes of that which a provider cannot do (`02`, sections 12 and 13)."""

from typing import Any

import pytest

from portico import errors
from portico.canon.conversation import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)

from .asked import HI, TARGETS, asked

PNG = "data:image/png;base64,iVBORw0KGgo="
LOOK = Tool("look", {"type": "object", "properties": {"at": {"type": "string"}}}, "Looks.")
CALLS = (ToolCall("a", "look", '{"at":"x"}'), ToolCall("b", "look", '{"at":"y"}'))


def result(call_id: str, text: str = "done", **said: Any) -> ToolResult:
    return ToolResult(call_id, (TextPart(text),), **said)


# --- hard losses: refused, whatever the key says ---------------------------------------------------

HARD = [
    ("anthropic", "n", {"choices": 2}),
    ("responses", "n", {"choices": 2}),
    ("anthropic", "logprobs", {"top_logprobs": 3}),
    ("anthropic", "logprobs", {"top_logprobs": 0}),
    ("anthropic", "logit_bias", {"sampling": {"logit_bias": {"5": 1.0}}}),
    ("gemini", "logit_bias", {"sampling": {"logit_bias": {"5": 1.0}}}),
    ("responses", "logit_bias", {"sampling": {"logit_bias": {"5": 1.0}}}),
    ("responses", "stop", {"stop": ("END",)}),
]


@pytest.mark.parametrize("compatibility", ["strict", "warn", "adapt"])
@pytest.mark.parametrize(("target", "field", "said"), HARD)
def test_400_hard_losses(target: str, field: str, said: dict[str, Any], compatibility: Any) -> None:
    with pytest.raises(errors.Refusal) as refused:
        asked(target, compatibility=compatibility, **said)
    assert refused.value.status == 400
    assert refused.value.field == field


# --- soft losses: dropped and said, or refused by a strict key -------------------------------------

SOFT = [
    *(
        (target, field, {"sampling": {field: 1}})
        for target, fields in {
            "anthropic": ("seed", "frequency_penalty", "presence_penalty"),
            "responses": ("seed", "frequency_penalty", "presence_penalty", "top_k"),
        }.items()
        for field in fields
    ),
    ("anthropic", "verbosity", {"verbosity": "low"}),
    ("gemini", "verbosity", {"verbosity": "low"}),
    ("anthropic", "prompt_cache_key", {"cache_key": "k"}),
    ("gemini", "prompt_cache_key", {"cache_key": "k"}),
    ("gemini", "user", {"user": "u"}),
    ("anthropic", "tools.strict", {"tools": (Tool("t", {}, strict=True),)}),
    ("gemini", "tools.strict", {"tools": (Tool("t", {}, strict=True),)}),
    ("anthropic", "temperature", {"sampling": {"temperature": 0.5}, "effort": "high"}),
    ("anthropic", "top_p", {"sampling": {"temperature": 0.5, "top_p": 0.5}}),
    ("anthropic", "reasoning_effort", {"tools": (LOOK,), "tool_choice": "look", "effort": "low"}),
]


@pytest.mark.parametrize(("target", "field", "said"), SOFT)
def test_soft_losses(target: str, field: str, said: dict[str, Any]) -> None:
    for compatibility in ("warn", "adapt"):
        assert field in asked(target, compatibility=compatibility, **said).dropped()
    with pytest.raises(errors.Refusal) as refused:
        asked(target, compatibility="strict", **said)
    assert (refused.value.status, refused.value.field) == (400, field)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_lost_of_a_plain_request(target: str) -> None:
    said = {"tools": (LOOK,), "output_schema": {"type": "object", "properties": {}}}
    tuned = {"sampling": {"temperature": 0.5}, "output_tokens_max": 100}
    assert asked(target, compatibility="strict", **said, **tuned).warnings == []


# --- sampling and limits ---------------------------------------------------------------------------


def test_sampling_in_each_providers_words() -> None:
    sampling = {"temperature": 0.5, "top_k": 3}
    said = {"sampling": sampling, "output_tokens_max": 9}
    stop = {"stop": ("END",)}
    anthropic = asked("anthropic", **said, **stop).body
    assert (anthropic["temperature"], anthropic["top_k"]) == (0.5, 3)
    assert (anthropic["max_tokens"], anthropic["stop_sequences"]) == (9, ["END"])
    gemini = asked("gemini", **said, **stop, choices=2).body["generationConfig"]
    assert gemini == {
        "maxOutputTokens": 9,
        "candidateCount": 2,
        "stopSequences": ["END"],
        "temperature": 0.5,
        "topK": 3,
    }
    responses = asked("responses", **said).body
    assert (responses["temperature"], responses["max_output_tokens"]) == (0.5, 9)


def test_a_temperature_above_anthropics_scale_is_clamped_and_said() -> None:
    found = asked("anthropic", sampling={"temperature": 1.7})
    assert (found.body["temperature"], found.mapped()) == (1.0, {"temperature"})


def test_anthropic_requires_an_output_cap_and_the_callers_is_never_raised() -> None:
    assert asked("anthropic").body["max_tokens"] == 4_096
    assert asked("anthropic", output_tokens_limit=64_000).body["max_tokens"] == 64_000
    capped = asked("anthropic", output_tokens_limit=64_000, output_tokens_max=5)
    assert capped.body["max_tokens"] == 5


def test_nothing_is_stored_at_openai() -> None:
    assert asked("responses").body["store"] is False


def test_log_probabilities_where_there_are_any() -> None:
    gemini = asked("gemini", top_logprobs=3).body["generationConfig"]
    assert gemini == {"responseLogprobs": True, "logprobs": 3}
    responses = asked("responses", top_logprobs=3).body
    assert responses["top_logprobs"] == 3
    assert responses["include"] == ["message.output_text.logprobs"]


# --- reasoning -------------------------------------------------------------------------------------

EFFORTS = [
    ("anthropic", "low", {"effort": "low"}),
    ("anthropic", "max", {"effort": "max"}),
    ("gemini", "minimal", {"thinkingLevel": "MINIMAL"}),
    ("gemini", "xhigh", {"thinkingLevel": "XHIGH"}),
    ("gemini", "none", {"thinkingBudget": 0}),
    ("responses", "minimal", {"effort": "minimal"}),
    ("responses", "none", {"effort": "none"}),
]


def effort_in(target: str, body: dict[str, Any]) -> Any:
    if target == "anthropic":
        return body["output_config"]
    return (
        body["reasoning"] if target == "responses" else body["generationConfig"]["thinkingConfig"]
    )


@pytest.mark.parametrize(("target", "effort", "wire"), EFFORTS)
def test_efforts_that_are_known(target: str, effort: str, wire: dict[str, Any]) -> None:
    found = asked(target, effort=effort, compatibility="strict")
    assert effort_in(target, found.body) == wire


@pytest.mark.parametrize(
    ("target", "effort", "nearest"),
    [
        ("anthropic", "minimal", {"effort": "low"}),
        ("gemini", "max", {"thinkingLevel": "XHIGH"}),
    ],
)
def test_efforts_that_are_not_known(target: str, effort: str, nearest: dict[str, Any]) -> None:
    for compatibility in ("strict", "warn"):
        with pytest.raises(errors.Refusal) as refused:
            asked(target, effort=effort, compatibility=compatibility)
        assert "low" in refused.value.message, "the supported set is named"
    found = asked(target, effort=effort, compatibility="adapt")
    assert effort_in(target, found.body) == nearest
    assert "reasoning_effort" in found.mapped()


def test_thinking_is_asked_of_anthropic_and_switched_off() -> None:
    assert asked("anthropic", effort="high").body["thinking"]["type"] == "adaptive"
    hidden = asked("anthropic", effort="high", thoughts_shown=False).body
    assert hidden["thinking"]["display"] == "omitted"
    off = asked("anthropic", effort="none").body
    assert off["thinking"] == {"type": "disabled"}
    assert "output_config" not in off


def test_summaries_are_asked_for_where_thoughts_may_be_shown() -> None:
    assert asked("responses", thoughts_shown=True).body["reasoning"] == {"summary": "auto"}
    config = asked("gemini", thoughts_shown=True).body["generationConfig"]["thinkingConfig"]
    assert config == {"includeThoughts": True}


def test_sealed_reasoning_is_asked_for_where_there_is_reasoning() -> None:
    assert "include" not in asked("responses").body
    assert asked("responses", effort="low").body["include"] == ["reasoning.encrypted_content"]


def test_sealed_thoughts_in_the_form_they_came_in() -> None:
    said = Message("assistant", (TextPart("x"),))
    (_, turn) = asked("anthropic", HI, Thought("Hm.", "sig", "anthropic"), said).body["messages"]
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    assert turn["content"][0] == thinking
    redacted = Thought("", "redacted_thinking:blob", "anthropic")
    (_, turn) = asked("anthropic", HI, redacted, said).body["messages"]
    assert turn["content"][0] == {"type": "redacted_thinking", "data": "blob"}
    (_, item, _) = asked("responses", HI, Thought("Hm.", "enc", "openai"), said).body["input"]
    assert item == {"type": "reasoning", "summary": [], "encrypted_content": "enc"}
    (_, turn) = asked("gemini", HI, Thought("Hm.", "sig", "gemini"), CALLS[0]).body["contents"]
    assert turn["parts"][0]["thoughtSignature"] == "sig"
    (_, turn) = asked("gemini", HI, said, Thought("", "sig", "gemini")).body["contents"]
    assert turn["parts"] == [{"text": "x"}, {"text": "", "thoughtSignature": "sig"}]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("issuer", ["", "portico", "somebody"])
def test_thoughts_of_others_are_left_out(target: str, issuer: str) -> None:
    thought = Thought("private thought", "sealed blob", issuer)
    written = str(asked(target, HI, thought, Message("assistant", (TextPart("x"),)), HI).body)
    assert "private thought" not in written
    assert "sealed blob" not in written


# --- tools -----------------------------------------------------------------------------------------


def test_tools_and_choices() -> None:
    anthropic = asked("anthropic", tools=(LOOK,), parallel_calls=False).body
    assert anthropic["tools"] == [
        {"name": "look", "input_schema": LOOK.parameters, "description": "Looks."}
    ]
    assert anthropic["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    gemini = asked("gemini", tools=(LOOK,)).body
    (declared,) = gemini["tools"][0]["functionDeclarations"]
    assert declared == {
        "name": "look",
        "description": "Looks.",
        "parametersJsonSchema": LOOK.parameters,
    }
    responses = asked("responses", tools=(LOOK,)).body
    assert responses["tools"][0]["strict"] is False, "left out, it would be strict there"


@pytest.mark.parametrize(
    ("choice", "anthropic", "gemini", "responses"),
    [
        ("auto", {"type": "auto"}, {"mode": "AUTO"}, "auto"),
        ("none", {"type": "none"}, {"mode": "NONE"}, "none"),
        ("required", {"type": "any"}, {"mode": "ANY"}, "required"),
        (
            "look",
            {"type": "tool", "name": "look"},
            {"mode": "ANY", "allowedFunctionNames": ["look"]},
            {"type": "function", "name": "look"},
        ),
    ],
)
def test_tool_choices(choice: str, anthropic: Any, gemini: Any, responses: Any) -> None:
    said = {"tools": (LOOK,), "tool_choice": choice}
    assert asked("anthropic", **said).body["tool_choice"] == anthropic
    config = asked("gemini", **said).body["toolConfig"]
    assert config == {"functionCallingConfig": gemini}
    assert asked("responses", **said).body["tool_choice"] == responses


def test_tools_of_free_text() -> None:
    patch = Tool("patch", {}, "Patches.", custom=True)
    assert asked("responses", tools=(patch,), tool_choice="patch").body["tools"] == [
        {"type": "custom", "name": "patch", "description": "Patches."}
    ]
    for target in ("anthropic", "gemini"):
        found = asked(target, tools=(patch,))
        assert found.mapped() == {"tools[patch]"}
        assert "'input': {'type': 'string'}" in str(found.body)
    history = (HI, ToolCall("c", "patch", "+x", custom=True), result("c"))
    (_, call, output) = asked("responses", *history).body["input"]
    assert (call["type"], call["input"]) == ("custom_tool_call", "+x")
    assert output["type"] == "custom_tool_call_output"
    assert asked("anthropic", *history).body["messages"][1]["content"][0]["input"] == {
        "input": "+x"
    }


def test_results_come_first_and_in_the_order_of_their_calls() -> None:
    """Chat clients send a message between, and results in any order."""
    history = (HI, *CALLS, result("b", "B"), HI, result("a", "A"))
    (_, _, turn) = asked("anthropic", *history).body["messages"]
    assert [block.get("tool_use_id") for block in turn["content"]] == ["a", "b", None]
    (_, _, turn) = asked("gemini", *history).body["contents"]
    told = [part.get("functionResponse", {}).get("response") for part in turn["parts"]]
    assert told == [{"output": "A"}, {"output": "B"}, None]


def test_gemini_pairs_by_name_and_gets_no_ids() -> None:
    body = asked("gemini", HI, *CALLS, result("a"), result("b", name="renamed")).body
    assert "id" not in body["contents"][1]["parts"][0]["functionCall"]
    names = [part["functionResponse"]["name"] for part in body["contents"][2]["parts"]]
    assert names == ["look", "renamed"]


def test_calls_made_at_once_have_one_signature() -> None:
    parts = asked("gemini", HI, *CALLS).body["contents"][1]["parts"]
    lost = "skip_thought_signature_validator"
    assert [part.get("thoughtSignature") for part in parts] == [lost, None]


def test_a_tool_that_failed() -> None:
    history = (HI, CALLS[0], result("a", "no such file", failed=True))
    (_, _, turn) = asked("anthropic", *history).body["messages"]
    assert turn["content"][0]["is_error"] is True
    (_, _, turn) = asked("gemini", *history).body["contents"]
    assert turn["parts"][0]["functionResponse"]["response"] == {"error": "no such file"}
    found = asked("responses", *history)
    assert found.body["input"][2]["output"] == "Error: no such file"
    assert found.mapped() == {"is_error"}


def test_results_with_images() -> None:
    seen = ToolResult("a", (TextPart("see"), ImagePart(PNG)))
    history = (HI, CALLS[0], seen)
    (_, _, turn) = asked("anthropic", *history).body["messages"]
    assert [block["type"] for block in turn["content"][0]["content"]] == ["text", "image"]
    (_, _, turn) = asked("gemini", *history).body["contents"]
    (media,) = turn["parts"][0]["functionResponse"]["parts"]
    assert media["inlineData"]["mimeType"] == "image/png"
    output = asked("responses", *history).body["input"][2]["output"]
    assert [part["type"] for part in output] == ["input_text", "input_image"]


@pytest.mark.parametrize(
    ("arguments", "object"),
    [
        ("", {}),
        ('{"a":1}', {"a": 1}),
        ('{"a":', {"raw_arguments": '{"a":'}),
        ("[1]", {"raw_arguments": "[1]"}),
    ],
)
def test_edge_08_partial_arguments_are_wrapped_where_objects_are_wanted(
    arguments: str, object: Any
) -> None:
    history = (HI, ToolCall("a", "look", arguments), result("a"))
    assert asked("anthropic", *history).body["messages"][1]["content"][0]["input"] == object
    part = asked("gemini", *history).body["contents"][1]["parts"][0]
    assert part["functionCall"]["args"] == object
    sent = asked("responses", *history).body["input"][1]["arguments"]
    assert sent == (arguments or "{}"), "verbatim where they are text"


# --- media -----------------------------------------------------------------------------------------


def test_images_and_files_in_each_providers_words() -> None:
    said = Message("user", (ImagePart(PNG), FilePart("JVBERg==", "application/pdf", "a.pdf")))
    (turn,) = asked("anthropic", said).body["messages"]
    image, document = turn["content"]
    data = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert image == {"type": "image", "source": data}
    assert (document["type"], document["title"]) == ("document", "a.pdf")
    (turn,) = asked("gemini", said).body["contents"]
    mime = [part["inlineData"]["mimeType"] for part in turn["parts"]]
    assert mime == ["image/png", "application/pdf"]
    (turn,) = asked("responses", said).body["input"]
    assert turn["content"][0] == {"type": "input_image", "image_url": PNG, "detail": "auto"}
    assert turn["content"][1]["file_data"] == "data:application/pdf;base64,JVBERg=="


def test_400_media_that_a_provider_cannot_take_is_named() -> None:
    for part, field in (
        (AudioPart("UklGRg==", "wav"), "input_audio"),
        (FilePart("eA==", "text/csv"), "file"),
    ):
        with pytest.raises(errors.Refusal) as refused:
            asked("anthropic", Message("user", (part,)))
        assert refused.value.field == field
    sound = Message("user", (AudioPart("UklGRg==", "wav"),))
    (turn,) = asked("gemini", sound).body["contents"]
    assert turn["parts"][0]["inlineData"]["mimeType"] == "audio/wav"
    (turn,) = asked("responses", sound).body["input"]
    assert turn["content"][0]["input_audio"] == {"data": "UklGRg==", "format": "wav"}


# --- instructions ----------------------------------------------------------------------------------


def test_instructions() -> None:
    items = (Message("system", (TextPart("A"),)), Message("developer", (TextPart("B"),)), HI)
    assert asked("anthropic", *items, compatibility="strict").body["system"] == "A\n\nB"
    gemini = asked("gemini", *items, compatibility="strict").body
    assert gemini["systemInstruction"] == {"parts": [{"text": "A\n\nB"}]}
    responses = asked("responses", *items).body["input"]
    assert [item["role"] for item in responses] == ["system", "developer", "user"]


@pytest.mark.parametrize("target", ["anthropic", "gemini"])
def test_later_instructions_are_moved_and_said(target: str) -> None:
    found = asked(target, HI, Message("system", (TextPart("Later."),)), HI)
    assert found.mapped() == {"messages"}
    assert "Later." in str(found.body.get("system") or found.body["systemInstruction"])


@pytest.mark.parametrize("target", ["anthropic", "gemini"])
def test_instructions_alone_are_asked_as_a_question(target: str) -> None:
    found = asked(target, Message("system", (TextPart("Say hi."),)))
    (turn,) = found.body.get("messages") or found.body["contents"]
    assert turn["role"] == "user"
    assert not found.body.keys() & {"system", "systemInstruction"}


def test_turns_alternate_and_empty_text_is_left_out() -> None:
    items = (HI, HI, Message("assistant", (TextPart(""),)), CALLS[0], result("a"), HI)
    roles = [message["role"] for message in asked("anthropic", *items).body["messages"]]
    assert roles == ["user", "assistant", "user"]
    roles = [content["role"] for content in asked("gemini", *items).body["contents"]]
    assert roles == ["user", "model", "user"]


# --- JSON ------------------------------------------------------------------------------------------


def test_schemas_of_answers() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = asked("anthropic", output_schema=schema).body
    form = body["output_config"]["format"]
    assert form["schema"] == {**schema, "additionalProperties": False}
    config = asked("gemini", output_schema=schema).body["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    form = asked("responses", output_schema=schema, output_strict=True).body["text"]["format"]
    assert (form["schema"], form["strict"]) == (schema, True)


def test_any_json_object() -> None:
    config = asked("gemini", output_schema={}).body["generationConfig"]
    assert config == {"responseMimeType": "application/json"}
    assert asked("responses", output_schema={}).body["text"] == {"format": {"type": "json_object"}}
    for compatibility in ("strict", "warn"):
        with pytest.raises(errors.Refusal) as refused:
            asked("anthropic", output_schema={}, compatibility=compatibility)
        assert refused.value.field == "response_format"
    found = asked("anthropic", output_schema={}, compatibility="adapt")
    assert "JSON object" in found.body["system"]
    assert found.mapped() == {"response_format"}


@pytest.mark.parametrize("target", ["anthropic", "gemini"])
def test_references_are_written_out_and_keywords_dropped(target: str) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/name"}, "b": {"$ref": "#/$defs/name"}},
        "$defs": {"name": {"type": "string", "pattern": "x"}},
    }
    found = asked(target, output_schema=schema)
    assert found.dropped() == {"response_format:pattern"}
    written = str(found.body)
    assert "$ref" not in written
    assert "$defs" not in written
    assert "'a': {'type': 'string'}, 'b': {'type': 'string'}" in written


@pytest.mark.parametrize("target", ["anthropic", "gemini"])
def test_400_recursive_schemas_name_the_place(target: str) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    with pytest.raises(errors.Refusal) as refused:
        asked(target, output_schema=node)
    assert refused.value.code == "invalid_json_schema"
    assert refused.value.field == "response_format.properties.next.properties.next"
    assert asked("responses", output_schema=node).warnings == [], "it takes them"


@pytest.mark.parametrize("target", ["anthropic", "gemini"])
def test_400_schemas_that_refer_to_nothing_or_grow_without_end(target: str) -> None:
    with pytest.raises(errors.Refusal):
        asked(
            target, output_schema={"properties": {"a": {"$ref": "#/$defs/none"}}, "type": "object"}
        )
    bomb: dict[str, Any] = {"$defs": {"d0": {"type": "string"}}, "$ref": "#/$defs/d20"}
    for at in range(1, 21):
        twice = {name: {"$ref": f"#/$defs/d{at - 1}"} for name in "ab"}
        bomb["$defs"][f"d{at}"] = {"type": "object", "properties": twice}
    with pytest.raises(errors.Refusal) as refused:
        asked(target, output_schema=bomb)
    assert "too large" in refused.value.message
