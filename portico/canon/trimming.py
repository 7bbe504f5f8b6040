"""What is left out of a conversation that has grown too long.  Pure.

Whole turns go, the oldest first: a turn is what the user asked and all that was said, called and
answered up to the next question.  Instructions stay, and so does the last turn.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from portico.canon.conversation import (
    AudioPart,
    Conversation,
    FilePart,
    ImagePart,
    Item,
    Message,
    Part,
    RefusalPart,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
)
from portico.canon.prompt import Prompt

TRUNCATED = 'truncated; field="input"; action=dropped'
"""The warning for turns that were left out."""

Kind = Literal["instruction", "question", "thought", "call", "result", "said"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What one item is, and how much of the room it takes, in the caller's unit."""

    kind: Kind
    size: int


def whole_turns(marks: Sequence[Mark], room: int) -> list[int]:
    """Which items stay, so that their sizes come to at most `room`; more only where the
    instructions and the last turn alone do."""
    turn = waiting = 0
    turn_of: list[int] = []
    for at, mark in enumerate(marks):
        waiting += (mark.kind == "call") - (mark.kind == "result")
        asks = mark.kind == "question" and not _asked_before(marks, at)
        turn += asks and waiting <= 0  # asked in between, while a call has no result yet
        turn_of.append(turn)
    size = sum(mark.size for mark in marks)
    first = 0
    while size > room and first < turn:
        size -= sum(
            mark.size
            for mark, belongs in zip(marks, turn_of, strict=True)
            if belongs == first and mark.kind != "instruction"
        )
        first += 1
    return [
        at for at, mark in enumerate(marks) if turn_of[at] >= first or mark.kind == "instruction"
    ]


def last_steps(marks: Sequence[Mark], room: int) -> list[int]:
    """The same where whole turns are not enough: of one turn, its question and its last steps.
    A call stays with its result, and a thought with what came of it."""
    steps = list(_steps(marks))
    kept = [at for at, mark in enumerate(marks) if mark.kind in ("instruction", "question")]
    size = sum(marks[at].size for at in kept)
    for step in reversed(steps):
        size += sum(marks[at].size for at in step)
        if size > room:
            break
        kept += step
    return sorted(kept)


def _asked_before(marks: Sequence[Mark], at: int) -> bool:
    """Is the question only more of the one before it?"""
    while at and marks[at - 1].kind == "instruction":
        at -= 1
    return at > 0 and marks[at - 1].kind == "question"


def _steps(marks: Sequence[Mark]) -> Iterator[list[int]]:
    step: list[int] = []
    waiting = 0
    for at, mark in enumerate(marks):
        if mark.kind in ("instruction", "question"):
            continue
        step.append(at)
        waiting += (mark.kind == "call") - (mark.kind == "result")
        calls_next = at + 1 < len(marks) and marks[at + 1].kind == "call"
        speaks = mark.kind == "thought" or (mark.kind == "said" and calls_next)
        if waiting <= 0 and not speaks:
            yield step
            step, waiting = [], 0
    if step:
        yield step


def fitted(
    prompt: Prompt, conversation: Conversation, room: int, size: Callable[[Item], int]
) -> Conversation:
    """`conversation` without the oldest turns that do not fit into `room`, where the caller wants
    that; the prompt is given a warning then.  Otherwise it stays as it is."""
    if not conversation.truncates:
        return conversation
    marks = [Mark(_kind(item), size(item)) for item in conversation.items]
    kept = whole_turns(marks, room)
    if len(kept) == len(marks):
        return conversation
    if TRUNCATED not in prompt.warnings:
        prompt.warnings.append(TRUNCATED)
    return replace(conversation, items=tuple(conversation.items[at] for at in kept))


def bytes_of(item: Item) -> int:
    """At least as many as `item` has tokens: none is shorter than a byte."""
    match item:
        case Message() | ToolResult():
            return sum(map(_part_bytes, item.parts)) + _AROUND
        case ToolCall():
            return len(item.name.encode()) + len(item.arguments.encode()) + _AROUND
        case Thought():
            return len(item.text.encode()) + _AROUND


_AROUND = 16
"""What a template puts around a message."""


def _part_bytes(part: Part) -> int:
    match part:
        case ImagePart():
            return len(part.url)
        case AudioPart() | FilePart():
            return len(part.data)
        case TextPart() | RefusalPart():
            return len(part.text.encode())


def _kind(item: Item) -> Kind:
    match item:
        case Message(role="user"):
            return "question"
        case Message(role="assistant"):
            return "said"
        case Message():
            return "instruction"
        case ToolCall():
            return "call"
        case ToolResult():
            return "result"
        case Thought():
            return "thought"
