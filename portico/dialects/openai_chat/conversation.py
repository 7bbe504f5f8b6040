"""A Chat request in canon words, for engines that do not speak Chat."""

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
    Sampling,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from portico.dialects import media
from portico.dialects.losses import unknown
from portico.dialects.openai_chat import request as wire
from portico.dialects.openai_chat.rules import tool_name


def conversation_of(request: wire.ChatRequest, document: dict[str, Any]) -> Conversation:
    """document: what `request` was read from; members it does not name are lost here."""
    choice, allowed = _choice_of(request)
    tools = tuple(tool for tool in _tools_of(request) if allowed is None or tool.name in allowed)
    stop = request.stop
    form = request.response_format
    named = form.json_schema if isinstance(form, wire.JsonSchemaFormat) else None
    return Conversation(
        items=tuple(_items(request.messages)),
        tools=tools,
        tool_choice=choice,
        parallel_calls=request.parallel_tool_calls,
        output_schema=_schema_of(request),
        output_name=named.name if named else "answer",
        output_strict=named.strict if named else None,
        effort=request.reasoning_effort or "",
        verbosity=request.verbosity or "",
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        sampling=_sampling_of(request),
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        user=request.safety_identifier or request.user or "",
        cache_key=request.prompt_cache_key or "",
        dropped=(*_dropped(request), *unknown(document, wire.ChatRequest)),
    )


def _items(messages: list[wire.Message]) -> Iterator[Item]:
    called = ""
    for at, message in enumerate(messages):
        match message:
            case wire.AssistantMessage():
                yield from _said(message)
                if message.function_call is not None:
                    called = f"call_{at}"  # the older form knows no ids: the next result is its own
                    call = message.function_call
                    yield ToolCall(called, call.name, call.arguments)
            case wire.ToolMessage():
                yield ToolResult(message.tool_call_id, _parts(message.content))
            case wire.FunctionMessage():
                yield ToolResult(called, _parts(message.content), message.name)
            case wire.SystemMessage():
                yield Message("system", _parts(message.content))
            case wire.DeveloperMessage():
                yield Message("developer", _parts(message.content))
            case wire.UserMessage():
                yield Message("user", _parts(message.content))


def _said(message: wire.AssistantMessage) -> Iterator[Item]:
    if isinstance(message.reasoning_content, str) and message.reasoning_content:
        yield Thought(message.reasoning_content)
    parts = _parts(message.content)
    if message.refusal:
        parts = (*parts, RefusalPart(message.refusal))
    if parts:
        yield Message("assistant", parts)
    for call in message.tool_calls or ():
        if call.function is not None:
            yield ToolCall(call.id, call.function.name, call.function.arguments)
        elif call.custom is not None:
            yield ToolCall(call.id, call.custom.name, call.custom.input, custom=True)


def _parts(content: str | list[Any] | None) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),) if content else ()
    return tuple(part for part in map(_part, content or ()) if part != TextPart(""))


def _part(part: Any) -> Part:
    match part:
        case wire.TextPart(text=text):
            return TextPart(text)
        case wire.ImagePart(image_url=image):
            return ImagePart(image.url, image.detail or "")
        case wire.AudioPart(input_audio=sound):
            return AudioPart(sound.data, sound.format)
        case wire.FilePart(file=file):
            kind, data = media.kind_and_data(file.file_data or "")
            return FilePart(data, kind or "application/pdf", file.filename or "")
        case wire.RefusalPart(refusal=refusal):
            return RefusalPart(refusal)
    raise TypeError(part)


def _tools_of(request: wire.ChatRequest) -> list[Tool]:
    return [
        *(_tool(tool) for tool in request.tools or () if tool_name(tool)),
        *(Tool(f.name, f.parameters or {}, f.description or "") for f in request.functions or ()),
    ]


def _tool(tool: wire.Tool) -> Tool:
    function, custom = tool.function, tool.custom
    if function is not None:
        return Tool(
            function.name, function.parameters or {}, function.description or "", function.strict
        )
    assert custom is not None  # its name was there
    return Tool(custom.name, {}, custom.description or "", custom=True)


def _choice_of(request: wire.ChatRequest) -> tuple[str, frozenset[str] | None]:
    """The choice in canon words, and the tools it narrows the list to (None: all)."""
    match request.tool_choice:
        case str(word):
            return word, None
        case wire.FunctionChoice(function=named) | wire.CustomChoice(custom=named):
            return named.name, None
        case wire.AllowedToolsChoice(allowed_tools=allowed):
            named_tools = [one.function or one.custom for one in allowed.tools]
            return allowed.mode, frozenset(named.name for named in named_tools if named)
    match request.function_call:
        case wire.Named(name=name):
            return name, None
        case str(word):
            return word, None
    return "auto", None


def _schema_of(request: wire.ChatRequest) -> dict[str, Any] | None:
    match request.response_format:
        case wire.JsonSchemaFormat(json_schema=wanted):
            return wanted.schema or {}
        case wire.JsonObjectFormat():
            return {}
    return None


def _sampling_of(request: wire.ChatRequest) -> Sampling:
    return Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        seed=request.seed,
        logit_bias=request.logit_bias,
    )


_UNTRANSLATED = ("audio", "prediction", "web_search_options")


def _dropped(request: wire.ChatRequest) -> tuple[str, ...]:
    """Members the canon has no place for."""
    members = [name for name in _UNTRANSLATED if getattr(request, name) is not None]
    tools = [tool.type for tool in request.tools or () if not tool_name(tool)]
    return (*members, *(f"tools[{kind}]" for kind in tools))
