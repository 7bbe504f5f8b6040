"""Prompts as the dialect hands them on."""

import json
from typing import Any

import msgspec

from portico.canon.prompt import Conversation, Prompt

HELLO = [{"role": "user", "content": "Hello"}]


def prompt_of(needs: frozenset[str] = frozenset(), **fields: Any) -> Prompt:
    """A checked Chat request with these members."""
    fields = {"model": "public-name", "messages": HELLO, **fields}
    body = json.dumps(fields).encode()
    options = fields.get("stream_options") or {}
    return Prompt(
        dialect="openai_chat",
        model=fields["model"],
        stream=bool(fields.get("stream")),
        body=body,
        fields=msgspec.json.decode(body, type=dict[str, msgspec.Raw]),
        wants_usage=bool(options.get("include_usage")),
        choices=fields.get("n") or 1,
        output_tokens_max=fields.get("max_tokens"),
        input_tokens_guess=len(body) // 4,
        needs=needs,  # type: ignore[arg-type]  # literals in tests
        conversation=lambda: Conversation(messages=()),
    )
