"""A canon conversation as each provider is asked it."""

from dataclasses import dataclass
from typing import Any

from portico.canon.conversation import Conversation, Item, Message, Sampling, TextPart
from portico.canon.prompt import Compatibility, Prompt
from portico.dialects.anthropic_messages import upstream as messages
from portico.dialects.gemini import upstream as gemini
from portico.dialects.losses import Losses
from portico.dialects.openai_responses import upstream as responses
from portico.dialects.outbound.translation import Translation

HI = Message("user", (TextPart("Hi"),))
TRANSLATED = {
    "anthropic": messages.translated,
    "gemini": gemini.translated,
    "responses": responses.translated,
}
TARGETS = tuple(TRANSLATED)


@dataclass(frozen=True)
class Asked:
    body: dict[str, Any]
    warnings: list[str]

    def dropped(self) -> set[str]:
        return {each.split('"')[1] for each in self.warnings if "action=dropped" in each}

    def mapped(self) -> set[str]:
        return {each.split('"')[1] for each in self.warnings if "action=mapped" in each}


def asked(
    target: str,
    *items: Item,
    compatibility: Compatibility = "warn",
    choices: int = 1,
    output_tokens_max: int | None = None,
    output_tokens_limit: int | None = None,
    sampling: dict[str, Any] | None = None,
    **said: Any,
) -> Asked:
    """Raises: Refusal."""
    conversation = Conversation(items or (HI,), sampling=Sampling(**(sampling or {})), **said)
    prompt = Prompt(
        dialect="other",
        model="m",
        stream=True,
        body=b"{}",
        fields={},
        wants_usage=False,
        choices=choices,
        output_tokens_max=output_tokens_max,
        input_tokens_guess=0,
        needs=frozenset(),
        conversation=lambda: conversation,
        compatibility=compatibility,
    )
    losses = Losses(compatibility)
    body = TRANSLATED[target](Translation(prompt, conversation, losses, "big", output_tokens_limit))
    return Asked(body, losses.warnings)
