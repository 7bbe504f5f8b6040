"""Requests of a provider's own dialect: what is passed on, and what never is."""

import json
from typing import Any

import msgspec
import pytest

from portico import errors
from portico.canon.conversation import Conversation
from portico.canon.prompt import Compatibility, Prompt
from portico.dialects.anthropic_messages import upstream as messages
from portico.dialects.gemini import upstream as gemini
from portico.dialects.losses import Losses
from portico.dialects.openai_responses import upstream as responses

PASSED = {
    "anthropic": messages.passed,
    "gemini": gemini.passed,
    "responses": responses.passed,
}


def passed(
    target: str, compatibility: Compatibility = "warn", **members: Any
) -> tuple[dict[str, Any], str]:
    """The body as sent, and the warnings."""
    raw = json.dumps({"model": "public-name", **members}).encode()
    prompt = Prompt(
        dialect="",
        model="public-name",
        stream=False,
        body=raw,
        fields=msgspec.json.decode(raw, type=dict[str, msgspec.Raw]),
        wants_usage=False,
        choices=1,
        output_tokens_max=None,
        input_tokens_guess=0,
        needs=frozenset(),
        conversation=lambda: Conversation(()),
    )
    losses = Losses(compatibility)
    body = PASSED[target](prompt, "big", losses)
    return json.loads(msgspec.json.encode(body)), " ".join(losses.warnings)


def test_every_member_keeps_its_place_and_its_value() -> None:
    said = {"messages": [], "max_tokens": 5, "made_up": {"deep": [1, None, 1.50]}}
    body, warnings = passed("anthropic", **said)
    assert list(body) == ["model", "messages", "max_tokens", "made_up"]
    assert body == {**said, "model": "big"}
    assert warnings == ""


def test_a_model_that_stands_in_the_path_does_not_stand_in_the_body() -> None:
    assert passed("gemini", contents=[], stream=True)[0] == {"contents": []}


@pytest.mark.parametrize(
    ("target", "field", "value"),
    [
        ("anthropic", "container", "container_of_somebody"),
        ("gemini", "cachedContent", "cachedContents/of-somebody"),
        ("gemini", "cached_content", "cachedContents/of-somebody"),
        ("responses", "previous_response_id", "resp_of_somebody"),
        ("responses", "conversation", "conv_of_somebody"),
        ("responses", "prompt", {"id": "pmpt_of_somebody"}),
        ("responses", "background", True),
    ],
)
@pytest.mark.parametrize("compatibility", ["strict", "warn", "adapt"])
def test_400_what_is_kept_in_the_operators_account_is_for_no_caller(
    target: str, field: str, value: Any, compatibility: Compatibility
) -> None:
    with pytest.raises(errors.Refusal) as refused:
        passed(target, compatibility, **{field: value})
    assert (refused.value.status, refused.value.field) == (400, field)
    passed(target, compatibility, **{field: None})


def test_nothing_is_stored_whatever_the_caller_says() -> None:
    assert passed("responses", store=True)[0]["store"] is False
    assert "store" not in passed("gemini", store=True)[0]


HOSTED = [
    ("anthropic", {"type": "web_search_20250305", "name": "web_search"}, "web_search"),
    ("anthropic", {"type": "code_execution_20250825", "name": "code_execution"}, "code_execution"),
    ("responses", {"type": "web_search"}, "web_search"),
    ("responses", {"type": "mcp", "server_label": "x"}, "mcp"),
    ("responses", {"type": "file_search", "vector_store_ids": ["vs_of_somebody"]}, "file_search"),
]
OWN = {
    "anthropic": [{"name": "look", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}],
    "responses": [{"type": "function", "name": "look"}, {"type": "local_shell"}],
}


@pytest.mark.parametrize(("target", "tool", "name"), HOSTED)
def test_tools_that_the_provider_runs_are_dropped_and_said(
    target: str, tool: dict[str, Any], name: str
) -> None:
    body, warnings = passed(target, tools=[*OWN[target], tool], tool_choice="auto")
    assert body["tools"] == OWN[target], "tools that the caller runs stay"
    assert f'field="tools[{name}]"; action=dropped' in warnings
    body, _ = passed(target, tools=[tool], tool_choice="auto")
    assert not body.keys() & {"tools", "tool_choice"}
    with pytest.raises(errors.Refusal):
        passed(target, "strict", tools=[tool])


@pytest.mark.parametrize(
    ("target", "choice"),
    [
        ("anthropic", {"type": "tool", "name": "web_search"}),
        ("responses", {"type": "web_search"}),
    ],
)
def test_400_a_tool_of_the_provider_cannot_be_insisted_on(target: str, choice: Any) -> None:
    (tool,) = [each for at, each, name in HOSTED if at == target and name == "web_search"]
    with pytest.raises(errors.Refusal) as refused:
        passed(target, tools=[tool], tool_choice=choice)
    assert (refused.value.status, refused.value.field) == (400, "tool_choice")


@pytest.mark.parametrize("name", ["googleSearch", "google_search", "codeExecution", "urlContext"])
def test_googles_tools_are_dropped_and_said(name: str) -> None:
    functions = {"functionDeclarations": [{"name": "look"}]}
    body, warnings = passed("gemini", tools=[functions, {name: {}}])
    assert body["tools"] == [functions]
    assert f'field="tools[{name}]"; action=dropped' in warnings
    assert passed("gemini", tools=[{**functions, name: {}}])[0]["tools"] == [functions]
    assert "tools" not in passed("gemini", tools=[{name: {}}])[0]


def test_edge_21_members_of_betas_are_left_out_and_said() -> None:
    body, warnings = passed("anthropic", context_management={"edits": []}, messages=[])
    assert "context_management" not in body
    assert 'field="context_management"; action=dropped' in warnings
