"""What types cannot say about a Chat request: fields that need, forbid or name each other."""

from collections.abc import Iterator
from typing import Any

from portico import errors
from portico.canon.prompt import Feature
from portico.dialects import diagnosis, media
from portico.dialects.openai_chat.request import (
    AllowedToolsChoice,
    AssistantMessage,
    AudioPart,
    ChatRequest,
    CustomChoice,
    FilePart,
    FunctionChoice,
    ImagePart,
    JsonSchemaFormat,
    Named,
    ToolCall,
    ToolChoice,
)
from portico.dialects.openai_chat.schema import check_schema
from portico.dialects.stored import unread
from portico.errors import Refusal

_METADATA_PAIRS_MAX = 16
_METADATA_NAME_MAX = 64
_METADATA_TEXT_MAX = 512
_BIAS_MAX = 100


def check_messages(request: ChatRequest) -> dict[Feature, int]:
    """Give the characters of base64 media, by what a model must take in to use them."""
    media_characters: dict[Feature, int] = {}
    for index, message in enumerate(request.messages):
        if type(message.content) is list:
            for kind, characters in _check_parts(f"messages[{index}].content", message.content):
                media_characters[kind] = media_characters.get(kind, 0) + characters
        if type(message) is AssistantMessage and message.tool_calls:
            for place, call in enumerate(message.tool_calls):
                _check_call(f"messages[{index}].tool_calls[{place}]", call)
    return media_characters


def _check_parts(path: str, parts: list[Any]) -> Iterator[tuple[Feature, int]]:
    for index, part in enumerate(parts):
        at = f"{path}[{index}]"
        match part:
            case ImagePart():
                yield "image", media.check_image(f"{at}.image_url.url", part.image_url.url)
            case AudioPart(input_audio=sound):
                place = f"{at}.input_audio.data"
                yield "audio", media.check_audio(place, sound.data, sound.format)
            case FilePart(file=file):
                yield "file", _check_file(f"{at}.file", file.file_id, file.file_data)


def _check_file(path: str, file_id: str | None, file_data: str | None) -> int:
    if file_id is not None:
        raise unread(f"{path}.file_id", file_id)
    if file_data is not None:
        return media.check_file(f"{path}.file_data", file_data)
    raise _missing(f"{path}.file_data", "a file needs 'file_data' or 'file_id'")


def _check_call(path: str, call: ToolCall) -> None:
    if call.type == "function" and call.function is None:
        raise _missing(f"{path}.function", "a call of type 'function' needs it")
    if call.type == "custom" and call.custom is None:
        raise _missing(f"{path}.custom", "a call of type 'custom' needs it")


def _missing(path: str, why: str) -> Refusal:
    return errors.MISSING_FIELD(f"{path!r} is missing: {why}.", field=path, limit="required")


def check_tools(request: ChatRequest) -> None:
    """Definitions are whole, and the choice names one of them."""
    for index, tool in enumerate(request.tools or ()):
        if tool.type == "function" and tool.function is None:
            raise _missing(f"tools[{index}].function", "a tool of type 'function' needs it")
        if tool.type == "custom" and tool.custom is None:
            raise _missing(f"tools[{index}].custom", "a tool of type 'custom' needs it")
    if request.tool_choice == "required" and not request.tools:
        raise _missing("tools", "'tool_choice' is \"required\"")
    for path, named in _names_chosen(request.tool_choice):
        _check_named(path, named, request)


def _names_chosen(choice: ToolChoice) -> list[tuple[str, Named]]:
    match choice:
        case FunctionChoice():
            return [("tool_choice.function.name", choice.function)]
        case CustomChoice():
            return [("tool_choice.custom.name", choice.custom)]
        case AllowedToolsChoice():
            return [
                (f"tool_choice.allowed_tools.tools[{index}].{one.type}.name", named)
                for index, one in enumerate(choice.allowed_tools.tools)
                if (named := one.function or one.custom) is not None
            ]
    return []


def _check_named(path: str, named: Named, request: ChatRequest) -> None:
    known = [name for tool in request.tools or () if (name := tool_name(tool))]
    if named.name not in known:
        raise diagnosis.not_one_of(path, named.name, known)


def tool_name(tool: Any) -> str:
    """The name a tool is called by; "" for kinds we do not know."""
    definition = tool.function or tool.custom
    return definition.name if definition else ""


def check_function_call(request: ChatRequest) -> None:
    """The older form of tools: functions and function_call."""
    choice = request.function_call
    if isinstance(choice, Named):
        known = [function.name for function in request.functions or ()]
        if choice.name not in known:
            raise diagnosis.not_one_of("function_call.name", choice.name, known)


def check_sampling(request: ChatRequest) -> None:
    if request.top_logprobs and not request.logprobs:
        raise errors.INVALID_VALUE(
            f"'top_logprobs' is {request.top_logprobs}, but 'logprobs' is not true; leave it out, "
            "or set 'logprobs'.",
            field="top_logprobs",
            value=request.top_logprobs,
            limit="logprobs: true",
        )
    for token, bias in (request.logit_bias or {}).items():
        check_bias(token, bias)


def check_bias(token: str, bias: Any) -> None:
    path = f"logit_bias.{token}"
    if not (token.isascii() and token.isdigit()):
        raise errors.INVALID_VALUE(
            f"'logit_bias' has the name {diagnosis.shown(token)}; names must be token ids.",
            field="logit_bias",
            value=diagnosis.brief(token),
            limit="token ids in decimal digits",
        )
    if isinstance(bias, bool) or not isinstance(bias, int | float):
        raise diagnosis.wrong_type(path, bias, ["float"])
    if not -_BIAS_MAX <= bias <= _BIAS_MAX:
        raise diagnosis.out_of_range(path, bias, "between -100 and 100", _BIAS_MAX)


def check_format(request: ChatRequest, needs: set[Feature]) -> None:
    form = request.response_format
    if isinstance(form, JsonSchemaFormat):
        needs.add("json_schema")
        if form.json_schema.schema is not None:
            check_schema("response_format.json_schema.schema", form.json_schema.schema)
    if request.modalities and "audio" in request.modalities:
        needs.add("audio")
        if request.audio is None:
            raise _missing("audio", "'modalities' asks for audio")


def check_metadata(metadata: dict[str, Any]) -> None:
    if len(metadata) > _METADATA_PAIRS_MAX:
        raise errors.OUT_OF_RANGE(
            f"'metadata' has {len(metadata)} pairs; it must have at most {_METADATA_PAIRS_MAX}.",
            field="metadata",
            value=len(metadata),
            limit=_METADATA_PAIRS_MAX,
        )
    for name, text in metadata.items():
        path = f"metadata.{name[:_METADATA_NAME_MAX]}"
        if len(name) > _METADATA_NAME_MAX:
            raise _too_long("metadata", "name", len(name), _METADATA_NAME_MAX)
        if not isinstance(text, str):
            raise diagnosis.wrong_type(path, text, ["str"])
        if len(text) > _METADATA_TEXT_MAX:
            raise _too_long(path, "value", len(text), _METADATA_TEXT_MAX)


def _too_long(path: str, what: str, length: int, limit: int) -> Refusal:
    return errors.OUT_OF_RANGE(
        f"{path!r} has a {what} of {length} characters; it must have at most {limit}.",
        field=path,
        value=length,
        limit=limit,
    )
