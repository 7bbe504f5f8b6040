"""The GenerateContent request as the wire carries it: every field we check.

A field that stands here is refused when its type, range or value is wrong.  A field that does not
is accepted.  As with Google's own servers, a number may come as a string, a list of one as its only
item, and words of an enumeration in either case (`rules` reads those).
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.:-]{1,128}$")]
Tokens = Annotated[int, Meta(ge=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
StopText = Annotated[str, Meta(min_length=1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


# Parts of a turn
class Blob(Struct, rename="camel"):
    mime_type: str
    data: str
    display_name: str | None = None


class FileData(Struct, rename="camel"):
    file_uri: str


class FunctionCall(Struct, rename="camel"):
    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class ResponsePart(Struct, rename="camel"):
    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Struct, rename="camel"):
    name: str
    response: dict[str, Any] | None = None
    id: str | None = None
    parts: list[ResponsePart] | None = None


class ExecutableCode(Struct, rename="camel"):
    code: str
    language: str | None = None


class CodeResult(Struct, rename="camel"):
    output: str | None = None
    outcome: str | None = None


class Part(Struct, rename="camel"):
    """One of these, and what is said about it."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeResult | None = None
    tool_call: dict[str, Any] | None = None
    tool_response: dict[str, Any] | None = None
    thought: bool | None = None
    thought_signature: str | None = None


class Content(Struct, rename="camel"):
    role: str | None = None
    parts: list[Part] | Part | None = None


# Tools
class FunctionDeclaration(Struct, rename="camel"):
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class Tool(Struct, rename="camel"):
    """Its other members are tools that Google runs itself."""

    function_declarations: list[FunctionDeclaration] | FunctionDeclaration | None = None


class FunctionCallingConfig(Struct, rename="camel"):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class ToolConfig(Struct, rename="camel"):
    function_calling_config: FunctionCallingConfig | None = None


# How to answer
class ThinkingConfig(Struct, rename="camel"):
    include_thoughts: bool | None = None
    thinking_budget: Annotated[int, Meta(ge=-1)] | None = None
    thinking_level: str | None = None


class TextFormat(Struct, rename="camel"):
    mime_type: str | None = None
    schema: dict[str, Any] | None = None


class ResponseFormat(Struct, rename="camel"):
    text: TextFormat | None = None
    audio: dict[str, Any] | None = None
    image: dict[str, Any] | None = None
    video: dict[str, Any] | None = None


class GenerationConfig(Struct, rename="camel"):
    # how much
    candidate_count: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_output_tokens: Tokens | None = None
    stop_sequences: Annotated[list[StopText], Meta(max_length=5)] | None = None
    # sampling
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Seed | None = None
    response_logprobs: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    # the shape of the answer
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_format: list[ResponseFormat] | ResponseFormat | None = None
    response_modalities: list[str] | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateRequest(Struct, rename="camel"):
    contents: Annotated[list[Content], Meta(min_length=1)] | Content
    system_instruction: Content | None = None
    tools: list[Tool] | Tool | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    cached_content: str | None = None
    service_tier: str | None = None
    model: str | None = None


class CountRequest(Struct, rename="camel"):
    """Either contents alone, or the whole request that is to be counted."""

    contents: Annotated[list[Content], Meta(min_length=1)] | Content | None = None
    generate_content_request: dict[str, Any] | None = None


def listed(value: Any) -> list[Any]:
    """A repeated field: its items, also where the only one stands by itself."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def placed(path: str, value: Any) -> list[tuple[str, Any]]:
    """The same, each with its path."""
    if isinstance(value, list):
        return [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    return [] if value is None else [(path, value)]
