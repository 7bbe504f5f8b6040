"""A request on its way to Gemini: the caller's own where it speaks it, else translated."""

from collections.abc import Iterable, Iterator
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
    ToolCall,
    ToolResult,
)
from portico.canon.prompt import Prompt
from portico.dialects.gemini.reader import ISSUER
from portico.dialects.losses import Losses
from portico.dialects.media import kind_and_data
from portico.dialects.outbound.hosted import without_hosted, without_kept
from portico.dialects.outbound.schemas import narrowed
from portico.dialects.outbound.translation import (
    Body,
    Translation,
    asked_alone,
    function_of,
    instructions_of,
    object_of,
    present,
)
from portico.dialects.outbound.turns import Turn, history_of

NO_SIGNATURE = "skip_thought_signature_validator"
"""What Google documents for a call whose signature is lost, or that another model made."""

_LEVELS = {word: word.upper() for word in ("minimal", "low", "medium", "high", "xhigh")}
_NEAREST = {"max": "XHIGH"}
_HOSTED = frozenset(
    {
        "googleSearch",
        "googleSearchRetrieval",
        "googleMaps",
        "codeExecution",
        "urlContext",
        "fileSearch",
        "mcpServers",
    }
)
_KEPT_ELSEWHERE = ("cachedContent", "cached_content")
_NOT_OURS = ("model", "stream", "store")
_SCHEMA = frozenset(
    [
        *("type", "format", "title", "description", "enum", "items", "prefixItems"),
        *("minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties"),
        *("additionalProperties", "required"),
    ]
)
_SOUND = {"wav": "audio/wav", "mp3": "audio/mp3"}


def passed(prompt: Prompt, model: str, losses: Losses) -> Body:
    """The caller's own request; `model` stands in the path.  Raises: Refusal."""
    fields: Body = {name: raw for name, raw in prompt.fields.items() if name not in _NOT_OURS}
    without_kept(fields, _KEPT_ELSEWHERE, losses)
    without_hosted(fields, _parted, _chosen, losses)
    return fields


def _parted(tool: Body) -> tuple[Body, set[str]]:
    """One entry may hold functions and Google's own tools side by side."""
    hosted = {name for name in tool if _camel(name) in _HOSTED}
    return {name: said for name, said in tool.items() if name not in hosted}, hosted


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _chosen(_: Any) -> str:
    return ""  # only functions can be chosen by name


def translated(t: Translation) -> Body:
    """Any other request.  Raises: Refusal: something in it cannot be said here."""
    conversation = t.conversation
    history = history_of(conversation.items)
    _check(t)
    system = instructions_of(t, history)
    names = {call.id: call.name for turn in history.turns for call in turn.calls}
    contents = [_content(turn, t, names) for turn in history.turns]
    contents = [content for content in contents if content["parts"]]
    if not contents and system:
        contents, system = [{"role": "user", "parts": [{"text": asked_alone(t, system)}]}], []
    instructions = {"parts": [{"text": "\n\n".join(system)}]} if system else None
    return present(
        {
            "contents": contents,
            "systemInstruction": instructions,
            **_tools(t),
            "generationConfig": _generation(t) or None,
        }
    )


def _check(t: Translation) -> None:
    """What Gemini has not."""
    conversation = t.conversation
    t.refuse("logit_bias", conversation.sampling.logit_bias, "it has none")
    t.lack(
        verbosity=conversation.verbosity,
        prompt_cache_key=conversation.cache_key,
        user=conversation.user,
    )


# --- what was said ---------------------------------------------------------------------------------


def _content(turn: Turn, t: Translation, names: dict[str, str]) -> Body:
    parts = _model_parts(turn.items, t) if turn.side == "model" else _user_parts(turn, t, names)
    return {"role": turn.side, "parts": list(parts)}


def _user_parts(turn: Turn, t: Translation, names: dict[str, str]) -> Iterator[Body]:
    for item in turn.ordered():
        if isinstance(item, ToolResult):
            yield {"functionResponse": _response(item, names, t.losses)}
        elif isinstance(item, Message):
            yield from _parts(item.parts, t.losses)


def _response(result: ToolResult, names: dict[str, str], losses: Losses) -> Body:
    """Paired by place and name: ids are refused by some of Google's own endpoints."""
    said: Body = {
        "name": result.name or names.get(result.call_id, result.call_id),
        "response": {"error": result.text} if result.failed else _output(result.text),
    }
    media = tuple(part for part in result.parts if not isinstance(part, TextPart | RefusalPart))
    return said | ({"parts": list(_parts(media, losses))} if media else {})


def _output(text: str) -> Body:
    """An object as it is; anything else under the name that Google gives it."""
    if text.startswith("{"):
        try:
            said = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return {"output": text}
        if isinstance(said, dict):
            return said
    return {"output": text}


def _model_parts(items: Iterable[Item], t: Translation) -> Iterator[Body]:
    """A signature goes on the call behind it; where none follows, on a part of its own."""
    sealed, calls = "", 0
    for item in items:
        match item:
            case Thought() if item.sealed and item.issuer == ISSUER:
                if sealed:
                    yield {"text": "", "thoughtSignature": sealed}
                sealed = item.sealed
            case ToolCall():
                signature = sealed or t.signature_of(item.id)
                # Of calls made at once the first alone is signed.
                signature = signature or ("" if calls else NO_SIGNATURE)
                sealed, calls = "", calls + 1
                yield _call(item, signature)
            case Message():
                if sealed:
                    yield {"text": "", "thoughtSignature": sealed}
                    sealed = ""
                yield from _parts(item.parts, t.losses)
    if sealed:
        yield {"text": "", "thoughtSignature": sealed}


def _call(call: ToolCall, signature: str) -> Body:
    said = {"name": call.name, "args": object_of(call.arguments, custom=call.custom)}
    return {"functionCall": said} | ({"thoughtSignature": signature} if signature else {})


def _parts(parts: tuple[Part, ...], losses: Losses) -> Iterator[Body]:
    for part in parts:
        match part:
            case TextPart() | RefusalPart():
                if part.text:
                    yield {"text": part.text}
            case ImagePart():
                yield _inline(*kind_and_data(part.url))
                if part.detail not in ("", "auto"):
                    losses.drop("image_url.detail", "it has none", part.detail)
            case AudioPart():
                yield _inline(_SOUND[part.format], part.data)
            case FilePart():
                yield _inline(part.media_type, part.data)


def _inline(media_type: str, data: str) -> Body:
    return {"inlineData": {"mimeType": media_type, "data": data}}


# --- what it may do --------------------------------------------------------------------------------


def _tools(t: Translation) -> Body:
    conversation = t.conversation
    if not conversation.tools:
        return {}
    declared = []
    for tool in conversation.tools:
        description, schema = function_of(tool, t.losses)
        if tool.strict:
            t.losses.drop("tools.strict", "its functions have no strict form")
        said: Body = {"name": tool.name, "description": description}
        if schema.get("properties"):
            field = f"tools[{tool.name}]"
            said["parametersJsonSchema"] = narrowed(schema, field, _SCHEMA, t.losses)
        declared.append(said)
    return {
        "tools": [{"functionDeclarations": declared}],
        "toolConfig": {"functionCallingConfig": _calling(conversation)},
    }


def _calling(conversation: Conversation) -> Body:
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
    mode = modes.get(conversation.tool_choice)
    if mode:
        return {"mode": mode}
    return {"mode": "ANY", "allowedFunctionNames": [conversation.tool_choice]}


def _generation(t: Translation) -> Body:
    conversation, chosen = t.conversation, t.conversation.sampling
    top = conversation.top_logprobs
    return present(
        {
            "maxOutputTokens": t.prompt.output_tokens_max,
            "candidateCount": t.prompt.choices if t.prompt.choices > 1 else None,
            "stopSequences": list(conversation.stop) or None,
            "temperature": chosen.temperature,
            "topP": chosen.top_p,
            "topK": chosen.top_k,
            "seed": chosen.seed,
            "presencePenalty": chosen.presence_penalty,
            "frequencyPenalty": chosen.frequency_penalty,
            "responseLogprobs": None if top is None else True,
            "logprobs": top or None,
            "thinkingConfig": _thinking(t) or None,
            **_answer(t),
        }
    )


def _thinking(t: Translation) -> Body:
    effort, shown = t.conversation.effort, t.conversation.thoughts_shown
    config: Body = {} if shown is None else {"includeThoughts": shown}
    if effort == "none":
        return config | {"thinkingBudget": 0}
    if effort:
        config["thinkingLevel"] = t.nearest("reasoning_effort", effort, _LEVELS, _NEAREST)
    return config


def _answer(t: Translation) -> Body:
    schema = t.conversation.output_schema
    if schema is None:
        return {}
    form: Body = {"responseMimeType": "application/json"}
    if schema:
        form["responseJsonSchema"] = narrowed(schema, "response_format", _SCHEMA, t.losses)
    return form
