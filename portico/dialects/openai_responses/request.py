"""The Responses request as the wire carries it: every field we check.

A field that stands here is refused when its type, range or value is wrong.  A field that does not
is accepted and passed on as it came.  `null` means "not said" wherever a field may be left out.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from portico.dialects.openai_responses.items import Item

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.:-]{1,128}$")]
SchemaName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Tokens = Annotated[int, Meta(ge=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Summary = Literal["auto", "concise", "detailed"]
Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]


# Tools
class Tool(Struct):
    """`type` is open: hosted kinds are named after what they do.  format: of the free text that a
    custom tool takes.  tools: of a namespace.  headers, authorization: of a remote server; secrets."""

    type: str
    name: Name | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    format: Any = None
    tools: "list[Tool] | None" = None
    headers: Any = None
    authorization: Any = None


class Choice(Struct):
    """One tool by its kind and name; "allowed_tools" lists several and says how."""

    type: str
    name: str | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: "list[Choice] | None" = None


ToolChoice = Literal["none", "auto", "required"] | Choice | None


# The shape of the answer
class TextFormat(Struct, tag="text"): ...


class JsonObjectFormat(Struct, tag="json_object"): ...


class JsonSchemaFormat(Struct, tag="json_schema"):
    name: SchemaName
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextOptions(Struct):
    format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(Struct):
    """generate_summary: what `summary` was called before."""

    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None


class ResponsesRequest(Struct):
    model: ModelName
    input: str | list[Item] | None = None
    instructions: str | None = None
    # how much
    max_output_tokens: Tokens | None = None
    max_tool_calls: Tokens | None = None
    truncation: Literal["auto", "disabled"] | None = None
    # how it is sent
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    include: list[Includable] | None = None
    # sampling
    temperature: Temperature | None = None
    top_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_logprobs: TopLogprobs | None = None
    # tools
    tools: list[Tool] | None = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    # the shape of the answer
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    # state
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    background: bool | None = None
    store: bool | None = None
    prompt: dict[str, Any] | None = None
    # how it is served and kept
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    context_management: Any = None
