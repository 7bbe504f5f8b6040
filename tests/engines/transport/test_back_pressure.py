"""A caller who does not ask is not sent more than a bounded amount."""

import asyncio
import hashlib

import pytest

from portico.engines.transport import tls
from portico.engines.transport.answer import NativeAnswer
from portico.engines.transport.base import Answer, Deadlines, Limits
from portico.engines.transport.native import READ_BYTES

from .conftest import NATIVE, World
from .upstream import Peer, Script, certified

pytestmark = pytest.mark.anyio
PIECE = bytes(range(256)) * 256
PIECES = 512  # 32 MiB: more than the kernel keeps for a reader who does not read
LIMITS = Limits(buffer_bytes=100_000)
QUICK = Deadlines(idle_s=0.2)


def _pouring(poured: asyncio.Event) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(PIECE) * PIECES))
        for _ in range(PIECES):
            await peer.send(PIECE)
        poured.set()
        await peer.until_client_closes()

    return script


async def _stands_still(poured: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(poured.wait(), 0.5)  # longer than QUICK.idle_s, on purpose


async def _digest(answer: Answer) -> str:
    digest = hashlib.sha256()
    while piece := await answer.next():
        digest.update(piece)
    return digest.hexdigest()


@pytest.mark.parametrize("secure", [False, True])
async def test_the_upstream_is_held_back_and_nothing_is_lost(world: World, secure: bool) -> None:
    poured = asyncio.Event()
    context = certified(world.ca, "127.0.0.1") if secure else None
    upstream = await world.upstream(_pouring(poured), tls=context)
    transport = world.transport(LIMITS, tls=tls.trusting_anyone())
    answer = await transport.send(upstream.call(deadlines=QUICK))
    await _stands_still(poured)
    assert await _digest(answer) == hashlib.sha256(PIECE * PIECES).hexdigest()


@pytest.mark.parametrize("kind", NATIVE, indirect=True)
async def test_the_buffer_stays_bounded(world: World) -> None:
    poured = asyncio.Event()
    upstream = await world.upstream(_pouring(poured))
    answer = await world.transport(LIMITS).send(upstream.call(deadlines=QUICK))
    assert isinstance(answer, NativeAnswer)
    sizes = []
    for _ in range(20):
        await asyncio.sleep(0.01)
        sizes.append(answer.buffered_bytes)
        await answer.next()
    assert LIMITS.buffer_bytes < max(sizes) <= LIMITS.buffer_bytes + READ_BYTES
    answer.close()


async def test_a_hang_up_while_held_back_reaches_the_upstream(world: World) -> None:
    poured = asyncio.Event()
    upstream = await world.upstream(_pouring(poured))
    answer = await world.transport(LIMITS).send(upstream.call())
    await _stands_still(poured)
    answer.close()
    await upstream.until_ended(1)
