"""What a provider signed comes back to it, whichever server is asked next; and from nobody else's
project.  Only the caller carries it: each server here is made anew, with the same secret."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from portico.app.spoken.dialects import spoken
from portico.canon.delta import Delta, Event, Finished, Sealed, ToolArguments, ToolCallBegan
from portico.canon.prompt import Prompt
from portico.dialects.body import PROJECT
from portico.dialects.gemini import upstream as gemini
from portico.dialects.losses import Losses
from portico.dialects.outbound.translation import Translation
from portico.door.dialect import Dialect
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal

SIGNATURE = "c2lnbmF0dXJl"
CALL: tuple[Event, ...] = (
    ToolCallBegan(0, "call_1", "look"),
    ToolArguments(0, "{}"),
    Finished("tool_calls"),
)
PARAMETERS = {"type": "object", "properties": {}}
TOOLS = {
    "/v1/responses": [{"type": "function", "name": "look", "parameters": PARAMETERS}],
    "/v1/messages": [{"name": "look", "input_schema": PARAMETERS}],
    "/v1/models/{id}:generateContent": [{"functionDeclarations": [{"name": "look"}]}],
}


@dataclass(frozen=True)
class Speech:
    """first: a request; again: the next one, of what was answered to it."""

    path: str
    first: dict[str, Any]
    again: Callable[[Any], dict[str, Any]]
    field: str


SPEECHES = [
    Speech(
        "/v1/responses",
        {"model": "m", "input": "x", "include": ["reasoning.encrypted_content"]},
        lambda said: {
            "input": [
                *said["output"],
                {"type": "function_call_output", "call_id": "call_1", "output": "y"},
            ]
        },
        "input[0].encrypted_content",
    ),
    Speech(
        "/v1/messages",
        {
            "model": "m",
            "max_tokens": 9,
            "thinking": {"type": "adaptive"},
            "messages": [{"role": "user", "content": "x"}],
        },
        lambda said: {
            "messages": [
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": said["content"]},
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": said["content"][-1]["id"],
                            "content": "y",
                        }
                    ],
                },
            ]
        },
        "messages[1].content[0].signature",
    ),
    Speech(
        "/v1/models/{id}:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
        lambda said: {
            "contents": [
                said["candidates"][0]["content"],
                {
                    "role": "user",
                    "parts": [{"functionResponse": {"name": "look", "response": {"output": "y"}}}],
                },
            ]
        },
        "contents[0].parts[0].thoughtSignature",
    ),
]
EVERY = pytest.mark.parametrize("speech", SPEECHES, ids=[each.path for each in SPEECHES])


def server(path: str) -> Dialect:
    return spoken(Seal([b"s" * 32]), SystemClock()).generating[path]


def parsed(speech: Speech, document: dict[str, Any], project_id: str) -> Prompt:
    body = json.dumps({**speech.first, "tools": TOOLS[speech.path], **document}).encode()
    return server(speech.path).parse(body, {PROJECT: project_id, ":rest": "m", ":query": ""})


def next_request(speech: Speech, issuer: str) -> dict[str, Any]:
    """Of a caller of `proj_a`, who was answered with a call signed by `issuer`."""
    prompt = parsed(speech, {}, "proj_a")
    writer = server(speech.path).writer(prompt, "req_1", 0)
    delta = Delta(events=(Sealed(SIGNATURE, issuer), *CALL), last=True, finish="tool_calls")
    return speech.again(json.loads(writer.write(delta)))


def asked_of_gemini(prompt: Prompt) -> dict[str, Any]:
    body = gemini.translated(Translation(prompt, prompt.conversation(), Losses("warn"), "m"))
    calls: dict[str, Any] = next(
        part for turn in body["contents"] for part in turn["parts"] if "functionCall" in part
    )
    return calls


@EVERY
def test_a_signature_is_carried_by_the_caller_alone(speech: Speech) -> None:
    prompt = parsed(speech, next_request(speech, "gemini"), "proj_a")
    assert asked_of_gemini(prompt)["thoughtSignature"] == SIGNATURE


@EVERY
def test_one_of_another_issuer_is_not_shown_to_gemini(speech: Speech) -> None:
    prompt = parsed(speech, next_request(speech, "openai"), "proj_a")
    assert asked_of_gemini(prompt)["thoughtSignature"] == gemini.NO_SIGNATURE


@EVERY
def test_400_what_was_sealed_for_another_project(speech: Speech) -> None:
    # The provider's own signature passes as it is where its own dialect, or one with a seal of its
    # own, is spoken: what is sealed here is every other one.
    issuer = {"/v1/responses": "gemini", "/v1/messages": "gemini"}.get(speech.path, "openai")
    document = next_request(speech, issuer)
    parsed(speech, document, "proj_a")
    with pytest.raises(Refusal) as caught:
        parsed(speech, document, "proj_b")
    assert (caught.value.code, caught.value.status) == ("sealed_item_invalid", 400)
    assert caught.value.field == speech.field
    assert SIGNATURE not in caught.value.message


@EVERY
def test_400_what_was_changed_on_the_way(speech: Speech) -> None:
    issuer = {"/v1/responses": "gemini", "/v1/messages": "gemini"}.get(speech.path, "openai")
    document = json.dumps(next_request(speech, issuer))
    name = speech.field.rpartition(".")[2]
    start = document.index(f'"{name}": "') + len(name) + 5
    at = start + 40
    other = "A" if document[at] != "A" else "B"
    with pytest.raises(Refusal) as caught:
        parsed(speech, json.loads(document[:at] + other + document[at + 1 :]), "proj_a")
    assert caught.value.code == "sealed_item_invalid"
