"""A Responses request in canon words."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from portico import errors
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
from portico.dialects.openai_responses import items as wire
from portico.dialects.openai_responses.offered import Offered, chosen, hosted, offered
from portico.dialects.openai_responses.request import (
    Choice,
    JsonObjectFormat,
    JsonSchemaFormat,
    ReasoningOptions,
    ResponsesRequest,
)
from portico.dialects.openai_responses.rules import wants_logprobs


def conversation_of(request: ResponsesRequest) -> Conversation:
    """Raises: Refusal: unsupported_feature, of a compaction that another server made."""
    can_call = offered(request.tools)
    choice, allowed = choice_of(request, can_call)
    form = request.text.format if request.text else None
    named = form if isinstance(form, JsonSchemaFormat) else None
    reading = _Reading(can_call)
    reasoning = request.reasoning or ReasoningOptions()
    summary = reasoning.summary or reasoning.generate_summary
    return Conversation(
        items=tuple(reading.items(request)),
        tools=tuple(_tool(one) for one in can_call if allowed is None or one.name in allowed),
        tool_choice=choice,
        parallel_calls=request.parallel_tool_calls,
        output_schema=_schema_of(form),
        output_name=named.name if named else "answer",
        output_strict=named.strict if named else None,
        effort=reasoning.effort or "",
        thoughts_shown=True if summary else None,
        verbosity=(request.text.verbosity if request.text else None) or "",
        sampling=Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            frequency_penalty=request.frequency_penalty,
            presence_penalty=request.presence_penalty,
        ),
        top_logprobs=(request.top_logprobs or 0) if wants_logprobs(request) else None,
        user=request.safety_identifier or request.user or "",
        cache_key=request.prompt_cache_key or "",
        dropped=(*_dropped(request, can_call), *reading.dropped),
        mapped=tuple(reading.mapped),
        truncates=request.truncation == "auto",
    )


def choice_of(
    request: ResponsesRequest, can_call: list[Offered]
) -> tuple[str, frozenset[str] | None]:
    """The choice in canon words, and the tools it narrows the list to (None: all)."""
    choice = request.tool_choice
    if not isinstance(choice, Choice):
        return choice or "auto", None
    if choice.type != "allowed_tools":
        one = chosen(can_call, choice)
        return one.name if one else "auto", None
    found = [chosen(can_call, each) for each in choice.tools or ()]
    return choice.mode or "auto", frozenset(one.name for one in found if one)


class _Reading:
    """Of the items of one request.  dropped, mapped: as in Conversation."""

    def __init__(self, can_call: list[Offered]) -> None:
        self._offered = can_call
        self._ids: set[str] = set()
        self._waiting: dict[str, deque[str]] = {}
        """By the id a call was sent with: the ids given to those without a result."""
        self.dropped: list[str] = []
        self.mapped: list[str] = []

    def items(self, request: ResponsesRequest) -> Iterator[Item]:
        if request.instructions:
            yield Message("system", (TextPart(request.instructions),))
        if isinstance(request.input, str):
            yield Message("user", (TextPart(request.input),))
            return
        for at, item in enumerate(request.input or ()):
            yield from self._item(f"input[{at}]", item)

    def _item(self, path: str, item: wire.Item) -> Iterator[Item]:
        match item:
            case wire.Message():
                parts = _parts(item.content)
                if parts or item.role != "assistant":
                    yield Message(item.role, parts)
            case wire.FunctionCall():
                name = self._name(item.name, item.namespace)
                yield ToolCall(self._begun(item.call_id), name, item.arguments)
            case wire.CustomToolCall():
                name = self._name(item.name, item.namespace)
                yield ToolCall(self._begun(item.call_id), name, item.input, custom=True)
            case wire.FunctionCallOutput() | wire.CustomToolCallOutput():
                yield ToolResult(self._ended(item.call_id), _parts(item.output))
            case wire.Reasoning():
                thought = _thought(item)
                if thought != Thought():
                    yield thought
            case wire.Compaction() | wire.CompactionSummary():
                raise _foreign(path)
            case wire.Hosted():
                yield from self._hosted(path, item)

    def _hosted(self, path: str, item: wire.Hosted) -> Iterator[Item]:
        kind = str(item.__struct_config__.tag)
        if isinstance(item, wire.LeftOut):
            self.dropped.append(f"{path}[{kind}]")
            return
        self.mapped.append(f"{path}[{kind}]")
        call_id = item.call_id or item.id or ""
        match item:
            case wire.Asked():
                name = kind.removesuffix("_call")
                yield ToolCall(self._begun(call_id), name, _written(_what(item) or {}))
            case wire.Answered() if self._waiting.get(call_id):
                yield ToolResult(self._ended(call_id), (TextPart(_written(_what(item))),))
            case _:
                yield Message("assistant", (TextPart(f"[{kind}: {_written(_what(item))}]"),))

    def _name(self, name: str, namespace: str | None) -> str:
        for one in self._offered:
            if namespace and one.is_meant(name, namespace):
                return one.name
        return name

    def _begun(self, sent: str) -> str:
        """An id that nobody else has: some callers begin anew with every turn."""
        given, count = sent or "call", 2
        while given in self._ids:
            given, count = f"{sent or 'call'}_{count}", count + 1
        self._ids.add(given)
        self._waiting.setdefault(sent, deque()).append(given)
        return given

    def _ended(self, sent: str) -> str:
        return self._waiting[sent].popleft()


def _foreign(path: str) -> errors.Refusal:
    return errors.UNSUPPORTED_FEATURE(
        f"'{path}.encrypted_content' was made by another server, and only that one can read it.",
        field=f"{path}.encrypted_content",
        remedy="Send the turns it stands for, or one that this server has made.",
    )


def _thought(item: wire.Reasoning) -> Thought:
    words = item.content or item.summary or ()
    return Thought(
        "\n\n".join(part.text for part in words),
        item.encrypted_content or "",
        item.portico_issuer if item.encrypted_content else "",
    )


def _what(item: wire.Hosted) -> Any:
    """Whatever it says, without what only its server needs."""
    said = msgspec.structs.asdict(item)
    told = {name: value for name, value in said.items() if value is not None}
    told = {name: value for name, value in told.items() if name not in ("id", "call_id")}
    return next(iter(told.values())) if len(told) == 1 else told


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _parts(content: str | list[Any] | None) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(content),) if content else ()
    return tuple(part for part in map(_part, content or ()) if part != TextPart(""))


def _part(part: Any) -> Part:
    match part:
        case wire.InputImage():
            return ImagePart(part.image_url or "", part.detail or "")
        case wire.InputAudio(input_audio=sound):
            return AudioPart(sound.data, sound.format)
        case wire.InputFile():
            kind, data = media.kind_and_data(part.file_data or part.file_url or "")
            return FilePart(data, kind or "application/pdf", part.filename or "")
        case wire.RefusalPart(refusal=refusal):
            return RefusalPart(refusal)
    return TextPart(part.text)


def _tool(one: Offered) -> Tool:
    tool = one.tool
    if tool.type == "custom":
        return Tool(one.name, {}, tool.description or "", custom=True)
    return Tool(one.name, tool.parameters or {}, tool.description or "", tool.strict)


def _schema_of(form: Any) -> dict[str, Any] | None:
    match form:
        case JsonSchemaFormat():
            return form.schema
        case JsonObjectFormat():
            return {}
    return None


def _dropped(request: ResponsesRequest, can_call: list[Offered]) -> Iterator[str]:
    """Members the canon has no place for."""
    if request.context_management:
        yield "context_management"
    for path, kind in hosted(request.tools):
        yield f"{path}[{kind}]"
    for one in can_call:
        form = one.tool.format
        if isinstance(form, dict) and form.get("type") != "text":
            yield f"{one.path}.format"
