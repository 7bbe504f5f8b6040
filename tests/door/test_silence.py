"""A stream that has nothing to say says so, and never in the middle of anything."""

import asyncio

import pytest

from portico import errors
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.engines.base import Relay, UpstreamFailed
from tests.door.scene import limits
from tests.door.test_generation import House, asking

pytestmark = pytest.mark.anyio


async def test_a_silent_stream_is_pinged_before_its_first_word_and_between_words() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def thinks(prompt: Prompt, relay: Relay) -> None:
        await first.wait()
        await relay(Delta(raw=b"one"))
        await second.wait()
        await relay(Delta(raw=b"two", last=True))

    async with House(thinks).open(limits=limits(ping_s=0.04)) as scene:
        wire = await scene.connect()
        await wire.send(asking(stream=True))
        await wire.read_until(b"~")
        first.set()
        await wire.read_until(b"one")
        await wire.read_until(b"~")
        second.set()
        await wire.read_until(b"two")


async def test_what_fails_after_a_ping_ends_the_stream_in_words() -> None:
    pinged = asyncio.Event()

    async def fails(prompt: Prompt, relay: Relay) -> None:
        await pinged.wait()
        raise UpstreamFailed(errors.UPSTREAM_FAILED("The engine fell over."))

    async with House(fails).open(limits=limits(ping_s=0.04)) as scene:
        wire = await scene.connect()
        await wire.send(asking(stream=True))
        head = await wire.read_until(b"~")
        assert head.startswith(b"HTTP/1.1 200")
        pinged.set()
        await wire.read_until(b"!upstream_failed")


async def test_a_whole_answer_is_never_pinged() -> None:
    go = asyncio.Event()

    async def thinks(prompt: Prompt, relay: Relay) -> None:
        asyncio.get_running_loop().call_later(0.3, go.set)  # seven pings long
        await go.wait()
        await relay(Delta(raw=b"one", last=True))

    async with House(thinks).open(limits=limits(ping_s=0.04)) as scene:
        answer = await scene.ask(asking())
        assert (answer.status, answer.body) == (200, b"one")
