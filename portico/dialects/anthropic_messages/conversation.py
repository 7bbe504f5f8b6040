"""A Messages request in canon words, for engines that do not speak Messages."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import msgspec

from portico import errors
from portico.canon.conversation import (
    Conversation,
    FilePart,
    ImagePart,
    Item,
    Message,
    Part,
    Sampling,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from portico.dialects.anthropic_messages import request as wire
from portico.dialects.anthropic_messages.reader import ISSUER, REDACTED
from portico.dialects.anthropic_messages.signatures import Signatures
from portico.dialects.effort import effort_of

USER_CHARACTERS_MAX = 64
"""Of an id of a user, as OpenAI and those who follow it take it; a digest has as many."""

_KNOWN = frozenset(wire.MessagesRequest.__struct_encode_fields__)
_ANYWHERE = ("global", "not_available")
"""Regions that are none."""
_CIPHERED = ("encrypted_content", "encrypted_index", "encrypted_stdout")
"""Members of a provider's results that only it can read."""


def conversation_of(
    request: wire.CountRequest, members: frozenset[str], signatures: Signatures
) -> Conversation:
    """members: names of all top-level members, unknown ones included.

    Raises: Refusal: unsupported_feature: something that must not be left out cannot be done.
    """
    _check_place(request)
    reading = _Reading(signatures)
    items = tuple(_joined(reading.items(request)))
    tools = tuple(_tool(tool) for tool in request.tools or () if tool.own)
    effort, shown, mapped = effort_and_display(request)
    schema = _format_of(request)
    choice = request.tool_choice
    alone = None if choice is None else choice.disable_parallel_tool_use
    asked = request if isinstance(request, wire.MessagesRequest) else None
    who = asked.metadata if asked else None
    return Conversation(
        items=items,
        tools=tools,
        tool_choice=_choice_of(request, tools),
        parallel_calls=None if alone is None else not alone,
        output_schema=schema.schema if schema else None,
        output_strict=True if schema else None,
        effort=effort,
        thoughts_shown=shown,
        stop=tuple(asked.stop_sequences or ()) if asked else (),
        sampling=Sampling(asked.temperature, asked.top_p, asked.top_k) if asked else Sampling(),
        user=_user_of(who.user_id if who else None),
        dropped=(*sorted(members - _KNOWN), *_dropped(request, reading)),
        mapped=(*mapped, *reading.flattened),
    )


def effort_and_display(
    request: wire.CountRequest,
) -> tuple[str, bool | None, tuple[str, ...]]:
    """The effort asked for, may the thinking be shown, and fields of which only a likeness is left."""
    config, thinking = request.output_config, request.thinking
    effort = (config.effort if config else None) or ""
    match thinking:
        case wire.ThinkingEnabled(budget_tokens=budget, display=display):
            # The word is the newer way to say it, and loses nothing.
            mapped = () if effort else ("thinking.budget_tokens",)
            return effort or effort_of(budget), display != "omitted", mapped
        case wire.ThinkingAdaptive(display=display):
            return effort, display != "omitted", ()
        case wire.ThinkingBetweenTools():
            return "none", True, ("thinking.type",)
        case wire.ThinkingDisabled():
            return "none", None, ("output_config.effort",) if effort else ()
        case None:
            return effort, None, ()


def _check_place(request: wire.CountRequest) -> None:
    if request.inference_geo is not None and request.inference_geo not in _ANYWHERE:
        raise errors.UNSUPPORTED_FEATURE(
            f"'inference_geo' is {request.inference_geo[:80]!r}; this model's engine cannot promise "
            "a region.",
            field="inference_geo",
            value=request.inference_geo[:80],
            limit=list(_ANYWHERE),
        )


class _Reading:
    """flattened: blocks of a provider's own tools, of which only the text is left.
    cached: was a block marked for a cache?  cited: are citations wanted?"""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures
        self._names: dict[str, str] = {}
        self._open: set[str] = set()
        self.flattened: list[str] = []
        self.cached = False
        self.cited = False

    def items(self, request: wire.CountRequest) -> Iterator[Item]:
        if request.system:
            yield Message("system", tuple(self._parts(request.system)))
        later: list[Item] = []
        for message in request.messages:
            if isinstance(message, wire.AssistantMessage):
                yield from later
                yield from self._said(message)
                later = []
                continue
            if isinstance(message, wire.SystemMessage):
                told: list[Item] = [Message("system", tuple(self._parts(message.content)))]
            else:
                yield from self._results(message)
                told = self._asked(message)
            # What stands between calls and their results comes behind them: engines of other
            # dialects want the results straight after the calls.
            later += told
            if not self._open:
                yield from later
                later = []
        yield from later

    def _results(self, message: wire.UserMessage) -> Iterator[ToolResult]:
        if isinstance(message.content, str):
            return
        for block in message.content:
            if isinstance(block, wire.ToolResultBlock):
                self._note(block)
                self._open.discard(block.tool_use_id)
                yield ToolResult(
                    block.tool_use_id,
                    tuple(self._parts(block.content or ())),
                    self._names.get(block.tool_use_id, ""),
                    block.is_error is True,
                )

    def _asked(self, message: wire.UserMessage) -> list[Item]:
        content = message.content
        if not isinstance(content, str):
            content = [block for block in content if not isinstance(block, wire.ToolResultBlock)]
        parts = tuple(self._parts(content))
        # A message of results alone is not one of the user's, too; an empty one is.
        return [Message("user", parts)] if parts or message.content in ("", []) else []

    def _said(self, message: wire.AssistantMessage) -> Iterator[Item]:
        self._open.clear()
        blocks = message.content
        if isinstance(blocks, str):
            blocks = [wire.TextBlock(text=blocks)]
        spoken: list[Part] = []
        for block in blocks:
            item = self._item(block)
            if item is None:
                spoken += self._part(block)
                continue
            if spoken:
                yield Message("assistant", tuple(spoken))
                spoken = []
            yield item
        if spoken:
            yield Message("assistant", tuple(spoken))

    def _item(self, block: wire.AssistantBlock) -> Item | None:
        """None where the block is words."""
        match block:
            case wire.ThinkingBlock(thinking=text, signature=signature):
                return self._signatures.read(text, signature)
            case wire.RedactedThinkingBlock(data=data):
                return Thought("", REDACTED + data, ISSUER)
            case wire.ToolUseBlock(id=call_id, name=name, input=given):
                self._note(block)
                self._names[call_id] = name
                self._open.add(call_id)
                return ToolCall(call_id, name, _json(given))
        return None

    def _parts(self, content: str | Iterable[Any]) -> Iterator[Part]:
        if isinstance(content, str):
            content = [wire.TextBlock(text=content)]
        for block in content:
            yield from self._part(block)

    def _part(self, block: Any) -> list[Part]:
        self._note(block)
        match block:
            case wire.TextBlock(text=text):
                return [TextPart(text)] if text else []
            case wire.ImageBlock(source=wire.Base64Image(data=data, media_type=kind)):
                return [ImagePart(f"data:{kind};base64,{data}")]
            case wire.DocumentBlock():
                return self._document(block)
            case wire.SearchResultBlock(title=title, source=source, content=content):
                told = "\n".join(part.text for part in content)
                return [TextPart(f"{title}\n{source}\n{told}")]
            case wire.ToolReferenceBlock(tool_name=name):
                return [TextPart(f"Tool: {name}")]
            case wire.CompactionBlock(content=summary):
                return [TextPart(summary)] if summary else []
            case wire.ToolListingBlock():
                return []
            case wire.ServerToolUseBlock(name=name, input=given):
                self._flatten(wire.SERVER_USE)
                return [TextPart(f"[{name} was called with {_json(given)}]")]
            case wire.ServerToolResultBlock(kind=kind, content=content):
                self._flatten(kind)
                return [TextPart(f"[{kind}: {_json(_readable(content))}]")]
        raise TypeError(block)

    def _document(self, block: wire.DocumentBlock) -> list[Part]:
        self.cited |= block.citations is not None and block.citations.enabled is True
        heading: list[Part] = [TextPart(said) for said in (block.title, block.context) if said]
        match block.source:
            case wire.Base64Pdf(data=data, media_type=kind):
                about = heading[1:] if block.title else heading
                return [*about, FilePart(data, kind, block.title or "")]
            case wire.PlainText(data=text):
                return [*heading, TextPart(text)]
            case wire.Content(content=content):
                return [*heading, *self._parts(content)]
        raise TypeError(block)

    def _note(self, block: Any) -> None:
        self.cached |= block.cache_control is not None

    def _flatten(self, kind: str) -> None:
        if kind not in self.flattened:
            self.flattened.append(kind)


def _joined(items: Iterable[Item]) -> Iterator[Item]:
    """The same with neighbouring messages of the user in one, as this dialect means them."""
    before: Message | None = None
    for item in items:
        if isinstance(item, Message) and item.role == "user":
            before = Message("user", (*(before.parts if before else ()), *item.parts))
            continue
        if before is not None:
            yield before
            before = None
        yield item
    if before is not None:
        yield before


def _readable(content: Any) -> Any:
    """Without what only its maker can read."""
    if isinstance(content, list):
        return [_readable(each) for each in content]
    if isinstance(content, dict):
        return {name: _readable(each) for name, each in content.items() if name not in _CIPHERED}
    return content


def _json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _tool(tool: wire.Tool) -> Tool:
    return Tool(tool.name or "", tool.input_schema or {}, tool.description or "", tool.strict)


def _choice_of(request: wire.CountRequest, tools: tuple[Tool, ...]) -> str:
    """Raises: Refusal: what must be called is a provider's own tool, which nobody here can run."""
    match request.tool_choice:
        case wire.ToolChoice(name=name):
            _check_callable("tool_choice.name", name, [tool.name for tool in tools])
            return name
        case wire.AnyChoice():
            _check_callable("tool_choice.type", "any", ["any"] if tools else [])
            return "required"
        case wire.NoneChoice():
            return "none"
    return "auto"


def _check_callable(path: str, wanted: str, known: list[str]) -> None:
    if wanted not in known:
        raise errors.UNSUPPORTED_FEATURE(
            f"{path!r} is {wanted!r}, and what it asks for are tools that this model's engine does "
            "not run.",
            field=path,
            value=wanted,
            limit=known,
        )


def _user_of(user_id: str | None) -> str:
    """Agents send documents of device and session here; other dialects take a short word."""
    if user_id is None or len(user_id) <= USER_CHARACTERS_MAX:
        return user_id or ""
    return sha256(user_id.encode()).hexdigest()


def _format_of(request: wire.CountRequest) -> wire.JsonFormat | None:
    config = request.output_config
    return (config.format if config else None) or request.output_format


def _dropped(request: wire.CountRequest, reading: _Reading) -> Iterator[str]:
    """Members the canon has no place for."""
    tools = request.tools or ()
    marked = any(tool.cache_control is not None for tool in tools)
    if reading.cached or marked or request.cache_control is not None:
        yield "cache_control"
    if reading.cited:
        yield "citations"
    yield from (f"tools[{tool.name or tool.type}]" for tool in tools if not tool.own)
