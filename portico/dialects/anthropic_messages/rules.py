"""What types cannot say about a Messages request: fields that need or name each other."""

from collections.abc import Iterable
from typing import Any

from portico import errors
from portico.canon.prompt import Feature
from portico.dialects import diagnosis, media
from portico.dialects.anthropic_messages import request as wire
from portico.dialects.openai_chat.schema import check_schema
from portico.dialects.stored import unread
from portico.errors import Refusal

_RESULT = "_tool_result"
_USE = "_tool_use"
_INLINE = "Send it inline: {type: base64, media_type: ..., data: ...}."


def normalise(document: dict[str, Any]) -> None:
    """Give the calls and results of every provider's own tools the one type they are read as.
    There are new ones every month, and history that has one is history all the same."""
    messages = document.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict) and isinstance(block.get("type"), str):
                _normalise(block)


def _normalise(block: dict[str, Any]) -> None:
    kind = block["type"]
    if kind.endswith(_RESULT):
        block["kind"], block["type"] = kind, wire.SERVER_RESULT
    elif kind.endswith(_USE):
        block["type"] = wire.SERVER_USE


Counted = dict[Feature, int]


def check_messages(messages: Iterable[wire.Message]) -> Counted:
    """Give the characters of base64 media, by what a model must take in to use them.

    Raises: Refusal: media that is not what it says, is fetched from elsewhere, or answers to a call
    nobody made.
    """
    found: Counted = {}
    called: set[str] = set()
    for index, message in enumerate(messages):
        if isinstance(message.content, str):
            continue
        for place, block in enumerate(message.content):
            at = f"messages[{index}].content[{place}]"
            if isinstance(block, wire.ToolUseBlock):
                called.add(block.id)
            elif isinstance(block, wire.ToolResultBlock):
                _check_result(at, block, called, found)
            else:
                _check_media(at, block, found)
    return found


def _check_result(
    path: str, result: wire.ToolResultBlock, called: set[str], found: Counted
) -> None:
    if result.tool_use_id not in called:
        place = f"{path}.tool_use_id"
        raise errors.INVALID_VALUE(
            f"{place!r} is {diagnosis.shown(result.tool_use_id)}; it must be the id of a tool_use "
            "block before it.",
            field=place,
            value=diagnosis.brief(result.tool_use_id),
            limit=sorted(called)[-20:],
        )
    if isinstance(result.content, list):
        for index, block in enumerate(result.content):
            _check_media(f"{path}.content[{index}]", block, found)


def _check_media(path: str, block: Any, found: Counted) -> None:
    match block:
        case wire.ImageBlock(source=wire.Base64Image(data=data)):
            _count(found, "image", media.check_image_data(f"{path}.source.data", data))
        case wire.DocumentBlock(source=wire.Base64Pdf(data=data)):
            _count(found, "file", media.check_file(f"{path}.source.data", data))
        case wire.DocumentBlock(source=wire.Content(content=list(parts))):
            for at, part in enumerate(parts):
                _check_media(f"{path}.source.content[{at}]", part, found)
        case wire.ImageBlock(source=source) | wire.DocumentBlock(source=source):
            _check_elsewhere(f"{path}.source", source)
        case wire.ContainerUploadBlock():
            raise _no_container(f"{path}.file_id", block.file_id)


def _check_elsewhere(path: str, source: Any) -> None:
    if isinstance(source, wire.UrlSource):
        raise errors.MEDIA_URL_REFUSED(
            f"'{path}.url' is {diagnosis.shown(source.url)}; nothing is fetched.",
            field=f"{path}.url",
            value=diagnosis.brief(source.url),
            limit="base64",
            remedy=_INLINE,
        )
    if isinstance(source, wire.FileSource):
        raise unread(f"{path}.file_id", source.file_id)


def _no_container(path: str, file_id: str) -> Refusal:
    return errors.UNSUPPORTED_FEATURE(
        f"{path!r} is {diagnosis.shown(file_id)}; there are no containers here to put it into.",
        field=path,
        value=diagnosis.brief(file_id),
        limit="document, image",
        remedy="Send it as a document or an image: {type: file, file_id: ...}.",
    )


def _count(found: Counted, kind: Feature, characters: int) -> None:
    found[kind] = found.get(kind, 0) + characters


def check_tools(request: wire.CountRequest) -> None:
    """Definitions are whole, and the choice names one of them."""
    for index, tool in enumerate(request.tools or ()):
        for needed in ("name", "input_schema") if tool.own else ():
            if getattr(tool, needed) is None:
                path = f"tools[{index}].{needed}"
                raise _missing(path, "a tool of the caller's own needs it")
    choice = request.tool_choice
    if isinstance(choice, wire.ToolChoice):
        known = [tool.name for tool in request.tools or () if tool.name]
        if choice.name not in known:
            raise diagnosis.not_one_of("tool_choice.name", choice.name, known)
    if isinstance(choice, wire.AnyChoice) and not request.tools:
        raise _missing("tools", "'tool_choice' is \"any\"")


def _missing(path: str, why: str) -> Refusal:
    return errors.MISSING_FIELD(f"{path!r} is missing: {why}.", field=path, limit="required")


def check_format(request: wire.CountRequest) -> bool:
    """Must the answer follow a schema?  `output_format` is what `output_config.format` was called
    before."""
    config = request.output_config
    if config is not None and config.format is not None:
        check_schema("output_config.format.schema", config.format.schema)
        return True
    if request.output_format is not None:
        check_schema("output_format.schema", request.output_format.schema)
        return True
    return False
