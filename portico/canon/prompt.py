"""What was asked, whoever's dialect asked it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

Feature = Literal["tools", "json_schema", "image", "audio", "file", "logprobs", "choices"]
"""Something not every model or engine can do."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call.  `parameters` is a JSON schema, {} when none was given."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn, reduced to what an engine without a dialect of its own can use."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt in canon words.

    tool_choice: "auto", "none", "required" or the name of one tool.
    output_schema: the JSON schema the answer must follow; {} for any JSON object; None for text.
    effort: reasoning effort asked for, "" when not said.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    output_schema: dict[str, Any] | None = None
    effort: str = ""
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_logprobs: int | None = None


@dataclass(slots=True)
class Prompt:
    """One request to generate, checked.

    dialect: the wire protocol it came in, such as "openai_chat".
    model: the name the developer used.
    body: the request body as it arrived (decoded), kept for pass-through.
    fields: its top-level members in order, each still raw JSON; unknown ones included.
    wants_usage: a stream must end with the usage chunk.
    choices: how many answers (n).
    output_tokens_max: the caller's cap per choice, None when not said.
    input_tokens_guess: bytes / 4, for scheduling and for estimates; never a bound.
    needs: what the model and engine must be able to do.
    conversation: reads the canon form when an engine needs it (pass-through never does).
    service_tier: what it is to be priced as: standard, flex, priority or batch.
    hints: request headers an engine may obey (the simulated one does), lower-case names.
    warnings: what was changed or dropped, for the `portico-warnings` header.
    media_characters: of images, audio and files, as they stand in the body (base64).
    """

    dialect: str
    model: str
    stream: bool
    body: bytes
    fields: dict[str, msgspec.Raw]
    wants_usage: bool
    choices: int
    output_tokens_max: int | None
    input_tokens_guess: int
    needs: frozenset[Feature]
    conversation: Callable[[], Conversation]
    service_tier: str = "standard"
    hints: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    media_characters: dict[Feature, int] = field(default_factory=dict)
