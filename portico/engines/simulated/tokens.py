"""What counts as a token here: exact, the same for prompts and answers, and cheap.

A token is one of
  - up to 8 letters, digits or underscores, with the one space before them;
  - up to 8 characters of other white space;
  - any other single character.
Every character belongs to exactly one token, and cutting a text between two tokens changes
neither half, so the tokens of an answer's pieces add up to the tokens of the answer.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from portico.canon.conversation import Conversation, Item, Message, ToolCall, ToolResult

_TOKEN = re.compile(r" ?\w{1,8}|\s{1,8}|[^\w\s]")
TOKEN_CHARACTERS_MAX = 9
MESSAGE_TOKENS = 3
"""What a message costs besides its text: its role and its two ends."""


def split(text: str) -> Iterator[str]:
    return (found.group() for found in _TOKEN.finditer(text))


def count(text: str) -> int:
    return len(_TOKEN.findall(text))


def head(text: str, tokens: int) -> str:
    """The first `tokens` tokens of `text`."""
    if len(text) <= tokens:
        return text
    last = next(islice(_TOKEN.finditer(text), tokens - 1, None), None) if tokens else None
    if last is None:
        return text if tokens else ""
    return text[: last.end()]


def count_reaching(text: str, end: int) -> int:
    """How many tokens had to be made until the first `end` characters were there."""
    reached = 0
    for found in _TOKEN.finditer(text):
        if found.start() >= end:
            break
        reached += 1
    return reached


def prompt_texts(conversation: Conversation) -> list[str]:
    """Every text of a prompt that costs tokens: messages, tools, and the schema of the answer."""
    texts = [item_text(item) for item in conversation.items]
    for tool in conversation.tools:
        texts += (tool.name, _json(tool.parameters))
    if conversation.output_schema is not None:
        texts.append(_json(conversation.output_schema))
    return texts


def of_item(item: Item) -> int:
    return count(item_text(item)) + MESSAGE_TOKENS


def item_text(item: Item) -> str:
    match item:
        case Message() | ToolResult():
            return item.text
        case ToolCall():
            return item.arguments
    return ""


def _json(schema: dict[str, Any]) -> str:
    return msgspec.json.encode(schema).decode()
