"""A request on its way to Anthropic: the caller's own where it speaks Messages, else translated."""

from collections.abc import Iterator
from typing import Any

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
    ToolCall,
    ToolResult,
)
from portico.canon.prompt import Prompt
from portico.dialects.anthropic_messages.reader import ISSUER, REDACTED
from portico.dialects.losses import Losses
from portico.dialects.media import kind_and_data
from portico.dialects.outbound.hosted import by_type, without_hosted, without_kept
from portico.dialects.outbound.schemas import closed, narrowed
from portico.dialects.outbound.translation import (
    Body,
    Translation,
    asked_alone,
    function_of,
    instructions_of,
    object_of,
    present,
)
from portico.dialects.outbound.turns import History, Turn, history_of

OUTPUT_TOKENS_DEFAULT = 4_096
"""`max_tokens` is required.  What every model of the last years makes, where the provider does not
say how much this one can."""

_EFFORTS = {word: word for word in ("low", "medium", "high", "xhigh", "max")}
_NEAREST = {"minimal": "low"}
_hosted = by_type(
    "web_search",
    "web_fetch",
    "code_execution",
    "tool_search",
    "mcp_toolset",
    "advisor",
)
"""Beginnings of the types of tools that the provider runs itself."""
_BETA_MEMBERS = (
    "betas",
    "billing_policy",
    "compaction",
    "context_management",
    "fallbacks",
    "mcp_servers",
    "thread",
)
"""Known only together with a beta header, which is not passed on: refused by the provider then."""
_SCHEMA = frozenset(
    [
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "const",
        "anyOf",
        "allOf",
        "description",
        "title",
        "default",
        "format",
        "additionalProperties",
    ]
)
_JSON_ONLY = "Answer with exactly one JSON object, and with nothing before or after it."


def passed(prompt: Prompt, model: str, losses: Losses) -> Body:
    """The caller's own request.  Raises: Refusal."""
    fields: Body = {**prompt.fields, "model": model}
    for name in _BETA_MEMBERS:
        if fields.pop(name, None) is not None:
            losses.drop(name, "it belongs to a beta that is not passed on")
    without_kept(fields, ("container",), losses)
    without_hosted(fields, _hosted, _chosen, losses)
    return fields


def _chosen(choice: Any) -> str:
    return str(choice.get("name", "")) if isinstance(choice, dict) else ""


def translated(t: Translation) -> Body:
    """Any other request.  Raises: Refusal: something in it cannot be said here."""
    conversation = t.conversation
    history = history_of(conversation.items)
    _check(t)
    return present(
        {
            "model": t.model,
            "max_tokens": _output_tokens(t),
            **_conversation(t, history),
            "stream": True,
            **_tools(t),
            **_thinking(t),
            **_sampling(t),
            "output_config": _output(t),
            "stop_sequences": list(conversation.stop) or None,
            "metadata": {"user_id": conversation.user} if conversation.user else None,
        }
    )


def _check(t: Translation) -> None:
    """What Anthropic has not."""
    conversation, chosen = t.conversation, t.conversation.sampling
    t.refuse("n", t.prompt.choices if t.prompt.choices > 1 else None, "it gives one answer")
    t.refuse("logprobs", conversation.top_logprobs, "it tells no log probabilities")
    t.refuse("logit_bias", chosen.logit_bias, "it has none")
    t.lack(
        seed=chosen.seed,
        frequency_penalty=chosen.frequency_penalty,
        presence_penalty=chosen.presence_penalty,
        verbosity=conversation.verbosity,
        prompt_cache_key=conversation.cache_key,
    )


def _output_tokens(t: Translation) -> int:
    asked = t.prompt.output_tokens_max
    return asked if asked is not None else t.output_tokens_limit or OUTPUT_TOKENS_DEFAULT


# --- what was said ---------------------------------------------------------------------------------


def _conversation(t: Translation, history: History) -> Body:
    system = instructions_of(t, history)
    if t.conversation.output_schema == {}:
        t.losses.emulate("response_format", "it has no answers of any JSON object")
        system.append(_JSON_ONLY)
    messages = [_turn(turn, t.losses) for turn in history.turns]
    messages = [message for message in messages if message["content"]]
    if not messages and system:
        messages, system = [{"role": "user", "content": asked_alone(t, system)}], []
    return {"system": "\n\n".join(system) or None, "messages": messages}


def _turn(turn: Turn, losses: Losses) -> Body:
    blocks = [block for item in turn.ordered() for block in _blocks(item, losses)]
    return {"role": "user" if turn.side == "user" else "assistant", "content": blocks}


def _blocks(item: Item, losses: Losses) -> Iterator[Body]:
    match item:
        case Message():
            yield from _parts(item.parts, losses)
        case ToolCall():
            input = object_of(item.arguments, custom=item.custom)
            yield {"type": "tool_use", "id": item.id, "name": item.name, "input": input}
        case ToolResult():
            result: Body = {"type": "tool_result", "tool_use_id": item.call_id}
            yield {
                **result,
                "content": list(_parts(item.parts, losses)),
                **({"is_error": True} if item.failed else {}),
            }
        case Thought() if item.sealed and item.issuer == ISSUER:
            yield _thought(item)


def _thought(thought: Thought) -> Body:
    if thought.sealed.startswith(REDACTED):
        return {"type": "redacted_thinking", "data": thought.sealed.removeprefix(REDACTED)}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.sealed}


def _parts(parts: tuple[Part, ...], losses: Losses) -> Iterator[Body]:
    for part in parts:
        match part:
            case TextPart() | RefusalPart():
                if part.text.strip():  # blocks of nothing are refused
                    yield {"type": "text", "text": part.text}
            case ImagePart():
                yield {"type": "image", "source": _base64(*kind_and_data(part.url))}
            case FilePart():
                yield _document(part, losses)
            case AudioPart():
                raise losses.refusal("input_audio", "it takes no sound")


def _document(file: FilePart, losses: Losses) -> Body:
    if file.media_type != "application/pdf":
        raise losses.refusal("file", "it takes PDF files only", file.media_type)
    block: Body = {"type": "document", "source": _base64(file.media_type, file.data)}
    return block | ({"title": file.name} if file.name else {})


def _base64(media_type: str, data: str) -> Body:
    return {"type": "base64", "media_type": media_type, "data": data}


# --- what it may do --------------------------------------------------------------------------------


def _tools(t: Translation) -> Body:
    conversation = t.conversation
    if not conversation.tools:
        return {}
    tools = []
    for tool in conversation.tools:
        description, schema = function_of(tool, t.losses)
        if tool.strict:
            t.losses.drop("tools.strict", "its tools have no strict form")
        said: Body = {"name": tool.name, "input_schema": {"type": "object", **schema}}
        tools.append(said | ({"description": description} if description else {}))
    return {"tools": tools, "tool_choice": _tool_choice(conversation)}


def _tool_choice(conversation: Conversation) -> Body:
    named = {"type": "tool", "name": conversation.tool_choice}
    kinds = {"auto": "auto", "none": "none", "required": "any"}
    kind = kinds.get(conversation.tool_choice)
    choice: Body = {"type": kind} if kind else named
    if conversation.parallel_calls is False and kind != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _thinks(conversation: Conversation) -> bool:
    """Was thinking asked for, and may it be?  A forced tool forbids it."""
    wanted = conversation.effort not in ("", "none") or bool(conversation.thoughts_shown)
    return wanted and conversation.tool_choice in ("auto", "none")


def _thinking(t: Translation) -> Body:
    conversation = t.conversation
    if conversation.effort == "none":
        return {"thinking": {"type": "disabled"}}
    if not _thinks(conversation):
        if conversation.effort or conversation.thoughts_shown:
            t.losses.drop("reasoning_effort", "no thinking goes with a tool that must be called")
        return {}
    shown = "omitted" if conversation.thoughts_shown is False else "summarized"
    return {"thinking": {"type": "adaptive", "display": shown}}


def _sampling(t: Translation) -> Body:
    chosen = t.conversation.sampling
    if _thinks(t.conversation):
        for field in ("temperature", "top_p", "top_k"):
            t.drop(field, getattr(chosen, field), "it does not go with thinking")
        return {}
    temperature, top_p = chosen.temperature, chosen.top_p
    if temperature is not None and temperature > 1:
        t.losses.map("temperature", "it goes up to 1", temperature)
        temperature = 1.0
    if temperature is not None and top_p is not None:
        t.losses.drop("top_p", "it does not go with a temperature", top_p)
        top_p = None
    return {"temperature": temperature, "top_p": top_p, "top_k": chosen.top_k}


def _output(t: Translation) -> Body | None:
    """Effort, and the shape of the answer."""
    conversation = t.conversation
    wanted: Body = {}
    if conversation.effort != "none" and _thinks(conversation) and conversation.effort:
        wanted["effort"] = t.nearest("reasoning_effort", conversation.effort, _EFFORTS, _NEAREST)
    if conversation.output_schema:
        schema = narrowed(conversation.output_schema, "response_format", _SCHEMA, t.losses)
        wanted["format"] = {"type": "json_schema", "schema": closed(schema)}
    return wanted or None
