"""Input items as the wire carries them, and their parts.  Lenient: what is sent back as history was
ours or another server's, and lacks an id here and a status there."""

from typing import Any, Literal

from msgspec import Struct

Detail = Literal["auto", "low", "high", "original"]


# Parts
class InputText(Struct, tag="input_text"):
    text: str


class OutputText(Struct, tag="output_text"):
    text: str


class PlainText(Struct, tag="text"):
    text: str


class SummaryText(Struct, tag="summary_text"):
    text: str


class ReasoningText(Struct, tag="reasoning_text"):
    text: str


class RefusalPart(Struct, tag="refusal"):
    refusal: str


class InputImage(Struct, tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None
    detail: Detail | None = None


class InputFile(Struct, tag="input_file"):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class Sound(Struct):
    data: str
    format: Literal["wav", "mp3"]


class InputAudio(Struct, tag="input_audio"):
    input_audio: Sound


Words = InputText | OutputText | PlainText | SummaryText | ReasoningText
Part = (
    InputText
    | OutputText
    | PlainText
    | SummaryText
    | ReasoningText
    | RefusalPart
    | InputImage
    | InputFile
    | InputAudio
)


# Items that an engine is told
class Message(Struct, tag="message"):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part] | None = None


class FunctionCall(Struct, tag="function_call"):
    call_id: str
    name: str
    arguments: str
    namespace: str | None = None


class FunctionCallOutput(Struct, tag="function_call_output"):
    call_id: str
    output: str | list[Part]


class CustomToolCall(Struct, tag="custom_tool_call"):
    call_id: str
    name: str
    input: str
    namespace: str | None = None


class CustomToolCallOutput(Struct, tag="custom_tool_call_output"):
    call_id: str
    output: str | list[Part]


class Reasoning(Struct, tag="reasoning"):
    """portico_issuer: who can read `encrypted_content`, where that is not OpenAI; set by `opening`
    in the place of a text of our own."""

    summary: list[Words] | None = None
    content: list[Words] | None = None
    encrypted_content: str | None = None
    portico_issuer: str = "openai"


class Compaction(Struct, tag="compaction"):
    encrypted_content: str


class CompactionSummary(Struct, tag="compaction_summary"):
    """What codex calls the same."""

    encrypted_content: str


class ItemReference(Struct, tag="item_reference"):
    id: str


# Items of hosted tools: somebody else's history
class Hosted(Struct):
    """What was done, in whichever members that kind has."""

    id: str | None = None
    call_id: str | None = None
    name: Any = None
    server_label: Any = None
    arguments: Any = None
    action: Any = None
    operation: Any = None
    queries: Any = None
    results: Any = None
    code: Any = None
    outputs: Any = None
    output: Any = None
    error: Any = None


class Done(Hosted):
    """The server that offered the tool did it; it becomes text."""


class WebSearchCall(Done, tag="web_search_call"): ...


class FileSearchCall(Done, tag="file_search_call"): ...


class CodeInterpreterCall(Done, tag="code_interpreter_call"): ...


class McpCall(Done, tag="mcp_call"): ...


class Asked(Hosted):
    """The caller's own machine was asked to do it; it becomes a tool call."""


class LocalShellCall(Asked, tag="local_shell_call"): ...


class ShellCall(Asked, tag="shell_call"): ...


class ApplyPatchCall(Asked, tag="apply_patch_call"): ...


class ComputerCall(Asked, tag="computer_call"): ...


class ToolSearchCall(Asked, tag="tool_search_call"): ...


class Answered(Hosted):
    """What came of one of those; it becomes a tool's result."""


class LocalShellCallOutput(Answered, tag="local_shell_call_output"): ...


class ShellCallOutput(Answered, tag="shell_call_output"): ...


class ApplyPatchCallOutput(Answered, tag="apply_patch_call_output"): ...


class ComputerCallOutput(Answered, tag="computer_call_output"): ...


class ToolSearchOutput(Answered, tag="tool_search_output"): ...


class LeftOut(Hosted):
    """Nothing in it is for a model that has no such tool."""


class ImageGenerationCall(LeftOut, tag="image_generation_call"): ...


class McpListTools(LeftOut, tag="mcp_list_tools"): ...


class McpApprovalRequest(LeftOut, tag="mcp_approval_request"): ...


class McpApprovalResponse(LeftOut, tag="mcp_approval_response"): ...


class Program(LeftOut, tag="program"): ...


class ProgramOutput(LeftOut, tag="program_output"): ...


class AdditionalTools(LeftOut, tag="additional_tools"): ...


class ConfigurationUpdate(LeftOut, tag="configuration_update"): ...


class CompactionTrigger(LeftOut, tag="compaction_trigger"): ...


Item = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | CustomToolCallOutput
    | Reasoning
    | Compaction
    | CompactionSummary
    | ItemReference
    | WebSearchCall
    | FileSearchCall
    | CodeInterpreterCall
    | McpCall
    | LocalShellCall
    | ShellCall
    | ApplyPatchCall
    | ComputerCall
    | ToolSearchCall
    | LocalShellCallOutput
    | ShellCallOutput
    | ApplyPatchCallOutput
    | ComputerCallOutput
    | ToolSearchOutput
    | ImageGenerationCall
    | McpListTools
    | McpApprovalRequest
    | McpApprovalResponse
    | Program
    | ProgramOutput
    | AdditionalTools
    | ConfigurationUpdate
    | CompactionTrigger
)
