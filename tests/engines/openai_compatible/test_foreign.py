"""A request of another dialect at a server that speaks Chat: translated there, events back."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from portico.canon.conversation import Conversation, Message, TextPart, Tool
from portico.canon.delta import Event, Finished, Text, ToolArguments, ToolCallBegan
from portico.canon.prompt import Prompt
from portico.engines.openai_compatible.collecting import Unwrapping

from .prompts import Heard, prompt_of
from .test_hostile import DONE, ROLE, STOP, USAGE, chunk, events

pytestmark = pytest.mark.anyio

PATCH = Tool("patch", {}, custom=True)
ASKED = Conversation((Message("user", (TextPart("Hi"),)),), tools=(PATCH,))


def foreign(conversation: Conversation = ASKED, **changed: Any) -> Prompt:
    return replace(
        prompt_of(), dialect="other", fields={}, conversation=lambda: conversation, **changed
    )


def call(index: int, name: str = "", said: str = "") -> bytes:
    function: dict[str, str] = {"arguments": said}
    entry: dict[str, Any] = {"index": index, "function": function}
    if name:
        entry |= {"id": f"call_{index}", "type": "function"}
        function["name"] = name
    return chunk({"tool_calls": [entry]})


async def test_the_server_gets_chat_and_the_caller_gets_events(bench) -> None:
    engine = await bench.engine(events(ROLE, chunk({"content": "Hi"}), STOP, USAGE, DONE))
    got = Heard(foreign())
    await engine.generate(foreign(), got.relay)
    asked = json.loads(bench.seen[0].body)
    assert asked["messages"] == [{"role": "user", "content": "Hi"}]
    assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})
    assert [event for delta in got.deltas for event in delta.events] == [
        Text("Hi"),
        Finished("stop"),
    ]
    assert not any(delta.raw for delta in got.deltas)
    assert got.meters.output_tokens == 7
    assert got.over


async def test_a_custom_tool_gets_its_free_text_back(bench) -> None:
    pieces = ('{"input"', ':"*** Begin\\n', '+x"}')
    engine = await bench.engine(
        events(
            ROLE, call(0, "patch"), *(call(0, said=piece) for piece in pieces), STOP, USAGE, DONE
        )
    )
    got = Heard(foreign())
    await engine.generate(foreign(), got.relay)
    calls = [
        event
        for delta in got.deltas
        for event in delta.events
        if isinstance(event, ToolCallBegan | ToolArguments)
    ]
    assert calls == [
        ToolCallBegan(0, "call_0", "patch", custom=True),
        ToolArguments(0, "*** Begin\n+x"),
    ]


@given(st.text(), st.lists(st.integers(0, 30), max_size=4), st.booleans())
def test_free_text_survives_however_it_is_cut(text: str, cuts: list[int], other: bool) -> None:
    said = json.dumps({"input": text})
    edges = sorted({0, len(said), *(min(cut, len(said)) for cut in cuts)})
    pieces = [said[a:b] for a, b in itertools.pairwise(edges)]
    told: list[Event] = [ToolCallBegan(0, "a", "patch")]
    told += [ToolArguments(0, piece) for piece in pieces]
    if other:
        told += [ToolCallBegan(1, "b", "f"), ToolArguments(1, "{}")]
    told.append(Finished("tool_calls"))
    got = list(Unwrapping(frozenset({"patch"})).pass_on(told))
    assert [e.json for e in got if isinstance(e, ToolArguments) and e.index == 0] == [text]
    assert isinstance(got[-1], Finished)
    assert [e for e in got if isinstance(e, ToolArguments) and e.index == 1] == (
        [ToolArguments(1, "{}")] if other else []
    )


def test_half_an_argument_is_given_as_it_is() -> None:
    told = [
        ToolCallBegan(0, "a", "patch"),
        ToolArguments(0, '{"input":"*** Be'),
        Finished("length"),
    ]
    got = list(Unwrapping(frozenset({"patch"})).pass_on(told))
    assert ToolArguments(0, '{"input":"*** Be') in got
