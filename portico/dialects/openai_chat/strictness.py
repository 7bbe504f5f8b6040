"""What a strict key is refused in Chat."""

import msgspec

from portico import errors
from portico.canon.prompt import Prompt
from portico.dialects import strictness
from portico.dialects.openai_chat.parse import TWO_LIMITS
from portico.dialects.openai_chat.request import KNOWN

_TOOLS = frozenset({"function", "custom"})


def check(prompt: Prompt) -> None:
    """Raises: Refusal: unknown_field, invalid_value."""
    strictness.check_fields(prompt, KNOWN)
    strictness.check_tools(prompt, _TOOLS)
    if TWO_LIMITS in prompt.warnings:
        old = msgspec.json.decode(prompt.fields["max_tokens"])
        new = prompt.output_tokens_max
        raise errors.INVALID_VALUE(
            f"'max_tokens' is {old} and 'max_completion_tokens' is {new}; they must be equal, "
            "because this key is strict.",
            field="max_tokens",
            value=old,
            limit=new,
        )
