"""What a provider that was told it in other words may not keep: one call, a strict schema."""

import asyncio
from typing import Any

import pytest

from portico.canon.conversation import Tool
from portico.canon.delta import Finished, ToolCallBegan
from portico.engines.provider.outbound import OUTBOUND
from portico.errors import Refusal
from tests.engines.transport.upstream import Peer

from .asking import Heard, foreign, heard, native
from .conftest import Bench
from .providers import GEMINI_USAGE, chunk, message_end, message_start, text_block
from .serving import EVENTS, streaming

pytestmark = pytest.mark.anyio

LOOK = Tool("look", {"type": "object"})
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 3}},
    "required": ["age"],
}


def calling(name: str) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}}}


async def test_gemini_calls_one_tool_where_one_was_asked_for(bench: Bench) -> None:
    """It has no word for it and may call as many as it likes: there it is stopped."""
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        both = chunk(calling("look")) + chunk(calling("look"))
        await peer.send(b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (EVENTS, both))
        await peer.until_client_closes()
        closed.set()

    prompt = foreign(tools=(LOOK,), parallel_calls=False)
    got = await heard(await bench.engine("gemini", script), prompt)
    async with asyncio.timeout(5):
        await closed.wait()
    assert [type(event) for event in got.events].count(ToolCallBegan) == 1
    assert got.events[-1] == Finished("tool_calls")
    assert got.over
    assert prompt.warnings == [], "nothing of what was asked is lost"


@pytest.mark.parametrize("together", [True, False])
async def test_an_end_that_came_with_the_calls_is_the_only_one(
    bench: Bench, together: bool
) -> None:
    ended = chunk(calling("look"), reason="STOP", usageMetadata=GEMINI_USAGE)
    calls = (chunk(calling("look"), calling("look"), reason="STOP"),)
    said = calls if together else (chunk(calling("look")), ended)
    prompt = foreign(tools=(LOOK,), parallel_calls=False)
    got = await heard(await bench.engine("gemini", streaming(*said)), prompt)
    kinds = [type(event) for event in got.events]
    assert (kinds.count(ToolCallBegan), kinds.count(Finished)) == (1, 1)
    assert got.over


async def test_who_takes_several_gets_all(bench: Bench) -> None:
    calls = chunk(calling("look"), calling("look"), reason="STOP", usageMetadata=GEMINI_USAGE)
    got = await heard(await bench.engine("gemini", streaming(calls)), foreign(tools=(LOOK,)))
    assert [type(event) for event in got.events].count(ToolCallBegan) == 2


def anthropic_says(text: str) -> bytes:
    return message_start() + text_block(0, text[:3], text[3:]) + message_end("end_turn")


@pytest.mark.parametrize("dialect", ["other", "openai_chat"])
async def test_keywords_a_provider_does_not_read_are_checked_here(
    bench: Bench, dialect: str
) -> None:
    prompt = foreign(output_schema=SCHEMA, output_strict=True if dialect != "other" else None)
    prompt.dialect = dialect
    engine = await bench.engine("anthropic", streaming(anthropic_says('{"age":2}')))
    got = Heard()
    with pytest.raises(Refusal) as refused:
        await engine.generate(prompt, got.relay)
    assert refused.value.code == "schema_not_followed"
    assert "$.age must be at least 3" in refused.value.message
    assert got.meters is not None
    assert got.meters.output_tokens == 40
    assert not got.over


async def test_an_answer_that_follows_is_let_through(bench: Bench) -> None:
    engine = await bench.engine("anthropic", streaming(anthropic_says('{"age":3}')))
    assert (await heard(engine, foreign(output_schema=SCHEMA))).over


async def test_a_provider_that_was_told_in_its_own_words_is_believed(bench: Bench) -> None:
    engine = await bench.engine("anthropic", streaming(anthropic_says("no JSON")))
    body = {"model": "m", "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    assert (await heard(engine, native(OUTBOUND["anthropic"].dialect, body))).over
