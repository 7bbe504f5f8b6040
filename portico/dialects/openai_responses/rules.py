"""What types cannot say about a Responses request: fields that need, forbid or name each other."""

from collections.abc import Iterator
from typing import Any

from portico import errors
from portico.canon.prompt import Feature
from portico.dialects import diagnosis, media
from portico.dialects.openai_chat.schema import check_schema
from portico.dialects.openai_responses import items as wire
from portico.dialects.openai_responses.offered import (
    CALLABLE,
    NAMESPACE,
    Offered,
    chosen,
    hosted,
    offered,
)
from portico.dialects.openai_responses.request import (
    Choice,
    JsonSchemaFormat,
    ResponsesRequest,
    Tool,
)
from portico.dialects.stored import unread
from portico.errors import Refusal

_STATE = {
    "previous_response_id": "Send the earlier turns in 'input'.",
    "conversation": "Send the earlier turns in 'input'.",
    "background": "Leave it out, and read the answer as it comes.",
}
"""Fields that need somebody who keeps something, and what to do where nobody does."""

MCP = "mcp"
_CALLS = (wire.FunctionCall, wire.CustomToolCall)
_RESULTS = (wire.FunctionCallOutput, wire.CustomToolCallOutput)


def missing(path: str, why: str) -> Refusal:
    return errors.MISSING_FIELD(f"{path!r} is missing: {why}.", field=path, limit="required")


def not_stored(path: str, value: Any, remedy: str) -> Refusal:
    return errors.UNSUPPORTED_FEATURE(
        f"{path!r} is {diagnosis.shown(value)}, but this server does not store responses yet.",
        field=path,
        value=diagnosis.brief(value),
        remedy=remedy,
    )


def check_state(request: ResponsesRequest, *, known: bool) -> None:
    """known: what came before stands in the input already."""
    if request.prompt is not None:
        raise errors.UNSUPPORTED_FEATURE(
            "'prompt' names a template, but this server keeps none.",
            field="prompt",
            value=diagnosis.brief(request.prompt),
            remedy="Send the text of the prompt in 'instructions' and 'input'.",
        )
    for field, remedy in () if known else _STATE.items():
        value = getattr(request, field)
        if value is not None and value is not False:
            raise not_stored(field, value, remedy)


def check_input(request: ResponsesRequest, *, known: bool) -> dict[Feature, int]:
    """Give the characters of base64 media, by what a model must take in to use them.

    known: whoever keeps items has put them in the place of what refers to them."""
    if request.input is None:
        raise missing("input", "there is nothing to answer")
    if isinstance(request.input, str):
        return {}
    if not request.input:
        raise errors.OUT_OF_RANGE(
            "'input' has 0 items; it must have at least 1.", field="input", value=0, limit=1
        )
    characters: dict[Feature, int] = {}
    for at, item in enumerate(request.input):
        if isinstance(item, wire.ItemReference) and not known:
            raise not_stored(f"input[{at}].id", item.id, "Send the item itself in its place.")
        for kind, count in _check_item(f"input[{at}]", item):
            characters[kind] = characters.get(kind, 0) + count
    check_pairs(request.input)
    return characters


def _check_item(path: str, item: wire.Item) -> Iterator[tuple[Feature, int]]:
    match item:
        case wire.Message(content=list(parts)):
            yield from _check_parts(f"{path}.content", parts)
        case (
            wire.FunctionCallOutput(output=list(parts))
            | wire.CustomToolCallOutput(output=list(parts))
        ):
            yield from _check_parts(f"{path}.output", parts)


def _check_parts(path: str, parts: list[Any]) -> Iterator[tuple[Feature, int]]:
    for at, part in enumerate(parts):
        place = f"{path}[{at}]"
        match part:
            case wire.InputImage():
                _check_no_id(place, part.file_id)
                if part.image_url is None:
                    raise missing(f"{place}.image_url", "an image needs it")
                yield "image", media.check_image(f"{place}.image_url", part.image_url)
            case wire.InputAudio(input_audio=sound):
                data = f"{place}.input_audio.data"
                yield "audio", media.check_audio(data, sound.data, sound.format)
            case wire.InputFile():
                yield "file", _check_file(place, part)


def _check_file(path: str, part: wire.InputFile) -> int:
    _check_no_id(path, part.file_id)
    if part.file_data is not None:
        return media.check_file(f"{path}.file_data", part.file_data)
    if part.file_url is None:
        raise missing(f"{path}.file_data", "a file needs it")
    return media.check_file(f"{path}.file_url", part.file_url)


def _check_no_id(path: str, file_id: str | None) -> None:
    if file_id is not None:
        raise unread(f"{path}.file_id", file_id)


def check_pairs(items: list[wire.Item]) -> None:
    """Every result has its call before it, and every call its result behind it."""
    waiting: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        if isinstance(item, _CALLS):
            waiting.setdefault(item.call_id, []).append(at)
        elif isinstance(item, _RESULTS):
            if not waiting.get(item.call_id):
                raise _unpaired(f"input[{at}].call_id", item.call_id, "no call before it has it")
            waiting[item.call_id].pop(0)
    left = [at for places in waiting.values() for at in places]
    if left:
        at = min(left)
        call: Any = items[at]
        raise _unpaired(f"input[{at}].call_id", call.call_id, "no result behind it has it")


def _unpaired(path: str, call_id: str, why: str) -> Refusal:
    return errors.INVALID_VALUE(
        f"{path!r} is {diagnosis.shown(call_id)}, and {why}; a call and its result come in pairs.",
        field=path,
        value=diagnosis.brief(call_id),
        limit="one call and one result for each call_id",
    )


def check_tools(request: ResponsesRequest, *, remote: bool) -> None:
    """Definitions are whole, and the choice names one of them.

    remote: are tools of remote servers called here?
    """
    for at, tool in enumerate(request.tools or ()):
        _check_tool(f"tools[{at}]", tool)
        if request.background and (tool.headers, tool.authorization) != (None, None):
            raise _secret(f"tools[{at}]")
    can_call = offered(request.tools)
    _check_twins(can_call)
    choice = request.tool_choice
    called_here = remote and any(tool.type == MCP for tool in request.tools or ())
    if choice == "required" and not can_call and not called_here:
        raise missing("tools", "'tool_choice' is \"required\", and there is no function to call")
    if isinstance(choice, Choice) and not (called_here and choice.type == MCP):
        _check_choice(choice, can_call, request)


def _check_tool(path: str, tool: Tool) -> None:
    if tool.type in (*CALLABLE, NAMESPACE) and tool.name is None:
        raise missing(f"{path}.name", f"a tool of type {tool.type!r} needs it")
    if tool.type == NAMESPACE:
        for at, inner in enumerate(tool.tools or ()):
            _check_tool(f"{path}.tools[{at}]", inner)


def _secret(path: str) -> Refusal:
    return errors.UNSUPPORTED_FEATURE(
        f"{path!r} holds what only its server may know, and 'background' is true: it would have to "
        "be stored.",
        field="background",
        value=True,
        remedy="Wait for the answer, or stream it.",
    )


def _check_twins(can_call: list[Offered]) -> None:
    known: set[tuple[str, str | None]] = set()
    for one in can_call:
        key = (one.namespace, one.tool.name)
        if key in known:
            path = f"{one.path}.name"
            raise errors.INVALID_VALUE(
                f"{path!r} is {diagnosis.shown(one.tool.name)}, as another tool's is; names must "
                "differ.",
                field=path,
                value=one.tool.name,
                limit="names that differ",
            )
        known.add(key)


def _check_choice(choice: Choice, can_call: list[Offered], request: ResponsesRequest) -> None:
    if choice.type in CALLABLE:
        _check_named("tool_choice", choice, can_call)
    elif choice.type == "allowed_tools":
        _check_allowed(choice, can_call, request)
    else:
        raise _hosted_choice("tool_choice.type", choice.type)


def _check_allowed(choice: Choice, can_call: list[Offered], request: ResponsesRequest) -> None:
    if choice.mode is None:
        raise missing("tool_choice.mode", 'allowed_tools needs "auto" or "required"')
    if not choice.tools:
        raise missing("tool_choice.tools", "allowed_tools needs at least one")
    kinds = {kind for _, kind in hosted(request.tools)}
    for at, one in enumerate(choice.tools):
        path = f"tool_choice.tools[{at}]"
        if one.type in CALLABLE:
            _check_named(path, one, can_call)
        elif one.type not in kinds:
            raise diagnosis.not_one_of(f"{path}.type", one.type, sorted({*CALLABLE, *kinds}))
    if choice.mode == "required" and not any(one.type in CALLABLE for one in choice.tools):
        raise _hosted_choice("tool_choice.tools", choice.tools[0].type)


def _check_named(path: str, choice: Choice, can_call: list[Offered]) -> None:
    if choice.name is None:
        raise missing(f"{path}.name", f"a choice of type {choice.type!r} needs it")
    if chosen(can_call, choice) is None:
        known = [one.tool.name for one in can_call if one.tool.type == choice.type]
        raise diagnosis.not_one_of(f"{path}.name", choice.name, known)


def _hosted_choice(path: str, kind: str) -> Refusal:
    return errors.UNSUPPORTED_FEATURE(
        f"{path!r} is {diagnosis.shown(kind)}; this server runs no tools of its own.",
        field=path,
        value=diagnosis.brief(kind),
        limit=["none", "auto", "required", *CALLABLE, "allowed_tools"],
        remedy="Choose a function, a custom tool, or none.",
    )


def check_format(request: ResponsesRequest, needs: set[Feature]) -> None:
    form = request.text.format if request.text else None
    if isinstance(form, JsonSchemaFormat):
        needs.add("json_schema")
        check_schema("text.format.schema", form.schema)


def wants_logprobs(request: ResponsesRequest) -> bool:
    return bool(request.top_logprobs) or "message.output_text.logprobs" in (request.include or ())
