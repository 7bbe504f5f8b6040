"""What a training text is made of, and how it looks to the model.

`render` writes exactly what `chat_template.jinja` makes of the same messages inside the engine;
`evaluate.py` compares the two for every kind of dialogue before it scores anything.
"""

import json
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message in the words of the chat API. `calls` are (name, arguments) of an assistant."""

    role: str
    content: str = ""
    calls: tuple[tuple[str, Json], ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Messages of which the last is the assistant's, with the tools on offer (function objects).

    `skill` names the row of the score table; `exact` says that the last message has one right form.
    """

    skill: str
    messages: tuple[Message, ...]
    tools: tuple[Json, ...] = field(default=())
    exact: bool = True


def ask(skill: str, question: str, answer: str, *, exact: bool = True) -> Dialogue:
    """The shortest dialogue: one question, one answer."""
    return Dialogue(skill, (Message("user", question), Message("assistant", answer)), (), exact)


def _signature(tool: Json) -> str:
    parameters = tool.get("parameters", {})
    required = parameters.get("required", [])
    parts = [
        f"{name}{'' if name in required else '?'}: {schema.get('type', 'any')}"
        for name, schema in parameters.get("properties", {}).items()
    ]
    about = f" - {tool['description']}" if tool.get("description") else ""
    return f"{tool['name']}({', '.join(parts)}){about}"


def call_text(name: str, arguments: Json) -> str:
    body = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def _body(message: Message) -> str:
    calls = [call_text(name, arguments) for name, arguments in message.calls]
    return "\n".join([message.content, *calls] if message.content else calls or [""])


def segments(dialogue: Dialogue) -> list[tuple[str, bool]]:
    """The text in order, each piece with whether the model is to learn to write it."""
    messages = list(dialogue.messages)
    system = messages.pop(0).content if messages[0].role == "system" else ""
    if dialogue.tools:
        listing = "Tools:\n" + "\n".join(_signature(tool) for tool in dialogue.tools)
        system = f"{system}\n\n{listing}" if system else listing
    pieces = [(f"<|im_start|>system\n{system}<|im_end|>\n", False)] if system else []
    for message in messages:
        pieces.append((f"<|im_start|>{message.role}\n", False))
        written = message.role == "assistant"
        pieces.append((_body(message) + "<|im_end|>", written))
        pieces.append(("\n", False))
    return pieces


def render(dialogue: Dialogue) -> str:
    return "".join(text for text, _ in segments(dialogue))
