"""The compatibility dial: every row of docs/guides/compatibility.md, in three positions.

What becomes of a request is seen from what the engine was sent and what the caller was told.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from portico.app.spoken.dialects import OPENAI_CHAT
from portico.canon.conversation import Conversation, Message, Sampling, TextPart
from portico.canon.delta import Delta
from portico.canon.prompt import Compatibility, Prompt
from portico.dialects.losses import HEADER_BYTES_MAX, Losses, header
from portico.dialects.openai_chat.parse import parse
from portico.engines.base import Abilities, Engine
from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.server import Kind, server_at
from portico.engines.simulated.engine import SimulatedEngine
from portico.engines.transport.base import Call, Headers
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from portico.routing.model import Deployment
from portico.routing.rules import check_abilities

pytestmark = pytest.mark.anyio

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "compatibility.md"
ANSWER = json.dumps(
    {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]}
).encode()
CHUNK = json.dumps(
    {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
).encode()
ALL = frozenset({"tools", "json_schema", "logprobs"})
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


class Answered:
    """A canned answer, streamed or whole as it was asked for."""

    status = 200

    def __init__(self, call: Call) -> None:
        stream = bool(json.loads(call.body).get("stream"))
        self.body = b"data: " + CHUNK + b"\n\ndata: [DONE]\n\n" if stream else ANSWER
        kind = b"text/event-stream" if stream else b"application/json"
        self.headers: Headers = [(b"content-type", kind)]

    async def read(self, limit_bytes: int) -> bytes:
        return self.body

    async def next(self) -> bytes:
        body, self.body = self.body, b""
        return body

    def close(self) -> None:
        return


class Upstream:
    """A transport that notes what it was to send."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send(self, call: Call) -> Answered:
        self.sent.append(json.loads(call.body))
        return Answered(call)

    async def close(self) -> None:
        return


def chat(**fields: Any) -> Prompt:
    said = {"model": "sim-echo", "messages": [{"role": "user", "content": "x"}], **fields}
    return parse(json.dumps(said).encode(), {})


def foreign(**sampling: Any) -> Prompt:
    """A request of another dialect."""
    prompt = chat()
    prompt.dialect = "another"
    said = (Message("user", (TextPart("x"),)),)
    prompt.conversation = lambda: Conversation(said, sampling=Sampling(**sampling))
    return prompt


Ask = Callable[[], Prompt]
Way = Literal["same", "llamacpp", "translated"]
"""To whom: a server that speaks Chat, llama.cpp, or an engine that speaks something else."""
WAYS: dict[Way, Kind] = {"same": "generic", "llamacpp": "llamacpp"}

ROWS: dict[str, tuple[Ask, Way, str]] = {
    # what the guide calls it: the request, to whom, and the field it is about
    "a field nobody knows, same protocol": (lambda: chat(mystery=1), "same", "mystery"),
    "a field nobody knows, translated": (lambda: chat(mystery=1), "translated", "mystery"),
    "a value nobody knows": (lambda: chat(reasoning_effort="huge"), "same", "reasoning_effort"),
    "a kind of tool nobody knows, same protocol": (
        lambda: chat(tools=[{"type": "magic"}]),
        "same",
        "tools",
    ),
    "a kind of tool nobody knows, translated": (
        lambda: chat(tools=[{"type": "magic"}]),
        "translated",
        "tools",
    ),
    "the same, named by `tool_choice`": (
        lambda: chat(tools=[{"type": "magic"}], tool_choice={"type": "magic"}),
        "same",
        "tool_choice",
    ),
    "a soft loss (`top_k` to a server that has none)": (lambda: foreign(top_k=5), "same", "top_k"),
    "a hard loss (`n` above 1, which the engine lacks)": (lambda: chat(n=2), "same", "n"),
    "`tool_choice` by name, which llama.cpp lacks": (
        lambda: chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "f"}}),
        "llamacpp",
        "tool_choice",
    ),
    "`max_tokens` and `max_completion_tokens`, unequal": (
        lambda: chat(max_tokens=5, max_completion_tokens=6),
        "same",
        "max_tokens",
    ),
    "`max_tokens` and `max_completion_tokens`, equal": (
        lambda: chat(max_tokens=6, max_completion_tokens=6),
        "same",
        "max_tokens",
    ),
}


def engine_for(way: Way, upstream: Upstream) -> Engine:
    if way == "translated":
        return SimulatedEngine("sim-echo", SystemClock())
    profile = Profile(WAYS[way], "sim-echo", Abilities(ALL, None, 4), clean=True)
    return OpenAICompatible(server_at("http://a"), profile, upstream, SystemClock())


async def becomes(row: str, compatibility: Compatibility) -> str:
    """In the guide's words."""
    ask, way, field = ROWS[row]
    upstream = Upstream()
    engine = engine_for(way, upstream)
    last: list[Delta] = []

    async def relay(delta: Delta) -> None:
        last.append(delta)

    try:
        prompt = ask()
        prompt.compatibility = compatibility
        if compatibility == "strict":
            OPENAI_CHAT.strict(prompt)
        check_abilities(prompt, (Deployment("a/m", "sim-echo", engine, "us", 0),))
        await engine.generate(prompt, relay)
    except Refusal as refusal:
        return str(refusal.status)
    assert last[-1].last
    told = [each for each in prompt.warnings if f'field="{field}' in each]
    assert len(prompt.warnings) == len(told), "and nothing else is said"
    if told:
        (action,) = {each.rpartition("action=")[2] for each in told}
        return f"{action}, and said"
    assert way == "translated" or field in upstream.sent[0]
    return "passed on"


def table() -> dict[str, dict[str, str]]:
    """What the guide says: row to position to what becomes of it."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", GUIDE.read_text(), re.MULTILINE)
    head = rows[0][1:]
    return {
        name: {position.strip("`"): said for position, said in zip(head, rest, strict=True)}
        for name, *rest in rows[1:]
        if not name.startswith("-")
    }


@pytest.mark.parametrize("compatibility", ["strict", "warn", "adapt"])
@pytest.mark.parametrize("row", ROWS)
async def test_what_the_guide_says_is_what_becomes_of_it(
    row: str, compatibility: Compatibility
) -> None:
    assert await becomes(row, compatibility) == table()[row][compatibility]


def test_the_guide_has_no_row_that_is_not_tested() -> None:
    assert set(table()) == set(ROWS)


async def test_a_choice_by_name_is_narrowed_to_that_tool() -> None:
    ask, way, _ = ROWS["`tool_choice` by name, which llama.cpp lacks"]
    upstream = Upstream()
    prompt = ask()

    async def relay(delta: Delta) -> None:
        return

    await engine_for(way, upstream).generate(prompt, relay)
    (sent,) = upstream.sent
    assert (sent["tools"], sent["tool_choice"]) == ([TOOL], "required")


async def test_the_limit_that_wins_is_the_only_one_that_is_sent() -> None:
    upstream = Upstream()

    async def relay(delta: Delta) -> None:
        return

    prompt = chat(max_tokens=9, max_completion_tokens=6)
    await engine_for("same", upstream).generate(prompt, relay)
    assert "max_tokens" not in upstream.sent[0]
    assert upstream.sent[0]["max_completion_tokens"] == 6


def test_engines_own_fields_are_not_strange_to_a_strict_key() -> None:
    OPENAI_CHAT.strict(chat(top_k=5, min_p=0.1, chat_template_kwargs={}))


# --- how it is said ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 5, 25, 500])
def test_the_header_is_bounded_and_says_how_many_more_there_are(count: int) -> None:
    losses = Losses("warn")
    for at in range(count):
        losses.drop(f"field_{at}", "why")
    said = header(losses.warnings)
    assert len(said) <= HEADER_BYTES_MAX
    told = [each for each in said.split(", ") if each]
    if said.rpartition("more=")[1]:
        assert len(told) - 1 + int(told[-1].removeprefix("more=")) == count
        assert told[:-1] == losses.warnings[: len(told) - 1]
    else:
        assert told == losses.warnings


@pytest.mark.parametrize("name", ['a"; x="b', "a\r\nset-cookie: x", "ü" * 300, "", "a,b", "\x00"])
def test_a_field_cannot_say_more_than_its_name(name: str) -> None:
    losses = Losses("warn")
    losses.drop(name, "why")
    (warning,) = losses.warnings
    assert re.fullmatch(r'not_supported; field="[^",;\s]{0,64}"; action=dropped', warning)
    assert warning.isascii()
