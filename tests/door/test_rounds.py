"""One round of an answer: what of it the caller sees, and what the next one is told."""

from typing import Any

import pytest

from portico.canon.conversation import Message, TextPart, Thought, ToolCall
from portico.canon.delta import (
    Delta,
    Finished,
    Reasoning,
    Sealed,
    Text,
    ToolArguments,
    ToolCallBegan,
)
from portico.canon.remote import RemoteTool, RemoteTools, Server
from portico.canon.usage import Meters
from portico.door.visits.round import Round

SERVER = Server("tools[0]", "thing", "https://example.com")
FUNCTIONS = {"thing__add": (SERVER, RemoteTool("add", "", {}, {}))}
LISTED = RemoteTools("thing", ())


class Watched:
    """A visit that remembers what it is told to show."""

    request_id = "req_1"
    arrived_s = 0.0
    credential = scope = address = ""
    leaving = claim = keeper = None

    def __init__(self) -> None:
        self.shown: list[Delta] = []
        self.composed: list[Delta] = []

    async def send(self, delta: Delta) -> None:
        self.shown.append(delta)

    def compose(self, final: Delta) -> None:
        self.composed.append(final)


class Closing:
    """Ends an answer, or goes on."""

    def __init__(self, end: Delta | None) -> None:
        self._end = end

    def close(self, round: Round, final: Delta) -> Delta | None:
        return self._end

    def charged(self, nano: int | None) -> int | None:
        return 7 if nano is None else nano + 7


def round_of(visit: Any, end: Delta | None = None, **more: Any) -> Round:
    fields: dict[str, Any] = {
        "request_id": "req_2",
        "arrived_s": 0.0,
        "base": Meters(),
        "shown": 0,
        "ahead": (),
        "ids": set(),
        **more,
    }
    prompt: Any = None
    return Round(visit, prompt, Closing(end), FUNCTIONS, **fields)


@pytest.mark.anyio
async def test_calls_of_remote_tools_are_not_shown_and_others_are_numbered_through() -> None:
    visit = Watched()
    round = round_of(visit, shown=3)
    events = (
        ToolCallBegan(0, "a", "thing__add"),
        ToolArguments(0, '{"a":'),
        ToolCallBegan(1, "b", "mine"),
        ToolArguments(0, "1}"),
        ToolArguments(1, "{}"),
    )
    await round.send(Delta(events=events))
    (shown,) = visit.shown
    assert shown.events == (ToolCallBegan(3, "b", "mine"), ToolArguments(3, "{}"))
    assert round.items == [ToolCall("a", "thing__add", '{"a":1}'), ToolCall("b", "mine", "{}")]
    assert round.shown == 4


@pytest.mark.anyio
async def test_what_was_thought_and_said_is_told_in_whole_pieces() -> None:
    round = round_of(Watched())
    for event in (
        Reasoning("Hm"),
        Reasoning("."),
        Sealed("blob", "anthropic"),
        Text("I "),
        Text("add."),
        Reasoning("Again"),
    ):
        await round.send(Delta(events=(event,)))
    assert round.items == [
        Thought("Hm.", "blob", "anthropic"),
        Message("assistant", (TextPart("I add."),)),
        Thought("Again"),
    ]


@pytest.mark.anyio
async def test_usage_is_that_of_all_rounds_so_far() -> None:
    visit = Watched()
    round = round_of(visit, base=Meters(input_text=10, output_text=5))
    await round.send(Delta(events=(Text("a"),), output_tokens=1))
    await round.send(Delta(meters=Meters(input_text=20, output_text=2)))
    round.compose(Delta(events=(Finished("stop"),), output_tokens=1, last=True))
    assert visit.shown[0].meters is None
    assert visit.shown[1].meters == Meters(input_text=30, output_text=7)
    assert round.used == Meters(input_text=30, output_text=8)


@pytest.mark.anyio
async def test_what_goes_ahead_goes_once_and_the_end_comes_when_it_is_settled() -> None:
    visit = Watched()
    end = Delta(events=(Finished("stop"),), last=True)
    round = round_of(visit, end, ahead=(LISTED,))
    final = Delta(events=(Text("Hi"), Finished("stop")), last=True)
    round.compose(final)
    assert visit.composed[0].events == (LISTED, Text("Hi"), Finished("stop"))
    assert visit.shown == []
    final.charged_nano = 5
    await round.send(final)
    assert (visit.shown[0].last, visit.shown[0].charged_nano) == (True, 12)


@pytest.mark.anyio
async def test_a_round_that_another_follows_ends_nothing() -> None:
    visit = Watched()
    round = round_of(visit)
    final = Delta(events=(Text("Hi"), Finished("tool_calls")), last=True)
    round.compose(final)
    await round.send(final)
    assert visit.composed == []
    assert round.goes_on
    assert visit.shown[0].events == (Text("Hi"),)
    assert not visit.shown[0].last


@pytest.mark.anyio
async def test_an_id_is_of_one_call_whatever_the_engine_calls_the_next() -> None:
    ids: set[str] = set()
    made = []
    for _ in range(2):
        round = round_of(Watched(), ids=ids)
        await round.send(Delta(events=(ToolCallBegan(0, "call", "thing__add"),)))
        made += round.items
    assert [each.id for each in made if isinstance(each, ToolCall)] == ["call", "call_2"]
