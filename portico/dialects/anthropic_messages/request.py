"""The Messages request as the wire carries it: every field we check.

A field that stands here is refused when its type, range or value is wrong.  A field that does not
is accepted, and kept as it came.  `null` means "not said" wherever a field may be left out.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.:-]{1,128}$")]
ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
Tokens = Annotated[int, Meta(ge=1)]
Budget = Annotated[int, Meta(ge=1_024)]
Share = Annotated[float, Meta(ge=0, le=1)]
StopText = Annotated[str, Meta(min_length=1)]
Display = Literal["summarized", "omitted"] | None


class _Block(Struct, kw_only=True):
    """cache_control: where the caller's provider would cut its cache; only its presence counts."""

    cache_control: Any = None


class TextBlock(_Block, tag="text"):
    text: str


# Where the bytes of an image or a document are
class Base64Image(Struct, tag="base64"):
    data: str
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]


class Base64Pdf(Struct, tag="base64"):
    data: str
    media_type: Literal["application/pdf"]


class UrlSource(Struct, tag="url"):
    url: str


class FileSource(Struct, tag="file"):
    file_id: str


class PlainText(Struct, tag="text"):
    data: str


class ImageBlock(_Block, tag="image"):
    source: Base64Image | UrlSource | FileSource


class Content(Struct, tag="content"):
    content: str | list[TextBlock | ImageBlock]


class Citations(Struct):
    enabled: bool | None = None


class DocumentBlock(_Block, tag="document"):
    source: Base64Pdf | PlainText | Content | UrlSource | FileSource
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None


class SearchResultBlock(_Block, tag="search_result"):
    source: str
    title: str
    content: list[TextBlock]


class ContainerUploadBlock(_Block, tag="container_upload"):
    file_id: str


# What the model thought and called in earlier turns
class ThinkingBlock(Struct, tag="thinking"):
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(Struct, tag="redacted_thinking"):
    data: str


class ToolUseBlock(_Block, tag="tool_use"):
    id: Annotated[str, Meta(min_length=1)]
    name: str
    input: dict[str, Any]


class ToolReferenceBlock(_Block, tag="tool_reference"):
    tool_name: str


ResultBlock = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock


class ToolResultBlock(_Block, tag="tool_result"):
    tool_use_id: str
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None


SERVER_USE = "server_tool_use"
SERVER_RESULT = "server_tool_result"


class ServerToolUseBlock(_Block, tag=SERVER_USE):
    """A call some provider ran by itself.  (`mcp_tool_use` and the like are read as one, too.)"""

    name: str = ""
    input: Any = None


class ServerToolResultBlock(_Block, tag=SERVER_RESULT):
    """What came of it: every `..._tool_result` there is.  kind: which."""

    kind: str
    content: Any = None


class CompactionBlock(_Block, tag="compaction"):
    """What a provider made of turns it left out."""

    content: str | None = None


class ToolListingBlock(_Block, tag="mcp_tool_listing"):
    """What a remote server offered, once."""


UserBlock = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ContainerUploadBlock
    | ToolResultBlock
    | ServerToolResultBlock
)
AssistantBlock = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ServerToolUseBlock
    | ServerToolResultBlock
    | CompactionBlock
    | ToolListingBlock
)


# Messages
class UserMessage(Struct, tag_field="role", tag="user"):
    content: str | list[UserBlock]


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    content: str | list[AssistantBlock]


class SystemMessage(Struct, tag_field="role", tag="system"):
    """Instructions in the middle of a conversation."""

    content: str | list[TextBlock]


Message = UserMessage | AssistantMessage | SystemMessage


# Tools
class Tool(_Block):
    """Without `type`, or of type "custom", the caller's own.  Other types are a provider's."""

    type: str | None = None
    name: Name | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None

    @property
    def own(self) -> bool:
        return self.type is None or self.type == "custom"


class _Choice(Struct):
    disable_parallel_tool_use: bool | None = None


class AutoChoice(_Choice, tag="auto"):
    pass


class AnyChoice(_Choice, tag="any"):
    pass


class ToolChoice(_Choice, tag="tool", kw_only=True):
    name: str


class NoneChoice(_Choice, tag="none"):
    pass


# How to think and answer
class ThinkingEnabled(Struct, tag="enabled"):
    budget_tokens: Budget
    display: Display = None


class ThinkingAdaptive(Struct, tag="adaptive"):
    display: Display = None


class ThinkingBetweenTools(Struct, tag="between_tools"):
    pass


class ThinkingDisabled(Struct, tag="disabled"):
    pass


Thinking = ThinkingEnabled | ThinkingAdaptive | ThinkingBetweenTools | ThinkingDisabled


class JsonFormat(Struct, tag="json_schema"):
    schema: dict[str, Any]


class OutputConfig(Struct):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Metadata(Struct):
    user_id: str | None = None


class CountRequest(Struct, kw_only=True):
    """The same request when only its tokens are asked for."""

    model: ModelName
    messages: Annotated[list[Message], Meta(min_length=1)]
    system: str | list[TextBlock] | None = None
    # tools
    tools: list[Tool] | None = None
    tool_choice: AutoChoice | AnyChoice | ToolChoice | NoneChoice | None = None
    # how it thinks and answers
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    # how it is served
    inference_geo: str | None = None
    cache_control: Any = None


class MessagesRequest(CountRequest, kw_only=True):
    max_tokens: Tokens
    stop_sequences: list[StopText] | None = None
    stream: bool | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
