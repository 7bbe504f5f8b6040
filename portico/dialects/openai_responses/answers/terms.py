"""What the writer of an answer must know of its request."""

from dataclasses import dataclass
from typing import Any

import msgspec

from portico.canon.prompt import Prompt
from portico.dialects.openai_responses.conversation import choice_of
from portico.dialects.openai_responses.offered import Offered, offered
from portico.dialects.openai_responses.remote.servers import shown
from portico.dialects.openai_responses.request import ReasoningOptions, ResponsesRequest

_TOLD_ELSEWHERE = ("model", "input", "stream")


@dataclass(frozen=True, slots=True)
class Terms:
    """
    echo: the members of every response object that say how it was asked for.
    names: by the name an engine calls a tool: where the caller defined it.
    callable: names of tools that may be called; None: any.
    summarises: thoughts are shown as a summary of them.
    seals: thoughts are given back sealed, too.
    """

    echo: dict[str, Any]
    names: dict[str, Offered]
    callable: frozenset[str] | None
    summarises: bool
    seals: bool


def terms_of(prompt: Prompt) -> Terms:
    """Reads what is small: of `input` nothing is needed any more."""
    said = {
        name: msgspec.json.decode(raw)
        for name, raw in prompt.fields.items()
        if name not in _TOLD_ELSEWHERE
    }
    request = msgspec.convert({**said, "model": prompt.model}, ResponsesRequest)
    can_call = offered(request.tools)
    reasoning = request.reasoning or ReasoningOptions()
    return Terms(
        echo=_echo(said, prompt),
        names={one.name: one for one in can_call},
        callable=_callable(request, can_call),
        summarises=bool(reasoning.summary or reasoning.generate_summary),
        seals="reasoning.encrypted_content" in (request.include or ()),
    )


def _callable(request: ResponsesRequest, can_call: list[Offered]) -> frozenset[str] | None:
    choice, allowed = choice_of(request, can_call)
    return frozenset() if choice == "none" else allowed


def _echo(said: dict[str, Any], prompt: Prompt) -> dict[str, Any]:
    """Every member that strict clients require, with its default where nothing was said."""

    def of(name: str, default: Any = None) -> Any:
        value = said.get(name)
        return default if value is None else value

    reasoning, text, among = of("reasoning", {}), of("text", {}), of("conversation")
    tier = prompt.service_tier
    return {
        "instructions": of("instructions"),
        "max_output_tokens": of("max_output_tokens"),
        "max_tool_calls": of("max_tool_calls"),
        "model": prompt.model,
        "parallel_tool_calls": of("parallel_tool_calls", True),
        "previous_response_id": of("previous_response_id"),
        "prompt_cache_key": of("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "safety_identifier": of("safety_identifier"),
        "service_tier": "default" if tier == "standard" else tier,
        "store": prompt.kept,
        "temperature": of("temperature", 1.0),
        "text": {**text, "format": text.get("format") or {"type": "text"}},
        "tool_choice": of("tool_choice", "auto"),
        "tools": [_tool(tool) for tool in of("tools", [])],
        "top_logprobs": of("top_logprobs", 0),
        "top_p": of("top_p", 1.0),
        "presence_penalty": of("presence_penalty", 0.0),
        "frequency_penalty": of("frequency_penalty", 0.0),
        "truncation": of("truncation", "disabled"),
        "background": of("background", False),
        **({"conversation": {"id": _id(among)}} if among else {}),
        "user": of("user"),
        "metadata": of("metadata", {}),
    }


def _id(conversation: Any) -> Any:
    return conversation["id"] if isinstance(conversation, dict) else conversation


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") == "mcp":
        return shown(tool)
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None, **tool}
