"""The Chat dialect through the door, with the SDK most callers use."""

import asyncio
import json
from collections.abc import AsyncIterator

import openai
import pytest

from portico import errors
from portico.canon.delta import Delta, Finished, Text
from portico.canon.prompt import Prompt
from portico.canon.usage import Meters
from portico.dialects.openai_chat import errors as chat_errors
from portico.dialects.openai_chat import strictness
from portico.dialects.openai_chat.parse import SPECIMEN, parse
from portico.dialects.openai_chat.writer import writer_for
from portico.door.dialect import Dialect
from portico.engines.base import Relay, UpstreamFailed
from tests.door.scene import Scene, request
from tests.door.test_generation import KEY, PATH, House

pytestmark = pytest.mark.anyio

CHAT = Dialect(
    parse=parse,
    writer=writer_for,
    envelope=chat_errors.render,
    headers=chat_errors.headers,
    event=chat_errors.stream_error,
    specimen=SPECIMEN,
    strict=strictness.check,
)
WORDS = ("Hello", " from", " the", " door")


async def speaks(prompt: Prompt, relay: Relay) -> None:
    for word in WORDS:
        await relay(Delta(events=(Text(word),), output_tokens=1))
        await asyncio.sleep(0)
    meters = Meters(input_text=3, output_text=4)
    await relay(Delta(events=(Finished("stop"),), meters=meters, last=True, finish="stop"))


async def breaks(prompt: Prompt, relay: Relay) -> None:
    await relay(Delta(events=(Text("Hello"),), output_tokens=1))
    raise UpstreamFailed(errors.UPSTREAM_FAILED("The engine fell over."))


def sdk(scene: Scene, key: str = "pk_good") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{scene.port}/v1", api_key=key, max_retries=0
    )


ASKED: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]


async def test_the_sdk_reads_an_answer() -> None:
    house = House(speaks, dialect=CHAT)
    async with house.open() as scene, sdk(scene) as client:
        answer = await client.chat.completions.create(model="m", messages=ASKED)
        assert answer.choices[0].message.content == "".join(WORDS)
        assert answer.usage is not None
        assert answer.usage.total_tokens == 7
        assert answer._request_id == house.books.opened[0]


async def test_the_sdk_reads_a_stream_to_its_end() -> None:
    house = House(speaks, dialect=CHAT)
    async with house.open() as scene, sdk(scene) as client:
        stream = await client.chat.completions.create(
            model="m", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        said = [c.choices[0].delta.content for c in chunks if c.choices]
        assert "".join(word or "" for word in said) == "".join(WORDS)
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 4
        assert house.books.settled[0][0] == "completed"


async def test_the_sdk_raises_on_a_stream_that_breaks_off() -> None:
    house = House(breaks, dialect=CHAT)
    async with house.open() as scene, sdk(scene) as client:
        stream = await client.chat.completions.create(model="m", messages=ASKED, stream=True)
        with pytest.raises(openai.APIError, match="fell over"):
            await drained(stream)


async def drained(stream: AsyncIterator[object]) -> None:
    async for _ in stream:
        pass


async def test_the_sdk_raises_the_right_error_for_a_refusal() -> None:
    house = House(speaks, dialect=CHAT)
    async with house.open() as scene:
        async with sdk(scene, "pk_other") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()
        async with sdk(scene) as client:
            with pytest.raises(openai.NotFoundError) as unknown:
                await client.chat.completions.create(model="other", messages=ASKED)
            assert unknown.value.code == "model_not_found"
            with pytest.raises(openai.BadRequestError) as wrong:
                await client.chat.completions.create(model="m", messages=ASKED, n=0)
            assert wrong.value.param == "n"


async def test_a_refusal_at_the_edge_has_the_same_envelope() -> None:
    house = House(speaks, dialect=CHAT)
    async with house.open() as scene:
        deep = await scene.ask(request(PATH, json.dumps({"messages": 1}).encode(), KEY))
        edge = await scene.ask(b"GET / HTTP/1.1\r\n\r\n")
        assert edge.status == 400
        assert set(edge.json["error"]) == set(deep.json["error"])
