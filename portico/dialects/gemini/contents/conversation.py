"""A request in canon words."""

import json
from collections.abc import Iterator
from typing import Any

from portico.canon.conversation import (
    Conversation,
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
from portico.dialects.effort import effort_of
from portico.dialects.gemini import request as wire
from portico.dialects.gemini import rules
from portico.dialects.gemini.contents.inline import part_of
from portico.dialects.gemini.contents.pairing import Calls
from portico.dialects.gemini.contents.schema import json_schema
from portico.dialects.gemini.contents.signatures import Signatures

_FAILED = "error"
_SAID = ("output", "result", _FAILED)
_SPACES_MAX = 16
"""Fewer than the characters of the part around a call or a response."""
_NO_CONFIG = wire.GenerationConfig()
_NO_THINKING = wire.ThinkingConfig()
_BUDGET = f"{rules.CONFIG}.thinkingConfig.thinkingBudget"
_KNOWN = frozenset({*wire.GenerateRequest.__struct_encode_fields__, "labels", "store"})
"""Labels and storing are about what becomes of a request, not about its answer."""
_HAVE_A_PLACE = frozenset(wire.GenerationConfig.__struct_encode_fields__)


def conversation_of(
    request: wire.GenerateRequest, document: dict[str, Any], signatures: Signatures
) -> Conversation:
    """document: what `request` was read from, for what it has that no canon word is for."""
    config = request.generation_config or _NO_CONFIG
    thinking = config.thinking_config or _NO_THINKING
    choice, allowed = rules.choice_of(request)
    effort = rules.level_of(thinking)
    budget = None if effort else thinking.thinking_budget
    if budget is not None and budget >= 0:
        effort = effort_of(budget)
    functions = [function for _, function in rules.declared(request)]
    return Conversation(
        items=tuple(_items(request, signatures)),
        tools=tuple(_tool(f) for f in functions if allowed is None or f.name in allowed),
        tool_choice=choice,
        output_schema=rules.schema_of(config),
        effort=effort,
        thoughts_shown=thinking.include_thoughts,
        stop=tuple(config.stop_sequences or ()),
        sampling=Sampling(
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k or None,
            frequency_penalty=config.frequency_penalty,
            presence_penalty=config.presence_penalty,
            seed=config.seed,
        ),
        top_logprobs=(config.logprobs or 0) if config.response_logprobs else None,
        dropped=(*_dropped(request, document), *_left_out(request)),
        mapped=(_BUDGET,) if budget is not None and budget > 0 else (),
    )


def _items(request: wire.GenerateRequest, signatures: Signatures) -> Iterator[Item]:
    if request.system_instruction is not None:
        told = tuple(_parts(wire.listed(request.system_instruction.parts)))
        if told:
            yield Message("system", told)
    calls = Calls()
    said: list[wire.Part] = []
    for content in wire.listed(request.contents):
        parts = wire.listed(content.parts)
        if content.role == "model":
            said += parts  # clients keep a streamed answer as one content for each chunk
            continue
        yield from _said(said, calls, signatures)
        said = []
        yield from _asked(parts, calls)
    yield from _said(said, calls, signatures)


def _asked(parts: list[wire.Part], calls: Calls) -> Iterator[Item]:
    """A turn of the user.  Results come first: they belong to the turn before."""
    exchanged = [item for part in parts for item in _exchanged(part, calls)]
    yield from exchanged
    words = tuple(_parts(parts))
    if words or not exchanged:
        yield Message("user", words)


def _said(parts: list[wire.Part], calls: Calls, signatures: Signatures) -> Iterator[Item]:
    """A turn of the model: neighbouring words are one message, thoughts and calls are items."""
    words: list[Part] = []
    thought = ""
    for part in parts:
        if words and (part.thought or part.thought_signature or part.function_call):
            yield _message(words)
            words = []
        if part.thought:
            thought += part.text or ""
        if part.thought_signature or (thought and not part.thought):
            yield _thought(thought, part.thought_signature, signatures)
            thought = ""
        yield from _exchanged(part, calls)
        if not part.thought:
            words += _parts([part])
    if words:
        yield _message(words)
    if thought:
        yield Thought(thought)


def _message(parts: list[Part]) -> Message:
    """Pieces of text are one text: they were cut where the stream was."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, TextPart) and isinstance(last, TextPart):
            joined[-1] = TextPart(last.text + part.text)
        else:
            joined.append(part)
    return Message("assistant", tuple(joined))


def _exchanged(part: wire.Part, calls: Calls) -> Iterator[ToolCall | ToolResult]:
    """Its call, or its result, in whosever turn it stands: as `rules` counted them."""
    if part.function_call is not None:
        yield _call(part.function_call, calls)
    if part.function_response is not None:
        yield _result(part.function_response, calls)


def _thought(text: str, signature: str | None, signatures: Signatures) -> Thought:
    if not signature:
        return Thought(text)
    return Thought(text, *signatures.read(signature))


def _call(call: wire.FunctionCall, calls: Calls) -> ToolCall:
    return ToolCall(calls.made(call), call.name, _json(call.args or {}))


def _result(response: wire.FunctionResponse, calls: Calls) -> ToolResult:
    """What the tool said.  Google's own words for it are `output` and `error`, its SDKs say `result`;
    a response of anything else, or of more, is what was said itself."""
    id, said = calls.answered(response), response.response or {}
    assert id is not None  # it was checked
    told: Any = said
    name = next(iter(said)) if len(said) == 1 else ""
    if name in _SAID:
        told = said[name]
    files = [part_of(p.inline_data) for p in response.parts or () if p.inline_data is not None]
    words = TextPart(told if isinstance(told, str) else _json(told))
    return ToolResult(id, (words, *files), response.name, name == _FAILED)


def _parts(parts: list[wire.Part]) -> Iterator[Part]:
    """What is said in them, and shown; code that Google ran, and what came of it, as text."""
    for part in parts:
        if part.text:
            yield TextPart(part.text)
        if part.inline_data is not None:
            yield part_of(part.inline_data)
        if part.executable_code is not None:
            code = part.executable_code
            yield TextPart(f"```{(code.language or '').lower()}\n{code.code}\n```")
        if part.code_execution_result is not None:
            yield TextPart(f"```\n{part.code_execution_result.output or ''}\n```")
        for foreign in (part.tool_call, part.tool_response):
            if foreign is not None:
                yield TextPart(_json(foreign))


def _tool(function: wire.FunctionDeclaration) -> Tool:
    parameters = function.parameters_json_schema
    if parameters is None:
        parameters = json_schema(function.parameters) or {}
    return Tool(function.name, parameters, function.description or "")


def _json(value: Any) -> str:
    """As models write it themselves, with spaces: what one said comes back to it as it was.  Only
    where they are few: what is set aside for a prompt is a token for each byte that came."""
    spaced = json.dumps(value, ensure_ascii=False)
    if spaced.count(", ") + spaced.count(": ") <= _SPACES_MAX:
        return spaced
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _dropped(request: wire.GenerateRequest, document: dict[str, Any]) -> Iterator[str]:
    """Members that no canon word is for."""
    for name, said in document.items():
        if said and name not in _KNOWN:
            yield name
    thinking = request.generation_config and request.generation_config.thinking_config
    if thinking and thinking.thinking_level and thinking.thinking_budget is not None:
        yield _BUDGET
    for name, said in (document.get("generationConfig") or {}).items():
        if said is not None and name not in _HAVE_A_PLACE:
            yield f"{rules.CONFIG}.{name}"
    for path, tool in wire.placed("tools", document.get("tools")):
        yield from (
            f"{path}.{name}"
            for name, said in tool.items()
            if said is not None and name != "functionDeclarations"
        )


def _left_out(request: wire.GenerateRequest) -> Iterator[str]:
    """Parts of kinds that are not known here."""
    for path, content in wire.placed("contents", request.contents):
        for at, part in wire.placed(f"{path}.parts", content.parts):
            if rules.says_nothing(part):
                yield at
