"""An adapter pointed at a scripted upstream over real sockets."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from engines.transport.upstream import Request, Script, Upstream
from portico.engines.base import Abilities
from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.server import server_at
from portico.engines.transport.base import Deadlines
from portico.engines.transport.native import NativeTransport
from portico.kit.clock import SystemClock

ABILITIES = Abilities(frozenset({"tools"}), 4096, 4)


class Bench:
    """Opens what a test needs; closed after it."""

    def __init__(self) -> None:
        self.transport = NativeTransport()
        self._upstreams: list[Upstream] = []

    @property
    def seen(self) -> list[Request]:
        """Every request that any upstream got."""
        return [request for upstream in self._upstreams for request in upstream.requests]

    async def upstream(self, script: Script) -> Upstream:
        upstream = Upstream(script)
        await upstream.open()
        self._upstreams.append(upstream)
        return upstream

    async def engine(
        self, script: Script, deadlines: Deadlines | None = None, **profile: Any
    ) -> OpenAICompatible:
        upstream = await self.upstream(script)
        known = {"kind": "generic", "model": "gpt", "abilities": ABILITIES, "clean": True}
        return OpenAICompatible(
            server_at(f"http://127.0.0.1:{upstream.origin.port}", "sk-own", deadlines=deadlines),
            Profile(**{**known, **profile}),
            self.transport,
            SystemClock(),
        )

    async def close(self) -> None:
        await self.transport.close()
        for upstream in self._upstreams:
            await upstream.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.close()
