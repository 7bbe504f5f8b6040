"""The Chat Completions request as the wire carries it: every field we check.

A field that stands here is refused when its type, range or value is wrong.  A field that does not
is accepted and passed on as it came.  `null` means "not said" wherever a field may be left out.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.:-]{1,128}$")]
SchemaName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Tokens = Annotated[int, Meta(ge=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
StopText = Annotated[str, Meta(min_length=1)]
Stop = StopText | Annotated[list[StopText], Meta(max_length=4)]
ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
Choices = Annotated[int, Meta(ge=1, le=128)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


# Content parts
class TextPart(Struct, tag="text"):
    text: str


class ImageUrl(Struct):
    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Struct, tag="image_url"):
    image_url: ImageUrl


class InputAudio(Struct):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Struct, tag="input_audio"):
    input_audio: InputAudio


class File(Struct):
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(Struct, tag="file"):
    file: File


class RefusalPart(Struct, tag="refusal"):
    refusal: str


UserPart = TextPart | ImagePart | AudioPart | FilePart


# Messages
class Called(Struct):
    name: str
    arguments: str


class CalledCustom(Struct):
    name: str
    input: str


class ToolCall(Struct):
    """A call the assistant made in an earlier turn."""

    id: str
    type: Literal["function", "custom"] = "function"
    function: Called | None = None
    custom: CalledCustom | None = None


class Instruction(Struct, tag_field="role"):
    content: str | list[TextPart]
    name: str | None = None


class DeveloperMessage(Instruction, tag="developer"):
    pass


class SystemMessage(Instruction, tag="system"):
    pass


class UserMessage(Struct, tag_field="role", tag="user"):
    content: str | list[UserPart]
    name: str | None = None


class AssistantMessage(Struct, tag_field="role", tag="assistant"):
    """Content may be null, absent or empty, with tool calls and without."""

    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Called | None = None
    audio: dict[str, Any] | None = None
    reasoning_content: Any = None


class ToolMessage(Struct, tag_field="role", tag="tool"):
    tool_call_id: str
    content: str | list[TextPart | ImagePart]


class FunctionMessage(Struct, tag_field="role", tag="function"):
    name: str
    content: str | None = None


Message = (
    DeveloperMessage
    | SystemMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | FunctionMessage
)


# Tools
class Function(Struct):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CustomTool(Struct):
    name: Name
    description: str | None = None
    format: dict[str, Any] | None = None


class Tool(Struct):
    """`type` is open: kinds of tool we do not know are the engine's business."""

    type: str
    function: Function | None = None
    custom: CustomTool | None = None


class Named(Struct):
    name: str


class FunctionChoice(Struct, tag="function"):
    function: Named


class CustomChoice(Struct, tag="custom"):
    custom: Named


class AllowedTool(Struct):
    type: str
    function: Named | None = None
    custom: Named | None = None


class AllowedTools(Struct):
    mode: Literal["auto", "required"]
    tools: Annotated[list[AllowedTool], Meta(min_length=1)]


class AllowedToolsChoice(Struct, tag="allowed_tools"):
    allowed_tools: AllowedTools


ToolChoice = (
    Literal["none", "auto", "required"] | FunctionChoice | CustomChoice | AllowedToolsChoice | None
)


# The shape of the answer
class JsonSchema(Struct):
    name: SchemaName
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(Struct, tag="text"):
    pass


class JsonObjectFormat(Struct, tag="json_object"):
    pass


class JsonSchemaFormat(Struct, tag="json_schema"):
    json_schema: JsonSchema


class StreamOptions(Struct):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class AudioOutput(Struct):
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | dict[str, Any]


class Prediction(Struct, tag="content"):
    content: str | list[TextPart]


class CacheOptions(Struct):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class ChatRequest(Struct):
    model: ModelName
    messages: Annotated[list[Message], Meta(min_length=1)]
    # how much
    n: Choices | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Stop | None = None
    # how it is sent
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # sampling
    temperature: Temperature | None = None
    top_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed | None = None
    logit_bias: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    # tools
    tools: list[Tool] | None = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: Literal["none", "auto"] | Named | None = None
    # the shape of the answer
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    audio: AudioOutput | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    verbosity: Literal["low", "medium", "high"] | None = None
    prediction: Prediction | None = None
    # how it is served and kept
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    web_search_options: dict[str, Any] | None = None


ENGINES_OWN = frozenset(
    {
        "top_k",
        "min_p",
        "repetition_penalty",
        "chat_template_kwargs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "structured_outputs",
        "reasoning",
    }
)
"""What llama.cpp, vLLM and SGLang take beyond OpenAI's fields."""

KNOWN = frozenset({*ChatRequest.__struct_fields__, *ENGINES_OWN, "moderation"})
"""Fields that are not strange in a Chat request; those that are not checked are passed on."""
