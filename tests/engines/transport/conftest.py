"""One suite, every implementation, the loops each runs on, and nothing left behind."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property

import pytest
from trustme import CA

from portico.engines.transport.base import Limits, Transport
from portico.engines.transport.fallback import FallbackTransport
from portico.engines.transport.native import NativeTransport

from .upstream import Script, Upstream, answering


@dataclass(frozen=True)
class Kind:
    make: type[NativeTransport] | type[FallbackTransport]
    uvloop: bool


KINDS = {
    "native-uvloop": Kind(NativeTransport, True),
    "native-asyncio": Kind(NativeTransport, False),
    "aiohttp-uvloop": Kind(FallbackTransport, True),
}
NATIVE = ("native-uvloop", "native-asyncio")


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def anyio_backend(kind: Kind) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": kind.uvloop}


class World:
    """What a test opens; closed and counted at its end."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._transports: list[Transport] = []
        self._upstreams: list[Upstream] = []

    @cached_property
    def ca(self) -> CA:
        return CA()

    def transport(
        self, limits: Limits | None = None, tls: ssl.SSLContext | None = None
    ) -> Transport:
        transport = self._kind.make(limits, tls)
        self._transports.append(transport)
        return transport

    async def upstream(
        self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> Upstream:
        upstream = Upstream(script)
        await upstream.open(tls, host)
        self._upstreams.append(upstream)
        return upstream

    async def close(self) -> None:
        for transport in self._transports:
            await transport.close()
        for upstream in self._upstreams:
            await upstream.close()


def _open_files() -> int:
    return len(os.listdir("/dev/fd"))


async def _let_the_loop_open_its_own_files() -> None:
    first = Upstream(answering(b""))
    await first.open()
    await first.close()
    await asyncio.sleep(0)


@pytest.fixture
async def world(kind: Kind, anyio_backend: object) -> AsyncIterator[World]:
    await _let_the_loop_open_its_own_files()
    files, tasks = _open_files(), len(asyncio.all_tasks())
    world = World(kind)
    yield world
    await world.close()
    for _ in range(2_000):  # closed sockets leave the loop a turn or two after close()
        if _open_files() <= files and len(asyncio.all_tasks()) <= tasks:
            return
        await asyncio.sleep(0.001)
    pytest.fail(f"left behind: {_open_files() - files} files, {asyncio.all_tasks()}")
