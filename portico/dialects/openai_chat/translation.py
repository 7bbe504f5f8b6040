"""A request of another dialect, as Chat: the way to the engines that speak it."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from portico.canon.conversation import (
    AudioPart,
    Conversation,
    FilePart,
    ImagePart,
    Item,
    Message,
    Part,
    RefusalPart,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from portico.canon.prompt import Prompt
from portico.dialects.losses import Losses
from portico.dialects.openai_chat.parse import DIALECT
from portico.dialects.openai_chat.plain import fields_of

CUSTOM_INPUT = "input"
"""The one parameter of the function that stands for a tool of free text."""


def as_chat(prompt: Prompt, conversation: Conversation, *, extras: bool) -> Prompt:
    """`prompt` as if it had come in this dialect, to be streamed.  What is lost is added to the
    warnings of the original.

    extras: the engine takes what llama.cpp, vLLM and SGLang take beyond OpenAI's fields.
    Raises: Refusal: something in it cannot be said in Chat.
    """
    losses = Losses(prompt.compatibility)
    body = {
        "model": prompt.model,
        "messages": list(_messages(conversation.items, losses, extras=extras)),
        "stream": True,
        "n": prompt.choices if prompt.choices > 1 else None,
        "max_completion_tokens": prompt.output_tokens_max,
        **_answer(conversation),
        **_sampling(conversation, losses, extras=extras),
        **_tools(conversation, losses),
    }
    losses.declare(prompt, conversation)
    written = msgspec.json.encode({name: said for name, said in body.items() if said is not None})
    return replace(
        prompt,
        dialect=DIALECT,
        body=written,
        fields=fields_of(written),
        stream=True,
        wants_usage=False,
    )


def custom_tools(conversation: Conversation) -> frozenset[str]:
    """Names of the tools that take free text, which Chat engines are shown as functions."""
    return frozenset(tool.name for tool in conversation.tools if tool.custom)


def _messages(items: Iterable[Item], losses: Losses, *, extras: bool) -> Iterator[dict[str, Any]]:
    """One assistant message for everything between two other turns, and a tool message for each
    result: Chat wants them straight behind the calls."""
    said: dict[str, Any] = {}
    for item in items:
        match item:
            case Message(role="assistant"):
                content, refusal = _spoken(item.parts)
                if "content" in said or "tool_calls" in said:
                    yield _whole(said)
                    said = {}
                said |= {"content": content or None}
                said |= {"refusal": refusal} if refusal else {}
            case Thought():
                if item.text and extras:
                    said["reasoning_content"] = item.text
            case ToolCall():
                said.setdefault("tool_calls", []).append(_call(item))
            case _:
                if said:
                    yield _whole(said)
                    said = {}
                yield _other(item, losses)
    if said:
        yield _whole(said)


def _whole(said: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, **said}


def _other(item: Message | ToolResult, losses: Losses) -> dict[str, Any]:
    if isinstance(item, ToolResult):
        content = _content(item.parts, losses)
        if item.failed:
            losses.map("is_error", "a tool's failure is said in its text")
            content = _failed(content)
        return {"role": "tool", "tool_call_id": item.call_id, "content": content}
    # Only OpenAI's own servers know "developer"; all know "system".
    role = "system" if item.role == "developer" else item.role
    return {"role": role, "content": _content(item.parts, losses)}


def _failed(content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return f"Error: {content}"
    return [{"type": "text", "text": "Error:"}, *content]


def _spoken(parts: tuple[Part, ...]) -> tuple[str, str]:
    """Text and refusal of an assistant's turn."""
    text = "".join(part.text for part in parts if isinstance(part, TextPart))
    return text, "".join(part.text for part in parts if isinstance(part, RefusalPart))


def _content(parts: tuple[Part, ...], losses: Losses) -> str | list[dict[str, Any]]:
    if all(isinstance(part, TextPart | RefusalPart) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, TextPart | RefusalPart))
    return [_part(part, losses) for part in parts]


def _part(part: Part, losses: Losses) -> dict[str, Any]:
    match part:
        case TextPart() | RefusalPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            image = {"url": part.url} | ({"detail": part.detail} if part.detail else {})
            return {"type": "image_url", "image_url": image}
        case AudioPart():
            sound = {"data": part.data, "format": part.format}
            return {"type": "input_audio", "input_audio": sound}
        case FilePart():
            url = f"data:{part.media_type};base64,{part.data}"
            file = {"file_data": url, "filename": part.name or "file"}
            return {"type": "file", "file": file}


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = call.arguments
    if call.custom:
        arguments = msgspec.json.encode({CUSTOM_INPUT: arguments}).decode()
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments or "{}"},
    }


def _tools(conversation: Conversation, losses: Losses) -> dict[str, Any]:
    if not conversation.tools:
        return {}
    choice = conversation.tool_choice
    named = {"type": "function", "function": {"name": choice}}
    return {
        "tools": [_tool(tool, losses) for tool in conversation.tools],
        "tool_choice": choice if choice in ("auto", "none", "required") else named,
        "parallel_tool_calls": conversation.parallel_calls,
    }


def _tool(tool: Tool, losses: Losses) -> dict[str, Any]:
    parameters = tool.parameters
    if tool.custom:
        losses.map(f"tools[{tool.name}]", "free text is asked for as a function's only parameter")
        parameters = {
            "type": "object",
            "properties": {CUSTOM_INPUT: {"type": "string"}},
            "required": [CUSTOM_INPUT],
        }
    function: dict[str, Any] = {"name": tool.name, "parameters": parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _answer(conversation: Conversation) -> dict[str, Any]:
    """The shape of the answer."""
    schema = conversation.output_schema
    form: dict[str, Any] | None = None
    if schema is not None:
        form = {"type": "json_object"}
    if schema:
        wanted: dict[str, Any] = {"name": conversation.output_name, "schema": schema}
        if conversation.output_strict is not None:
            wanted["strict"] = conversation.output_strict
        form = {"type": "json_schema", "json_schema": wanted}
    top = conversation.top_logprobs
    return {
        "response_format": form,
        "logprobs": None if top is None else True,
        "top_logprobs": top or None,
        "stop": list(conversation.stop) or None,
        "reasoning_effort": conversation.effort or None,
        "verbosity": conversation.verbosity or None,
        "user": conversation.user or None,
        "prompt_cache_key": conversation.cache_key or None,
    }


def _sampling(conversation: Conversation, losses: Losses, *, extras: bool) -> dict[str, Any]:
    chosen = conversation.sampling
    said = {
        "temperature": chosen.temperature,
        "top_p": chosen.top_p,
        "frequency_penalty": chosen.frequency_penalty,
        "presence_penalty": chosen.presence_penalty,
        "seed": chosen.seed,
        "logit_bias": chosen.logit_bias,
    }
    if chosen.top_k is not None and not extras:
        losses.drop("top_k", "Chat Completions has none", chosen.top_k)
    elif chosen.top_k is not None:
        said["top_k"] = chosen.top_k
    return said
