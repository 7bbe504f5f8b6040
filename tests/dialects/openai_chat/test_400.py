"""Requests that are refused: which field, which value, which limit."""

import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from .bodies import PNG, TOOL, WAV, data_url, encoded, image, refused, sound, user

NAMED = {"type": "function", "function": {"name": "nope"}}
SCHEMA_AT = "response_format.json_schema.schema"


def schema(value: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": value}}


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [fields]}


def calls(*made: Any) -> dict[str, Any]:
    return message(role="assistant", tool_calls=list(made))


TEXT = {"type": "text", "text": "x"}
LONG = 10**70
DEEP: Any = "x"
for _ in range(70):
    DEEP = [DEEP]

CASES: list[tuple[dict[str, Any], str, str | None, Any]] = [
    # fields, code, field, limit
    ({"model": None}, "invalid_type", "model", "a string"),
    ({"model": ""}, "out_of_range", "model", 1),
    ({"model": "m" * 300}, "out_of_range", "model", 256),
    ({"messages": []}, "out_of_range", "messages", 1),
    ({"messages": None}, "invalid_type", "messages", "an array"),
    ({"messages": ["x"]}, "invalid_type", "messages[0]", "an object"),
    (message(content="x"), "missing_field", "messages[0].role", "required"),
    (message(role="robot", content="x"), "invalid_value", "messages[0].role", ...),
    (message(role=7, content="x"), "invalid_type", "messages[0].role", "a string"),
    (message(role="user"), "missing_field", "messages[0].content", "required"),
    (message(role="user", content=None), "invalid_type", "messages[0].content", ...),
    (message(role="tool", content="x"), "missing_field", "messages[0].tool_call_id", "required"),
    (message(role="function", content="x"), "missing_field", "messages[0].name", "required"),
    (calls({"id": 1}), "invalid_type", "messages[0].tool_calls[0].id", "a string"),
    (calls({"id": "1"}), "missing_field", "messages[0].tool_calls[0].function", "required"),
    (
        calls({"id": "1", "function": {"name": "f", "arguments": {}}}),
        "invalid_type",
        "messages[0].tool_calls[0].function.arguments",
        "a string",
    ),
    (
        calls({"id": "1", "type": "custom"}),
        "missing_field",
        "messages[0].tool_calls[0].custom",
        "required",
    ),
    ({"messages": user({"type": "video"})}, "invalid_value", "messages[0].content[0].type", ...),
    ({"messages": user(TEXT, {"type": "text"})}, "missing_field", "messages[0].content[1].text", ...),
    ({"messages": user({"type": "file", "file": {}})}, "missing_field", "messages[0].content[0].file.file_data", ...),
    ({"messages": user({"type": "file", "file": {"file_id": "file_1"}})}, "unsupported_feature", "messages[0].content[0].file.file_id", ...),
    ({"n": 0}, "out_of_range", "n", 1),
    ({"n": 129}, "out_of_range", "n", 128),
    ({"n": "2"}, "invalid_type", "n", "an integer or null"),
    ({"n": True}, "invalid_type", "n", "an integer or null"),
    ({"max_tokens": -1}, "out_of_range", "max_tokens", 1),
    ({"max_completion_tokens": 0}, "out_of_range", "max_completion_tokens", 1),
    ({"temperature": 2.1}, "out_of_range", "temperature", 2),
    ({"temperature": -0.1}, "out_of_range", "temperature", 0),
    ({"top_p": 1.5}, "out_of_range", "top_p", 1),
    ({"presence_penalty": 3}, "out_of_range", "presence_penalty", 2),
    ({"frequency_penalty": -3}, "out_of_range", "frequency_penalty", -2),
    ({"top_logprobs": 21, "logprobs": True}, "out_of_range", "top_logprobs", 20),
    ({"top_logprobs": 3}, "invalid_value", "top_logprobs", "logprobs: true"),
    ({"stop": ["a"] * 5}, "out_of_range", "stop", 4),
    ({"stop": ["a", ""]}, "out_of_range", "stop[1]", 1),
    ({"stop": 5}, "invalid_type", "stop", "a string or an array or null"),
    ({"seed": 2**64}, "out_of_range", "seed", 2**63 - 1),
    ({"seed": 1.5}, "invalid_type", "seed", "an integer or null"),
    ({"logit_bias": {"a": 1}}, "invalid_value", "logit_bias", "token ids in decimal digits"),
    ({"logit_bias": {"1": 101}}, "out_of_range", "logit_bias.1", 100),
    ({"logit_bias": {"1": True}}, "invalid_type", "logit_bias.1", "a number"),
    ({"logit_bias": [1]}, "invalid_type", "logit_bias", "an object or null"),
    ({"stream": "yes"}, "invalid_type", "stream", "true or false or null"),
    ({"stream_options": {}}, "invalid_value", "stream_options", "stream: true"),
    ({"stream": True, "stream_options": 1}, "invalid_type", "stream_options", ...),
    ({"response_format": {"type": "xml"}}, "invalid_value", "response_format.type", ["text", "json_object", "json_schema"]),
    ({"response_format": {"type": "json_schema"}}, "missing_field", "response_format.json_schema", ...),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}}, "invalid_value", "response_format.json_schema.name", ...),
    ({"response_format": schema({"type": "strng"})}, "invalid_json_schema", f"{SCHEMA_AT}.type", ...),
    ({"response_format": schema({"properties": {"a": 1}})}, "invalid_json_schema", f"{SCHEMA_AT}.properties.a", ...),
    ({"response_format": schema({"properties": []})}, "invalid_json_schema", f"{SCHEMA_AT}.properties", ...),
    ({"response_format": schema({"required": "a"})}, "invalid_json_schema", f"{SCHEMA_AT}.required", ...),
    ({"response_format": schema({"items": {"enum": []}})}, "invalid_json_schema", f"{SCHEMA_AT}.items.enum", ...),
    ({"response_format": schema({"anyOf": []})}, "invalid_json_schema", f"{SCHEMA_AT}.anyOf", ...),
    ({"response_format": schema({"$ref": "http://x/y"})}, "invalid_json_schema", f"{SCHEMA_AT}.$ref", ...),
    ({"response_format": schema({"$ref": "#/$defs/a"})}, "invalid_json_schema", f"{SCHEMA_AT}.$ref", ...),
    ({"tools": {}}, "invalid_type", "tools", "an array or null"),
    ({"tools": [{}]}, "missing_field", "tools[0].type", "required"),
    ({"tools": [{"type": "function"}]}, "missing_field", "tools[0].function", "required"),
    ({"tools": [{"type": "custom"}]}, "missing_field", "tools[0].custom", "required"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "invalid_value", "tools[0].function.name", ...),
    ({"tools": [{"type": "function", "function": {"name": "a", "parameters": 1}}]}, "invalid_type", "tools[0].function.parameters", ...),
    ({"tool_choice": "any"}, "invalid_value", "tool_choice", ["auto", "none", "required"]),
    ({"tool_choice": "required"}, "missing_field", "tools", "required"),
    ({"tool_choice": {"type": "any"}}, "invalid_value", "tool_choice.type", ["function", "custom", "allowed_tools"]),
    ({"tool_choice": NAMED, "tools": [TOOL]}, "invalid_value", "tool_choice.function.name", ["get_weather"]),
    ({"tool_choice": NAMED}, "invalid_value", "tool_choice.function.name", []),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}, "tools": [TOOL]}, "invalid_value", "tool_choice.allowed_tools.tools[0].function.name", ["get_weather"]),
    ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "invalid_value", "function_call.name", ["f"]),
    ({"modalities": ["smell"]}, "invalid_value", "modalities[0]", ["audio", "text"]),
    ({"modalities": ["audio"]}, "missing_field", "audio", "required"),
    ({"reasoning_effort": "huge"}, "invalid_value", "reasoning_effort", ...),
    ({"verbosity": "loud"}, "invalid_value", "verbosity", ["high", "low", "medium"]),
    ({"service_tier": "gold"}, "invalid_value", "service_tier", ...),
    ({"prompt_cache_retention": "1h"}, "invalid_value", "prompt_cache_retention", ...),
    ({"metadata": {str(n): "x" for n in range(17)}}, "out_of_range", "metadata", 16),
    ({"metadata": {"a": 1}}, "invalid_type", "metadata.a", "a string"),
    ({"metadata": {"a" * 65: "x"}}, "out_of_range", "metadata", 64),
    ({"metadata": {"a": "x" * 513}}, "out_of_range", "metadata.a", 512),
    ({"user": 1}, "invalid_type", "user", "a string or null"),
    ({"unknown": LONG}, "out_of_range", "unknown", 64),
    ({"unknown": {"a": [DEEP]}}, "json_too_deep", ..., 64),
    ({"messages": user(image("http://example.com/a.png"))}, "media_url_not_supported", "messages[0].content[0].image_url.url", "data:"),
    ({"messages": user(TEXT, image("file:///etc/passwd"))}, "media_url_not_supported", "messages[0].content[1].image_url.url", "data:"),
    ({"messages": user(image("data:image/png,xyz"))}, "invalid_media", "messages[0].content[0].image_url.url", ...),
    ({"messages": user(image("data:image/png;base64,"))}, "invalid_media", "messages[0].content[0].image_url.url", ...),
    ({"messages": user(image("data:image/png;base64,AAA"))}, "invalid_media", "messages[0].content[0].image_url.url", ...),
    ({"messages": user(image("data:image/png;base64,A=AA"))}, "invalid_media", "messages[0].content[0].image_url.url", ...),
    ({"messages": user(image("data:image/png;base64,AA A"))}, "invalid_media", "messages[0].content[0].image_url.url", ...),
    ({"messages": user(image(data_url(b"<svg>" + bytes(20))))}, "invalid_media", "messages[0].content[0].image_url.url", "PNG, JPEG, GIF or WEBP"),
    ({"messages": user(sound(PNG, "wav"))}, "invalid_media", "messages[0].content[0].input_audio.data", "wav"),
    ({"messages": user(sound(WAV, "mp3"))}, "invalid_media", "messages[0].content[0].input_audio.data", "mp3"),
    ({"messages": user(sound(WAV, "ogg"))}, "invalid_value", "messages[0].content[0].input_audio.format", ["mp3", "wav"]),
    ({"messages": user({"type": "file", "file": {"file_data": "http://x"}})}, "media_url_not_supported", "messages[0].content[0].file.file_data", "data:"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "code", "field", "limit"), CASES, ids=[json.dumps(c[0])[:70] for c in CASES]
)
def test_refused(fields: dict[str, Any], code: str, field: Any, limit: Any) -> None:
    refusal = refused(encoded(**fields))
    assert (refusal.status, refusal.code) == (400, code)
    if field is not ...:
        assert refusal.field == field
    if limit is not ...:
        assert refusal.limit == limit
    assert refusal.limit is not None
    # The field stands in the message too, for those who read only that.
    assert refusal.field is not None
    assert f"'{refusal.field}'" in refusal.message or code == "json_too_deep"


@pytest.mark.parametrize("field", ["model", "messages"])
def test_required(field: str) -> None:
    body = json.loads(encoded())
    del body[field]
    refusal = refused(json.dumps(body).encode())
    assert (refusal.status, refusal.code, refusal.field) == (400, "missing_field", field)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "invalid_json", None),
        (b"   ", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"model": "m",}', "invalid_json", None),
        (b"{'model': 'm'}", "invalid_json", None),
        (b"model=m", "invalid_json", None),
        (b'{"a": 1} {"b": 2}', "invalid_json", None),
        (b'{"a": 01}', "invalid_json", None),
        (b'{"a": "\x01"}', "invalid_json", None),
        (b'{"a": "\xff"}', "invalid_json", None),
        (b'{"a": {"b": NaN}}', "invalid_json", "a.b"),
        (b'{"a": [1, -Infinity]}', "invalid_json", "a[1]"),
        ('{"model":"m"}'.encode("utf-16"), "invalid_json", None),
        (b"[]", "body_not_an_object", None),
        (b"null", "body_not_an_object", None),
        (b'"text"', "body_not_an_object", None),
        (b"1e5", "body_not_an_object", None),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "json_too_deep", "a" + ".a" * 63),
        (b'{"a":' + b"[" * 200_000, "json_too_deep", None),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "json_too_deep", None),
        (b'{"a":[' + b"1" * 65 + b"]}", "out_of_range", "a[0]"),
        (b'{"a":-' + b"1" * 5_000 + b"}", "out_of_range", "a"),
        (b'{"a":0.' + b"1" * 65 + b"}", "out_of_range", "a"),
        (b'{"a":1e999}', "out_of_range", "a"),
        (rb'{"messages":[{"role":"user","content":"x\ud83d"}]}', "lone_surrogate", "messages[0].content"),
        (rb'{"a":"\ud83dx"}', "lone_surrogate", "a"),
        (rb'{"a":"\ude00\ud83d"}', "lone_surrogate", "a"),
        (b'{"a":{"b":["\xed\xa0\xbd"]}}', "lone_surrogate", "a.b[0]"),
        (rb'{"a":{"\ud83d":1}}', "lone_surrogate", "a"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_not_even_json(body: bytes, code: str, field: str | None) -> None:
    refusal = refused(body)
    assert (refusal.status, refusal.code, refusal.field) == (400, code, field)


def test_sixty_four_levels_and_digits_are_fine() -> None:
    deep: Any = 1
    for _ in range(63):  # and the body itself
        deep = {"a": deep}
    body = encoded(unknown=deep, number=10**64 - 1)
    assert b"9" * 64 in body
    assert refused(body[:-1] + b',"n":0}').field == "n"


def test_an_escaped_backslash_is_no_surrogate() -> None:
    assert refused(rb'{"a":"\\ud83d"}').field == "model"


def test_the_words() -> None:
    bodies = [
        encoded(n=0),
        encoded(stop=["a"] * 5),
        encoded(reasoning_effort="huge"),
        encoded(temperature="hot"),
        encoded(messages=user(image("https://example.com/" + "x" * 100))),
        rb'{"a":["\ud83d"]}',
        b'{"a": "\xff"}',
        b'{"a": tru}',
    ]
    assert [refused(body).message for body in bodies] == snapshot(
        [
            "'n' is 0; it must be at least 1.",
            "'stop' has 5 items; it must have at most 4.",
            '\'reasoning_effort\' is "huge"; it must be one of: "high", "low", "max", "medium", "minimal", "none", "xhigh".',
            "'temperature' is \"hot\"; it must be a number or null.",
            "'messages[0].content[0].image_url.url' is \"https://example.com/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... (122 characters); only `data:` URLs are read, nothing is fetched.",
            "'a[0]' is \"\\ud83d\"; it holds half a surrogate pair, which is no character.",
            "The body is not valid JSON: byte 0xff at position 7 is not UTF-8.",
            "The body is not valid JSON: invalid character (byte 10).",
        ]
    )


def test_values_are_kept_short() -> None:
    refusal = refused(encoded(tool_choice="x" * 100_000))
    assert len(refusal.message) < 400
    assert len(refusal.value) < 200
