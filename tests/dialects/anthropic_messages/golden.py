"""What a widely used coding agent sends, shaped as it was measured: headers, fields, sizes."""

import json
from typing import Any

HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": ",".join(
        (
            "claude-code-20250219",
            "interleaved-thinking-2025-05-14",
            "thinking-token-count-2026-05-13",
            "context-management-2025-06-27",
            "prompt-caching-scope-2026-01-05",
            "mid-conversation-system-2026-04-07",
            "effort-2025-11-24",
        )
    ),
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
    "x-claude-code-session-id": "0b0c8b0e-9d3f-4f57-9a0f-6a7b1c2d3e4f",
}
PATH = "/v1/messages?beta=true"

_CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def _tool(number: int) -> dict[str, Any]:
    """Without `type`."""
    return {
        "name": f"tool_{number}",
        "description": f"Does thing {number}.\n\n" + "Usage notes. " * 200,
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "file_path": {"type": "string", "description": "An absolute path."},
                "limit": {"type": "integer", "exclusiveMinimum": 0},
            },
            "required": ["file_path"],
            "additionalProperties": False,
        },
    }


def golden(model: str, **fields: Any) -> dict[str, Any]:
    """The body.  fields: to change in it."""
    return {
        "model": model,
        "max_tokens": 32_000,
        "stream": True,
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": json.dumps({"device_id": "d" * 64, "session_id": "s" * 36})},
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=00000;"},
            {"type": "text", "text": "You are a coding agent.", **_CACHED},
            {"type": "text", "text": "Rules. " * 200, **_CACHED},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<reminder>context</reminder>"},
                    {"type": "text", "text": "List the files.", **_CACHED},
                ],
            },
            {"role": "system", "content": "A note in the middle of the conversation."},
        ],
        "tools": [_tool(number) for number in range(24)],
        **fields,
    }
