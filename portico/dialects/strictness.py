"""What a strict key is refused at once, whoever would generate: what its dialect does not know.

All else that a strict key is refused depends on the engine: see `losses`.
"""

import msgspec

from portico import errors
from portico.canon.prompt import Prompt
from portico.dialects.diagnosis import not_one_of, shown


def check_fields(prompt: Prompt, known: frozenset[str]) -> None:
    """Raises: Refusal: unknown_field."""
    for name in prompt.fields:
        if name not in known:
            raise errors.UNKNOWN_FIELD(
                f"{shown(name)} is not a field of this endpoint, and this key is strict.",
                field=name[:80],
                limit="the fields of this endpoint",
            )


def check_tools(prompt: Prompt, types: frozenset[str]) -> None:
    """Raises: Refusal: invalid_value: a kind of tool that the dialect does not know."""
    raw = prompt.fields.get("tools")
    tools = msgspec.json.decode(raw) if raw is not None else None
    for at, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in types:
            raise not_one_of(f"tools[{at}].type", kind, sorted(types))
