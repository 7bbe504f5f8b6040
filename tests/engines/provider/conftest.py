"""An engine of each kind, pointed at a scripted provider over real sockets."""

from collections.abc import AsyncIterator

import pytest

from portico.engines.provider.engine import ProviderEngine
from portico.engines.provider.outbound import ProviderKind
from portico.engines.provider.survey import ModelListed, provider_at, provider_engine
from portico.engines.transport.base import Deadlines
from portico.engines.transport.native import NativeTransport
from portico.kit.clock import Clock, SystemClock
from tests.engines.transport.upstream import Request, Script, Upstream

from .providers import KINDS
from .serving import KEY


class Bench:
    """Opens what a test needs; closed after it."""

    def __init__(self) -> None:
        self.transport = NativeTransport()
        self.upstreams: list[Upstream] = []

    @property
    def seen(self) -> list[Request]:
        """Every request that any provider got."""
        return [request for upstream in self.upstreams for request in upstream.requests]

    async def upstream(self, script: Script) -> Upstream:
        upstream = Upstream(script)
        await upstream.open()
        self.upstreams.append(upstream)
        return upstream

    async def engine(
        self,
        kind: ProviderKind,
        script: Script,
        deadlines: Deadlines | None = None,
        clock: Clock | None = None,
    ) -> ProviderEngine:
        upstream = await self.upstream(script)
        url = f"http://127.0.0.1:{upstream.origin.port}"
        server = provider_at(kind, url, KEY, deadlines)
        listed = ModelListed("big", 200_000, 64_000)
        return provider_engine(kind, server, listed, self.transport, clock or SystemClock(), 4)

    async def close(self) -> None:
        await self.transport.close()
        for upstream in self.upstreams:
            await upstream.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> ProviderKind:
    found: ProviderKind = request.param
    return found
