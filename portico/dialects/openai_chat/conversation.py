"""A Chat request in canon words, for engines that do not speak Chat."""

from typing import Any

from portico.canon.prompt import Conversation, Message, Tool
from portico.dialects.openai_chat.request import (
    AllowedToolsChoice,
    ChatRequest,
    CustomChoice,
    FunctionChoice,
    JsonObjectFormat,
    JsonSchemaFormat,
    Named,
    RefusalPart,
    TextPart,
)
from portico.dialects.openai_chat.rules import tool_name


def conversation_of(request: ChatRequest) -> Conversation:
    choice, allowed = _choice_of(request)
    tools = tuple(tool for tool in _tools_of(request) if allowed is None or tool.name in allowed)
    stop = request.stop
    return Conversation(
        messages=tuple(Message(_role_of(m), _text_of(m.content)) for m in request.messages),
        tools=tools,
        tool_choice=choice,
        output_schema=_schema_of(request),
        effort=request.reasoning_effort or "",
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        seed=request.seed,
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )


def _role_of(message: Any) -> str:
    return str(message.__struct_config__.tag)


def _text_of(content: str | list[Any] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(
        part.text if isinstance(part, TextPart) else part.refusal
        for part in content or ()
        if isinstance(part, TextPart | RefusalPart)
    )


def _tools_of(request: ChatRequest) -> list[Tool]:
    tools = [
        Tool(name, (tool.function.parameters or {}) if tool.function else {})
        for tool in request.tools or ()
        if (name := tool_name(tool))
    ]
    return tools + [Tool(f.name, f.parameters or {}) for f in request.functions or ()]


def _choice_of(request: ChatRequest) -> tuple[str, frozenset[str] | None]:
    """The choice in canon words, and the tools it narrows the list to (None: all)."""
    match request.tool_choice:
        case str(word):
            return word, None
        case FunctionChoice(function=named) | CustomChoice(custom=named):
            return named.name, None
        case AllowedToolsChoice(allowed_tools=allowed):
            named_tools = [one.function or one.custom for one in allowed.tools]
            return allowed.mode, frozenset(named.name for named in named_tools if named)
    match request.function_call:
        case Named(name=name):
            return name, None
        case str(word):
            return word, None
    return "auto", None


def _schema_of(request: ChatRequest) -> dict[str, Any] | None:
    match request.response_format:
        case JsonSchemaFormat(json_schema=wanted):
            return wanted.schema or {}
        case JsonObjectFormat():
            return {}
    return None
