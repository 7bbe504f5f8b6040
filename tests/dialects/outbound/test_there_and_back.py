"""A conversation that goes out in a dialect and is read as that dialect's callers are read is the
same conversation, as far as the dialect has words for it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.canon.conversation import (
    Conversation,
    FilePart,
    ImagePart,
    Item,
    Message,
    Sampling,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from portico.canon.prompt import Prompt
from portico.dialects.anthropic_messages.parse import parse as parse_messages
from portico.dialects.anthropic_messages.signatures import Signatures
from portico.dialects.gemini.contents.signatures import Signatures as ThoughtSignatures
from portico.dialects.gemini.parse import parse as parse_gemini
from portico.dialects.gemini.upstream import NO_SIGNATURE
from portico.dialects.openai_responses.opening import Seals
from portico.dialects.openai_responses.parse import Parser
from portico.dialects.outbound.turns import with_legal_ids
from portico.kit.clock import SystemClock
from portico.kit.sealing import Seal

from .asked import TARGETS, asked

SEAL = Seal([b"s" * 32])
PARSE: dict[str, Callable[[bytes], Prompt]] = {
    "anthropic": lambda body: parse_messages(body, {}, Signatures(SEAL)),
    "gemini": lambda body: parse_gemini(body, {":rest": "big"}, ThoughtSignatures(SEAL)),
    "responses": lambda body: Parser(Seals(SEAL, SystemClock())).create(body, {}),
}
ISSUERS = {"anthropic": "anthropic", "gemini": "gemini", "responses": "openai"}
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {
    "type": "object",
    "properties": {"at": {"type": "string"}},
    "required": ["at"],
    "additionalProperties": False,
}
TOOLS = (Tool("look", SCHEMA, "Looks."), Tool("now", {"type": "object", "properties": {}}, "Now."))

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: bool(text.strip())
)
words = st.lists(texts.map(TextPart), min_size=1, max_size=2).map(tuple)
user_parts = st.lists(
    st.one_of(
        texts.map(TextPart),
        st.just(ImagePart(PNG)),
        st.just(FilePart("JVBERi0xLjQK", "application/pdf", "a.pdf")),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
arguments = st.dictionaries(texts, st.one_of(texts, st.integers(-99, 99), st.none()), max_size=2)


@st.composite
def turns(draw: st.DrawFn, issuer: str) -> list[Item]:
    """One exchange: asked, thought, said, called, answered."""
    asked_for: list[Item] = [Message("user", draw(user_parts))]
    calls = draw(st.integers(0, 3))
    called: list[Item] = []
    for at in range(calls):
        id = f"call_{draw(st.integers(0, 10**9))}_{at}"
        tool = draw(st.sampled_from(TOOLS)).name
        called.append(ToolCall(id, tool, json.dumps(draw(arguments), separators=(",", ":"))))
    said: list[Item] = (
        [Message("assistant", draw(words))] if draw(st.booleans()) or not calls else []
    )
    thought: list[Item] = []
    if draw(st.booleans()):
        thought = [Thought(draw(texts), "c2lnbmF0dXJl", issuer)]
    results = [
        ToolResult(call.id, (TextPart(draw(texts)),), failed=draw(st.booleans()))
        for call in called
        if isinstance(call, ToolCall)
    ]
    return [*asked_for, *thought, *said, *called, *results]


@st.composite
def conversations(draw: st.DrawFn, target: str) -> Conversation:
    items: list[Item] = []
    if draw(st.booleans()):
        items.append(Message("system", (TextPart(draw(texts)),)))
    for _ in range(draw(st.integers(1, 3))):
        items += draw(turns(ISSUERS[target]))
    items.append(Message("user", draw(user_parts)))
    warmth = draw(st.sampled_from([None, 0.0, 0.5, 1.0]))
    return Conversation(
        tuple(items),
        tools=TOOLS,
        tool_choice=draw(st.sampled_from(["auto", "none", "required", "look"])),
        output_schema=draw(st.sampled_from([None, SCHEMA])),
        stop=() if target == "responses" else draw(st.sampled_from([(), ("END", "STOP")])),
        sampling=Sampling(temperature=warmth),
    )


def plain(conversation: Conversation, target: str) -> tuple[Any, ...]:
    """What must be the same.  Ids that a dialect has no place for are told by position; neighbouring
    messages of one side are one turn, whoever parted them."""
    numbered: dict[str, int] = {}
    turns: list[Any] = []
    for item in with_legal_ids(conversation.items):
        if isinstance(item, Thought) and item.sealed == NO_SIGNATURE:
            continue  # that there was none
        told: Any = item
        match item:
            case Message():
                parts = tuple(_joined(item.parts, target))
                if turns and isinstance(turns[-1], Message) and turns[-1].role == item.role:
                    parts = tuple(_joined((*turns.pop().parts, *item.parts), target))
                told = replace(item, parts=parts)
            case ToolCall():
                numbered[item.id] = len(numbered)
                told = (numbered[item.id], item.name, json.loads(item.arguments))
            case ToolResult():
                told = (numbered[item.call_id], _said(item, target), item.failed)
            case Thought():
                told = (item.text if target == "anthropic" else "", item.sealed, item.issuer)
        turns.append(told)
    return (
        turns,
        [(tool.name, tool.parameters, tool.description) for tool in _tools(conversation, target)],
        _choice(conversation, target),
        conversation.output_schema,
        conversation.stop,
        conversation.sampling,
    )


def _joined(parts: tuple[Any, ...], target: str) -> list[Any]:
    """Text cut in pieces is one text; file names get lost on the way to Gemini."""
    joined: list[Any] = []
    for part in parts:
        if isinstance(part, FilePart):
            part = replace(part, name="")
        if isinstance(part, ImagePart):
            part = replace(part, detail="")
        if joined and isinstance(part, TextPart) and isinstance(joined[-1], TextPart):
            part = TextPart(joined.pop().text + part.text)
        joined.append(part)
    return joined


def _said(result: ToolResult, target: str) -> str:
    """Responses tells a failure in the text; Gemini wraps what is no object."""
    text = result.text
    if target == "gemini" and not result.failed and text.startswith('{"output":'):
        output = json.loads(text).get("output")
        return output if isinstance(output, str) else text
    return text.removeprefix("Error: ") if target == "responses" else text


def _tools(conversation: Conversation, target: str) -> list[Tool]:
    """One that takes nothing may say so in two ways; in Gemini, to name one is to offer no other."""
    named = conversation.tool_choice if target == "gemini" else "auto"
    return [
        replace(tool, parameters=tool.parameters or {"type": "object", "properties": {}})
        for tool in conversation.tools
        if named in ("auto", "none", "required", tool.name)
    ]


@pytest.mark.parametrize("target", TARGETS)
def test_there_and_back_is_the_identity(target: str) -> None:
    @given(conversations(target))
    def law(conversation: Conversation) -> None:
        found = asked(
            target,
            *conversation.items,
            output_tokens_max=99,
            sampling={"temperature": conversation.sampling.temperature},
            **{
                name: getattr(conversation, name)
                for name in ("tools", "tool_choice", "output_schema", "stop")
            },
        )
        prompt = PARSE[target](json.dumps(found.body).encode())
        back = prompt.conversation()
        if target == "responses":  # it has no word for a failure, and says so
            conversation = _without_failures(conversation)
        assert plain(back, target) == plain(conversation, target)
        assert prompt.output_tokens_max == 99
        assert back.dropped == ()

    law()


def _choice(conversation: Conversation, target: str) -> str:
    """Where one tool is left, to require it and to require any is the same."""
    choice = conversation.tool_choice
    return "required" if target == "gemini" and choice == "look" else choice


def _without_failures(conversation: Conversation) -> Conversation:
    return replace(
        conversation,
        items=tuple(
            replace(item, failed=False) if isinstance(item, ToolResult) else item
            for item in conversation.items
        ),
    )
