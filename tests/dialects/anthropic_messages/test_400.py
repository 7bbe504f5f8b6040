"""Requests that are refused: which field, which value, which limit."""

import json
from typing import Any

import pytest

from portico.dialects.anthropic_messages.errors import render
from portico.errors import Refusal

from .bodies import (
    PNG,
    WEATHER,
    assistant,
    base64_of,
    called,
    document,
    encoded,
    image,
    read,
    refused,
    result,
    text,
    user,
)

URL = {"type": "url", "url": "https://example.com/a.png"}
SCHEMA = {"type": "json_schema", "schema": {"type": "strange"}}


def asked(*blocks: Any) -> dict[str, Any]:
    return {"messages": [user(*blocks)]}


def said(*blocks: Any) -> dict[str, Any]:
    return {"messages": [user(text("a")), assistant(*blocks)]}


AT = "messages[0].content[0]"
CASES: list[tuple[dict[str, Any], str, str, Any]] = [
    # fields, code, field, limit
    ({"model": None}, "invalid_type", "model", "a string"),
    ({"model": ""}, "out_of_range", "model", 1),
    ({"max_tokens": 0}, "out_of_range", "max_tokens", 1),
    ({"max_tokens": "5"}, "invalid_type", "max_tokens", "an integer"),
    ({"max_tokens": 1.5}, "invalid_type", "max_tokens", "an integer"),
    ({"messages": []}, "out_of_range", "messages", 1),
    ({"messages": "Hello"}, "invalid_type", "messages", "an array"),
    ({"messages": [7]}, "invalid_type", "messages[0]", "an object"),
    ({"messages": [{"content": "x"}]}, "missing_field", "messages[0].role", "required"),
    (
        {"messages": [{"role": "tool", "content": "x"}]},
        "invalid_value",
        "messages[0].role",
        ["user", "assistant", "system"],
    ),
    ({"messages": [{"role": "user"}]}, "missing_field", "messages[0].content", "required"),
    (
        {"messages": [{"role": "user", "content": None}]},
        "invalid_type",
        "messages[0].content",
        "a string or an array",
    ),
    (asked({"type": "video"}), "invalid_value", f"{AT}.type", ...),
    (asked({"text": "x"}), "missing_field", f"{AT}.type", "required"),
    (asked({"type": "text"}), "missing_field", f"{AT}.text", "required"),
    (asked(called()), "invalid_value", f"{AT}.type", ...),
    (said(image()), "invalid_value", "messages[1].content[0].type", ...),
    (
        said({"type": "tool_use", "id": "a", "name": "f", "input": "{}"}),
        "invalid_type",
        "messages[1].content[0].input",
        "an object",
    ),
    (said(called("")), "out_of_range", "messages[1].content[0].id", 1),
    (asked(result()), "invalid_value", f"{AT}.tool_use_id", []),
    (asked(image(b"GIF", "image/png")), "invalid_media", f"{AT}.source.data", ...),
    (asked(image(PNG, "image/tiff")), "invalid_value", f"{AT}.source.media_type", ...),
    (
        asked({"type": "image", "source": URL}),
        "media_url_not_supported",
        f"{AT}.source.url",
        "base64",
    ),
    (
        asked({"type": "document", "source": URL}),
        "media_url_not_supported",
        f"{AT}.source.url",
        "base64",
    ),
    (
        asked({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        "unsupported_feature",
        f"{AT}.source.file_id",
        "base64",
    ),
    (
        asked({"type": "container_upload", "file_id": "file_1"}),
        "unsupported_feature",
        f"{AT}.file_id",
        "document, image",
    ),
    (
        asked(document(type="base64", media_type="application/pdf", data="?")),
        "invalid_media",
        f"{AT}.source.data",
        ...,
    ),
    (
        asked(document(type="content", content=[{"type": "image", "source": URL}])),
        "media_url_not_supported",
        f"{AT}.source.content[0].source.url",
        "base64",
    ),
    (
        {
            "messages": [
                user(text("a")),
                assistant(called()),
                user(result([{"type": "image", "source": URL}])),
            ]
        },
        "media_url_not_supported",
        "messages[2].content[0].content[0].source.url",
        "base64",
    ),
    ({"system": 7}, "invalid_type", "system", ...),
    ({"system": [image()]}, "invalid_value", "system[0].type", ...),
    ({"stop_sequences": [""]}, "out_of_range", "stop_sequences[0]", 1),
    ({"stop_sequences": "x"}, "invalid_type", "stop_sequences", ...),
    ({"stream": "yes"}, "invalid_type", "stream", ...),
    ({"temperature": 1.1}, "out_of_range", "temperature", 1),
    ({"top_p": -0.1}, "out_of_range", "top_p", 0),
    ({"top_k": -1}, "out_of_range", "top_k", 0),
    ({"metadata": {"user_id": 7}}, "invalid_type", "metadata.user_id", ...),
    ({"service_tier": "priority"}, "invalid_value", "service_tier", ["auto", "standard_only"]),
    ({"thinking": {"type": "maybe"}}, "invalid_value", "thinking.type", ...),
    ({"thinking": {"type": "enabled"}}, "missing_field", "thinking.budget_tokens", "required"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 1000}},
        "out_of_range",
        "thinking.budget_tokens",
        1024,
    ),
    (
        {"thinking": {"type": "adaptive", "display": "loud"}},
        "invalid_value",
        "thinking.display",
        ["omitted", "summarized"],
    ),
    ({"output_config": {"effort": "none"}}, "invalid_value", "output_config.effort", ...),
    (
        {"output_config": {"format": {"type": "xml"}}},
        "invalid_value",
        "output_config.format.type",
        ["json_schema"],
    ),
    (
        {"output_config": {"format": SCHEMA}},
        "invalid_json_schema",
        "output_config.format.schema.type",
        ...,
    ),
    ({"output_format": SCHEMA}, "invalid_json_schema", "output_format.schema.type", ...),
    ({"tools": [{"name": "a b", "input_schema": {}}]}, "invalid_value", "tools[0].name", ...),
    ({"tools": [{"name": "f"}]}, "missing_field", "tools[0].input_schema", "required"),
    ({"tools": [{"input_schema": {}}]}, "missing_field", "tools[0].name", "required"),
    ({"tool_choice": {"type": "any"}}, "missing_field", "tools", "required"),
    ({"tool_choice": {"type": "required"}}, "invalid_value", "tool_choice.type", ...),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "nope"}},
        "invalid_value",
        "tool_choice.name",
        ["get_weather"],
    ),
    ({"tool_choice": {"type": "tool"}}, "missing_field", "tool_choice.name", "required"),
]


def envelope(refusal: Refusal) -> dict[str, Any]:
    body = json.loads(render(refusal, "req_1"))
    assert set(body) == {"type", "error", "request_id"}
    assert (body["type"], body["request_id"]) == ("error", "req_1")
    error = body["error"]
    assert set(error) == {"type", "message", "details"}
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize(
    ("fields", "code", "field", "limit"), CASES, ids=lambda value: str(value)[:50]
)
def test_400_names_field_and_limit(
    fields: dict[str, Any], code: str, field: str, limit: Any
) -> None:
    refusal = refused(**fields)
    assert (refusal.code, refusal.status, refusal.field) == (code, 400, field)
    if limit is not ...:
        assert refusal.limit == limit
    error = envelope(refusal)
    assert error["type"] == "invalid_request_error"
    assert field in error["message"]
    assert error["details"]["error_code"] == code


@pytest.mark.parametrize("name", ["model", "messages", "max_tokens"])
def test_400_for_what_is_missing(name: str) -> None:
    body = json.loads(encoded())
    del body[name]
    with pytest.raises(Refusal) as caught:
        read(json.dumps(body).encode(), {})
    assert (caught.value.code, caught.value.field) == ("missing_field", name)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "body_not_an_object"),
        (b'{"a":"\\ud83d"}', "lone_surrogate"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "json_too_deep"),
        (b'{"a":\xff}', "invalid_json"),
    ],
)
def test_400_for_what_is_no_object(body: bytes, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(body, {})
    assert caught.value.code == code
    envelope(caught.value)


def test_413_for_a_file_that_is_too_large() -> None:
    data = base64_of(b"\x89PNG\r\n\x1a\n" + bytes(20_100_000))
    source = {"type": "base64", "media_type": "image/png", "data": data}
    refusal = refused(messages=[user({"type": "image", "source": source})])
    assert (refusal.code, refusal.status) == ("media_too_large", 413)
    assert envelope(refusal)["type"] == "request_too_large"
