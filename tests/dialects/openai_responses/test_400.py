"""What is refused: which field, which value, and what it may be."""

import json
from typing import Any

import pytest

from portico import errors
from portico.dialects.openai_responses.errors import render
from portico.errors import Refusal

from .bodies import NAMESPACE, PARSER, PATCH, TOOL, call, refused, result, says

PART = {"type": "input_image", "image_url": "https://example.com/a.png"}


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"model": ""}, "out_of_range", "model"),
        ({"input": None}, "missing_field", "input"),
        ({"input": []}, "out_of_range", "input"),
        ({"input": 7}, "invalid_type", "input"),
        ({"input": [7]}, "invalid_type", "input[0]"),
        ({"input": [{"content": "Hi"}]}, "missing_field", "input[0].type"),
        ({"input": [{"type": "nonsense"}]}, "invalid_value", "input[0].type"),
        ({"input": [{"role": "robot", "content": ""}]}, "invalid_value", "input[0].role"),
        (
            {"input": [{"role": "user", "content": [{"type": "smell"}]}]},
            "invalid_value",
            "input[0].content[0].type",
        ),
        ({"max_output_tokens": 0}, "out_of_range", "max_output_tokens"),
        ({"temperature": 3}, "out_of_range", "temperature"),
        ({"top_logprobs": 21}, "out_of_range", "top_logprobs"),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"truncation": "some"}, "invalid_value", "truncation"),
        ({"include": ["everything"]}, "invalid_value", "include[0]"),
        ({"reasoning": {"effort": "huge"}}, "invalid_value", "reasoning.effort"),
        ({"reasoning": {"summary": "long"}}, "invalid_value", "reasoning.summary"),
        ({"service_tier": "gold"}, "invalid_value", "service_tier"),
        ({"text": {"verbosity": "loud"}}, "invalid_value", "text.verbosity"),
        ({"text": {"format": {"type": "xml"}}}, "invalid_value", "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "missing_field", "text.format.name"),
        (
            {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "no"}}}},
            "invalid_json_schema",
            "text.format.schema.type",
        ),
        ({"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
        # tools
        ({"tools": [{"type": "function"}]}, "missing_field", "tools[0].name"),
        ({"tools": [{"type": "namespace", "name": "a", "tools": [{"type": "custom"}]}]},
         "missing_field", "tools[0].tools[0].name"),
        ({"tools": [{**TOOL, "name": "a b"}]}, "invalid_value", "tools[0].name"),
        ({"tools": [TOOL, TOOL]}, "invalid_value", "tools[1].name"),
        ({"tool_choice": "required"}, "missing_field", "tools"),
        ({"tools": [TOOL], "tool_choice": "any"}, "invalid_value", "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "missing_field",
         "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}, "invalid_value",
         "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom", "name": "get_weather"}},
         "invalid_value", "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "tools": [TOOL]}},
         "missing_field", "tool_choice.mode"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
         "missing_field", "tool_choice.tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "mode": "auto",
                                           "tools": [PATCH]}},
         "invalid_value", "tool_choice.tools[0].name"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "mode": "auto",
                                           "tools": [{"type": "mcp"}]}},
         "invalid_value", "tool_choice.tools[0].type"),
        ({"tools": [NAMESPACE], "tool_choice": {"type": "function", "name": "spawn",
                                                "namespace": "other"}},
         "invalid_value", "tool_choice.name"),
        # a tool that only its server could run, asked for by name
        ({"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
         "unsupported_feature", "tool_choice.type"),
        ({"tools": [{"type": "mcp"}], "tool_choice": {"type": "allowed_tools", "mode": "required",
                                                      "tools": [{"type": "mcp"}]}},
         "unsupported_feature", "tool_choice.tools"),
        # pairs
        ({"input": [says("Hi"), result("c1")]}, "invalid_value", "input[1].call_id"),
        ({"input": [says("Hi"), call("c1")]}, "invalid_value", "input[1].call_id"),
        ({"input": [result("c1"), call("c1")]}, "invalid_value", "input[0].call_id"),
        ({"input": [call("c1"), call("c1"), result("c1")]}, "invalid_value", "input[1].call_id"),
        # media
        ({"input": [{"role": "user", "content": [PART]}]}, "media_url_not_supported",
         "input[0].content[0].image_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "missing_field",
         "input[0].content[0].image_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]},
         "unsupported_feature", "input[0].content[0].file_id"),
        ({"input": [call("c1"), result("c1", [PART])]}, "media_url_not_supported",
         "input[1].output[0].image_url"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(fields: dict[str, Any], code: str, field: str) -> None:
    refusal = refused(**fields)
    assert (refusal.code, refusal.field) == (code, field)
    assert f"'{field}'" in refusal.message
    assert 400 <= refusal.status < 500


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"background": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "rs_1"}]}, "input[0].id"),
        ({"input": [{"id": "rs_1"}]}, "input[0].id"),
    ],
)
def test_what_needs_a_server_that_stores_says_so(fields: dict[str, Any], field: str) -> None:
    refusal = refused(**fields)
    assert (refusal.code, refusal.field) == ("unsupported_feature", field)
    assert "does not store responses yet" in refusal.message
    assert refusal.remedy.startswith(("Send", "Leave"))


@pytest.mark.parametrize(
    "fields", [{"background": False}, {"previous_response_id": None}, {"conversation": None}]
)
def test_what_says_no_to_storing_is_let_pass(fields: dict[str, Any]) -> None:
    prompt = PARSER.create(json.dumps({"model": "m", "input": "", **fields}).encode(), {})
    assert prompt.model == "m"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"x"', b"{", b'{"model":1}', b'{"model":"m","input":"\\ud83d"}']
)
def test_edge_27_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        PARSER.create(body, {})
    assert 400 <= caught.value.status < 500
    assert set(json.loads(render(caught.value))["error"]) >= {"message", "type", "param", "code"}


def test_fields_are_called_as_they_are_called_here() -> None:
    refusal = errors.CONTEXT_LENGTH("'max_completion_tokens' is 9.", field="max_completion_tokens")
    error = json.loads(render(refusal))["error"]
    assert (error["param"], error["code"]) == ("max_output_tokens", "context_length_exceeded")
    assert error["message"].startswith("'max_output_tokens' is 9.")
