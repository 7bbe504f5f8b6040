"""What was said and asked so far, in words of no dialect.

Shaped like the items of the Responses protocol, the richest of them: every other dialect's history
is a projection of this one.  Pass-through never makes one; translation and our own engines do.
"""

from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "developer", "user", "assistant"]


# Parts of a message
@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """url: `data:image/...;base64,...`.  detail: "" where the caller did not say."""

    url: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AudioPart:
    """data: base64.  format: "wav" or "mp3"."""

    data: str
    format: str


@dataclass(frozen=True, slots=True)
class FilePart:
    """data: base64.  media_type: such as "application/pdf".  name: "" where not said."""

    data: str
    media_type: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class RefusalPart:
    """The model declined, in an earlier turn."""

    text: str


Part = TextPart | ImagePart | AudioPart | FilePart | RefusalPart


# Items of the history, oldest first
@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """What can be read of it."""
        return text_of(self.parts)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made.  `arguments`: JSON text; free text where `custom`."""

    id: str
    name: str
    arguments: str
    custom: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of call `call_id`.  name: of the tool, "" where only the id was said.
    failed: the tool itself says that it did not work."""

    call_id: str
    parts: tuple[Part, ...]
    name: str = ""
    failed: bool = False

    @property
    def text(self) -> str:
        return text_of(self.parts)


@dataclass(frozen=True, slots=True)
class Thought:
    """The model's reasoning in an earlier turn.

    sealed: what only its issuer can read, handed back byte for byte; "" where there is none.
    issuer: who made it, in the words of the engine's dialect ("anthropic", "openai", "gemini").
    """

    text: str = ""
    sealed: str = ""
    issuer: str = ""


Item = Message | ToolCall | ToolResult | Thought


@dataclass(frozen=True, slots=True)
class Tool:
    """What the model may call.  `parameters` is a JSON schema, {} when none was given; a custom
    tool takes free text and has none."""

    name: str
    parameters: dict[str, Any]
    description: str = ""
    strict: bool | None = None
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """None where the caller did not say."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt in canon words.

    tool_choice: "auto", "none", "required" or the name of one tool.
    parallel_calls: may it call several tools at once?  None when not said.
    output_schema: the JSON schema the answer must follow; {} for any JSON object; None for text.
    effort: reasoning effort asked for (none, minimal, low, medium, high, xhigh, max), "" when not
      said.  thoughts_shown: may the reasoning, or a summary, be shown?  None when not said.
    top_logprobs: None when no log probabilities are wanted.
    user: who asks, in the caller's own words, for the engine's abuse checks; "" when not said.
    dropped: what the dialect itself could not express here, as warnings.
    mapped: what it could only express as something close.
    truncates: rather than be refused, it may lose its oldest turns (`trimming.fitted`).
    """

    items: tuple[Item, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_calls: bool | None = None
    output_schema: dict[str, Any] | None = None
    output_name: str = "answer"
    output_strict: bool | None = None
    effort: str = ""
    thoughts_shown: bool | None = None
    verbosity: str = ""
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    top_logprobs: int | None = None
    user: str = ""
    cache_key: str = ""
    dropped: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    truncates: bool = False

    def last(self, role: Role) -> Message | None:
        """The latest message of `role`."""
        for item in reversed(self.items):
            if isinstance(item, Message) and item.role == role:
                return item
        return None


def text_of(parts: tuple[Part, ...]) -> str:
    """The readable parts, one under the other."""
    return "\n".join(part.text for part in parts if isinstance(part, TextPart | RefusalPart))
