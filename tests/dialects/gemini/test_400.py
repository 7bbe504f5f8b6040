"""Bodies that are refused: each names the field, the value and what it may be."""

import json
from typing import Any

import pytest

from portico.dialects.gemini.embedding import parse_embed
from portico.dialects.gemini.strictness import check, check_embedding
from portico.errors import Refusal

from .bodies import (
    HINTS,
    PNG,
    TOOLS,
    b64,
    blob,
    call,
    model,
    parse,
    parse_streamed,
    parsed,
    refused,
    request,
    response,
    user,
)

CONFIG = "generationConfig"


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"temperature": 3}, "out_of_range", "temperature"),
        ({"temperature": "warm"}, "invalid_type", "temperature"),
        ({"topP": 2}, "out_of_range", "topP"),
        ({"topK": 1.5}, "invalid_type", "topK"),
        ({"candidateCount": 0}, "out_of_range", "candidateCount"),
        ({"maxOutputTokens": 0}, "out_of_range", "maxOutputTokens"),
        ({"stopSequences": ["a"] * 6}, "out_of_range", "stopSequences"),
        ({"stopSequences": [""]}, "out_of_range", "stopSequences[0]"),
        ({"logprobs": 3}, "invalid_value", "logprobs"),
        ({"responseLogprobs": True, "logprobs": 21}, "out_of_range", "logprobs"),
        ({"responseMimeType": "text/x.enum"}, "invalid_value", "responseMimeType"),
        ({"responseSchema": {"type": "THING"}}, "invalid_json_schema", "responseSchema.type"),
        (
            {"responseJsonSchema": {"properties": {"a": 1}}},
            "invalid_json_schema",
            "responseJsonSchema.properties.a",
        ),
        (
            {"responseSchema": {"type": "STRING"}, "responseJsonSchema": {"type": "string"}},
            "invalid_value",
            "responseSchema",
        ),
        ({"responseModalities": ["TEXT", "IMAGE"]}, "unsupported_feature", "responseModalities"),
        ({"responseModalities": ["SMELL"]}, "invalid_value", "responseModalities"),
        ({"responseFormat": {"audio": {"a": 1}}}, "unsupported_feature", "responseFormat"),
        (
            {"thinkingConfig": {"thinkingLevel": "SOME"}},
            "invalid_value",
            "thinkingConfig.thinkingLevel",
        ),
        (
            {"thinkingConfig": {"thinkingBudget": -2}},
            "out_of_range",
            "thinkingConfig.thinkingBudget",
        ),
    ],
)
def test_how_to_answer(fields: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(generationConfig=fields)
    assert (refusal.code, refusal.field) == (code, f"{CONFIG}.{field}")


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"contents": []}, "out_of_range", "contents"),
        ({"contents": 1}, "invalid_type", "contents"),
        ({"contents": ["Hello"]}, "invalid_type", "contents[0]"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "invalid_type", "contents[0].parts[0].text"),
        ({"contents": [{"role": "assistant"}]}, "invalid_value", "contents[0].role"),
        ({"cachedContent": "cachedContents/x"}, "unsupported_feature", "cachedContent"),
        ({"serviceTier": "scale"}, "invalid_value", "serviceTier"),
        (
            {"tools": [{"functionDeclarations": [{"name": "a b"}]}]},
            "invalid_value",
            "tools[0].functionDeclarations[0].name",
        ),
        (
            {
                "tools": [
                    {
                        "functionDeclarations": {
                            "name": "a",
                            "parameters": {},
                            "parametersJsonSchema": {},
                        }
                    }
                ]
            },
            "invalid_value",
            "tools[0].functionDeclarations.parameters",
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}},
            "invalid_value",
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
            "missing_field",
            "tools[0].functionDeclarations",
        ),
        (
            {
                "tools": [{"googleSearch": {}}],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            },
            "missing_field",
            "tools[0].functionDeclarations",
        ),
        (
            {
                "tools": TOOLS,
                "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["other"]}},
            },
            "invalid_value",
            "toolConfig.functionCallingConfig.allowedFunctionNames",
        ),
    ],
)
def test_what_is_asked(fields: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(**fields)
    assert (refusal.code, refusal.field) == (code, field)


@pytest.mark.parametrize(
    ("part", "code", "field"),
    [
        (
            {"fileData": {"fileUri": "https://example.com/a.png"}},
            "media_url_not_supported",
            "fileData.fileUri",
        ),
        ({"inlineData": {"data": "x"}}, "missing_field", "inlineData.mimeType"),
        (blob(b"", "image/png"), "invalid_media", "inlineData.data"),
        (blob(b"not a picture", "image/png"), "invalid_media", "inlineData.data"),
        (blob(PNG, "audio/wav"), "invalid_media", "inlineData.data"),
        (blob(b"\xff\xfe", "text/plain"), "invalid_media", "inlineData.data"),
        (blob(b"x", "video/mp4"), "invalid_value", "inlineData.mimeType"),
        (blob(b"x", "image/heic"), "invalid_value", "inlineData.mimeType"),
        (
            {"inlineData": {"mimeType": "image/png", "data": b64(PNG)[:-1] + "!"}},
            "invalid_media",
            "inlineData.data",
        ),
        (response(), "invalid_value", "functionResponse"),
        ({"functionCall": {"args": {}}}, "missing_field", "functionCall.name"),
        ({"functionCall": {"name": "f", "args": "{}"}}, "invalid_type", "functionCall.args"),
    ],
)
def test_parts(part: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(user("Hi", part))
    assert (refusal.code, refusal.field) == (code, f"contents[0].parts[1].{field}")


def test_a_response_too_many() -> None:
    refusal = refused(model(call()), user(response(), response()))
    assert refusal.field == "contents[1].parts[1].functionResponse"
    refusal = refused(user(response()), model(call()))
    assert refusal.field == "contents[0].parts[0].functionResponse"


def test_a_file_inside_a_response() -> None:
    part = response()
    part["functionResponse"]["parts"] = [{"fileData": {"fileUri": "gs://a/b"}}]
    refusal = refused(model(call()), user(part))
    assert refusal.code == "media_url_not_supported"
    assert refusal.field == "contents[1].parts[0].functionResponse.parts[0].fileData.fileUri"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"contents":NaN}', b"null"])
def test_what_is_no_request_at_all(body: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        parse(body, HINTS)
    assert refusal.value.status == 400


def test_no_model_anywhere() -> None:
    with pytest.raises(Refusal) as refusal:
        parse(json.dumps(request()).encode(), {})
    assert (refusal.value.code, refusal.value.field) == ("missing_field", "model")


def test_a_framing_nobody_knows() -> None:
    with pytest.raises(Refusal) as refusal:
        parse_streamed(json.dumps(request()).encode(), {**HINTS, ":query": "alt=proto"})
    assert (refusal.value.field, refusal.value.value) == ("alt", "proto")
    assert refusal.value.limit == ["sse", "json"]


def test_a_strict_key_is_refused_fields_nobody_knows() -> None:
    known = parsed(
        generation_config={}, safetySettings=[], tool_config={}, labels={}, cachedContent=""
    )
    check(known)
    with pytest.raises(Refusal) as refusal:
        check(parsed(mystery=1))
    assert (refusal.value.code, refusal.value.field) == ("unknown_field", "mystery")


def test_a_strict_key_is_refused_what_no_engine_is_told() -> None:
    body = {"content": user("a"), "output_dimensionality": 4}
    check_embedding(parse_embed(json.dumps(body).encode(), HINTS))
    with pytest.raises(Refusal) as refusal:
        check_embedding(parse_embed(json.dumps({**body, "taskType": "x"}).encode(), HINTS))
    assert (refusal.value.code, refusal.value.field) == ("unsupported_feature", "taskType")
