"""One request on its way into another dialect."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from portico.canon.conversation import Conversation, Tool
from portico.canon.prompt import Prompt
from portico.dialects.losses import Losses
from portico.dialects.openai_chat.translation import CUSTOM_INPUT
from portico.dialects.outbound.turns import History

Body = dict[str, Any]

Passage = Callable[[Prompt, str, Losses], Body]
"""A request of the provider's own dialect: the prompt, the provider's name for the model, and where
losses go.  Every member keeps its bytes but those we own.  Raises: Refusal."""


def unsigned(_: str) -> str:
    """Where no signature was kept for any call."""
    return ""


@dataclass(frozen=True, slots=True)
class Translation:
    """
    model: the provider's name for it.
    output_tokens_limit: the most the model makes in one answer; None where nobody said.
    signature_of: what the provider signed the tool call of this id with, "" when not known.
    """

    prompt: Prompt
    conversation: Conversation
    losses: Losses
    model: str
    output_tokens_limit: int | None = None
    signature_of: Callable[[str], str] = unsigned

    def drop(self, field: str, value: Any, why: str) -> None:
        """A soft loss, where the caller said anything."""
        if value not in (None, "", ()):
            self.losses.drop(field, why, value)

    def lack(self, **said: Any) -> None:
        """Soft losses: fields that have no counterpart at all, where the caller said anything."""
        for field, value in said.items():
            self.drop(field, value, "it has none")

    def refuse(self, field: str, value: Any, why: str) -> None:
        """A hard loss, where the caller said anything.  Raises: Refusal."""
        if value not in (None, "", (), {}):
            raise self.losses.refusal(field, why, value)

    def nearest(self, field: str, said: str, known: dict[str, str], nearest: dict[str, str]) -> str:
        """A word of the caller's in the provider's words.

        nearest: for what has no counterpart; used where the key says `adapt`.
        Raises: Refusal: naming what there is, where the key does not.
        """
        if said in known:
            return known[said]
        self.losses.emulate(field, f"the model knows {', '.join(known)}, not {said}", said)
        return nearest[said]


def instructions_of(t: Translation, history: History) -> list[str]:
    """Where they have one place, ahead of everything that is said."""
    if history.moved:
        t.losses.map("messages", "later instructions are moved to the first ones")
    return [message.text for message in history.system if message.text]


def asked_alone(t: Translation, instructions: list[str]) -> str:
    """Instructions without a question, as the question: an answer to nothing is refused."""
    t.losses.map("messages", "instructions alone are asked as a question")
    return "\n\n".join(instructions)


def present(members: Body) -> Body:
    """Without what is None: JSON members that were not asked for."""
    return {name: value for name, value in members.items() if value is not None}


def function_of(tool: Tool, losses: Losses) -> tuple[str, Body]:
    """Description and JSON schema of `tool` where there are no tools of free text: that is asked
    for as the only parameter of a function."""
    if not tool.custom:
        return tool.description, tool.parameters or {"type": "object", "properties": {}}
    losses.map(f"tools[{tool.name}]", "free text is asked for as a function's only parameter")
    schema = {
        "type": "object",
        "properties": {CUSTOM_INPUT: {"type": "string"}},
        "required": [CUSTOM_INPUT],
    }
    return tool.description, schema


def object_of(arguments: str, *, custom: bool = False) -> Body:
    """The arguments of a call as the object that some dialects want.  What is not one (free text,
    or JSON that was cut off at a limit) is wrapped, never lost."""
    if custom:
        return {CUSTOM_INPUT: arguments}
    try:
        said = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return {"raw_arguments": arguments}
    return said if isinstance(said, dict) else {"raw_arguments": arguments}
