"""A request on its way to a server that speaks Responses: the caller's own, else translated.

Nothing is kept there: state is this server's, and what is stored in the operator's account by its
id would be there for every caller who knows that id.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

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
from portico.dialects.openai_responses.reader import ISSUER
from portico.dialects.outbound.hosted import NOTHING, by_type, without_hosted, without_kept
from portico.dialects.outbound.translation import Body, Translation, present
from portico.dialects.outbound.turns import with_legal_ids

_SEALED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
_hosted = by_type(
    "web_search",
    "file_search",
    "code_interpreter",
    "image_generation",
    "mcp",
    "programmatic_tool_calling",
)
"""Beginnings of the types of tools that the provider runs itself."""


def passed(prompt: Prompt, model: str, losses: Losses) -> Body:
    """The caller's own request.  Raises: Refusal."""
    fields: Body = {**prompt.fields, "model": model, "store": False}
    without_kept(fields, _KEPT_ELSEWHERE, losses)
    if fields.pop("background", None) not in (*NOTHING, msgspec.Raw(b"false")):
        raise losses.refusal("background", "its answer would be kept in the operator's account")
    without_hosted(fields, _hosted, _chosen, losses)
    return fields


def _chosen(choice: Any) -> str:
    return str(choice.get("type", "")) if isinstance(choice, dict) else ""


def translated(t: Translation) -> Body:
    """Any other request.  Raises: Refusal: something in it cannot be said here."""
    conversation = t.conversation
    _check(t)
    return present(
        {
            "model": t.model,
            "input": list(_input(conversation, t.losses)),
            **_tools(conversation),
            "text": _text(conversation),
            "reasoning": _reasoning(conversation),
            "include": _include(conversation),
            "max_output_tokens": t.prompt.output_tokens_max,
            "temperature": conversation.sampling.temperature,
            "top_p": conversation.sampling.top_p,
            "top_logprobs": conversation.top_logprobs or None,
            "safety_identifier": conversation.user or None,
            "prompt_cache_key": conversation.cache_key or None,
            "store": False,
            "stream": True,
        }
    )


def _check(t: Translation) -> None:
    """What Responses has not."""
    conversation, chosen = t.conversation, t.conversation.sampling
    t.refuse("n", t.prompt.choices if t.prompt.choices > 1 else None, "it gives one answer")
    t.refuse("logit_bias", chosen.logit_bias, "it has none")
    t.refuse("stop", conversation.stop, "it has no stop sequences")
    t.lack(
        seed=chosen.seed,
        top_k=chosen.top_k,
        frequency_penalty=chosen.frequency_penalty,
        presence_penalty=chosen.presence_penalty,
    )


# --- what was said ---------------------------------------------------------------------------------


def _input(conversation: Conversation, losses: Losses) -> Iterator[Body]:
    custom: set[str] = set()
    for item in with_legal_ids(conversation.items):
        if isinstance(item, ToolCall) and item.custom:
            custom.add(item.id)
        said = _item(item, custom, losses)
        if said is not None:
            yield said


def _item(item: Item, custom: set[str], losses: Losses) -> Body | None:
    match item:
        case Message(role="assistant"):
            content = [_spoken(part, losses) for part in item.parts]
            return {"type": "message", "role": "assistant", "content": content} if content else None
        case Message():
            content = [_part(part) for part in item.parts]
            return {"type": "message", "role": item.role, "content": content}
        case ToolCall():
            kind, given = ("custom_tool_call", "input") if item.custom else _FUNCTION
            said = item.arguments if item.custom else item.arguments or "{}"
            return {"type": kind, "call_id": item.id, "name": item.name, given: said}
        case ToolResult():
            kind = "custom_tool_call_output" if item.call_id in custom else "function_call_output"
            return {"type": kind, "call_id": item.call_id, "output": _output(item, losses)}
        case Thought() if item.sealed and item.issuer == ISSUER:
            return {"type": "reasoning", "summary": [], "encrypted_content": item.sealed}
    return None


_FUNCTION = ("function_call", "arguments")


def _output(result: ToolResult, losses: Losses) -> str | list[Body]:
    if result.failed:
        losses.map("is_error", "a tool's failure is said in its text")
    if all(isinstance(part, TextPart | RefusalPart) for part in result.parts):
        return f"Error: {result.text}" if result.failed else result.text
    failed: list[Body] = [{"type": "input_text", "text": "Error:"}] if result.failed else []
    return [*failed, *(_part(part) for part in result.parts)]


def _spoken(part: Part, losses: Losses) -> Body:
    match part:
        case TextPart():
            return {"type": "output_text", "text": part.text, "annotations": []}
        case RefusalPart():
            return {"type": "refusal", "refusal": part.text}
    raise losses.refusal("messages", "a model's turn holds text only here")


def _part(part: Part) -> Body:
    match part:
        case TextPart() | RefusalPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart():
            image: Body = {"type": "input_image", "image_url": part.url}
            return image | {"detail": part.detail or "auto"}
        case AudioPart():
            sound = {"data": part.data, "format": part.format}
            return {"type": "input_audio", "input_audio": sound}
        case FilePart():
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_file", "file_data": url, "filename": part.name or "file"}


# --- what it may do --------------------------------------------------------------------------------


def _tools(conversation: Conversation) -> Body:
    if not conversation.tools:
        return {}
    choice: Any = conversation.tool_choice
    if choice not in ("auto", "none", "required"):
        custom = any(tool.custom for tool in conversation.tools if tool.name == choice)
        choice = {"type": "custom" if custom else "function", "name": choice}
    return {
        "tools": [_tool(tool) for tool in conversation.tools],
        "tool_choice": choice,
        "parallel_tool_calls": conversation.parallel_calls,
    }


def _tool(tool: Tool) -> Body:
    described = {"description": tool.description} if tool.description else {}
    if tool.custom:
        return {"type": "custom", "name": tool.name, **described}
    return {
        "type": "function",
        "name": tool.name,
        **described,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
        # Said always: what is left out is strict here, and not strict anywhere else.
        "strict": bool(tool.strict),
    }


def _text(conversation: Conversation) -> Body | None:
    text: Body = {"verbosity": conversation.verbosity} if conversation.verbosity else {}
    if conversation.output_schema:
        text["format"] = {
            "type": "json_schema",
            "name": conversation.output_name,
            "schema": conversation.output_schema,
            "strict": bool(conversation.output_strict),
        }
    elif conversation.output_schema is not None:
        text["format"] = {"type": "json_object"}
    return text or None


def _reasoning(conversation: Conversation) -> Body | None:
    said: Body = {"effort": conversation.effort} if conversation.effort else {}
    if conversation.thoughts_shown:
        said["summary"] = "auto"
    return said or None


def _include(conversation: Conversation) -> list[str] | None:
    """Sealed reasoning only where there is some: models that do not reason refuse the word."""
    reasons = conversation.effort not in ("", "none") or any(
        isinstance(item, Thought) and item.issuer == ISSUER for item in conversation.items
    )
    logprobs = conversation.top_logprobs is not None
    wanted = [name for name, said in ((_SEALED, reasons), (_LOGPROBS, logprobs)) if said]
    return wanted or None
