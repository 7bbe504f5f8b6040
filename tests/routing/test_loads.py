"""The load of servers: asked for, kept, forgotten."""

import asyncio
import logging

import pytest

from portico.engines.base import Abilities
from portico.engines.load.asking import _PAGE_BYTES_MAX
from portico.engines.load.model import Load
from portico.engines.openai_compatible.engine import OpenAICompatible
from portico.engines.openai_compatible.profile import Profile
from portico.engines.openai_compatible.server import server_at
from portico.engines.transport.native import NativeTransport
from portico.kit.clock import SystemClock
from portico.observe.metrics import Metrics
from portico.routing.loads import Loads
from portico.routing.model import Deployment
from portico.routing.service import Routing
from portico.routing.unplugged import Unplugged
from tests.engines.transport.upstream import Upstream, sized

pytestmark = pytest.mark.anyio

PAGE = b"vllm:num_requests_running 3\nvllm:num_requests_waiting 1\n"


class Bench:
    """One server that is asked for its load."""

    def __init__(self):
        self.transport = NativeTransport()
        self._upstreams = []

    @property
    def seen(self):
        return [request for upstream in self._upstreams for request in upstream.requests]

    async def engine(self, script, kind="vllm"):
        upstream = Upstream(script)
        await upstream.open()
        self._upstreams.append(upstream)
        profile = Profile(kind, "m", Abilities(frozenset(), 4_096, 4), clean=True)
        server = server_at(f"http://127.0.0.1:{upstream.origin.port}")
        return OpenAICompatible(server, profile, self.transport, SystemClock())

    async def close(self):
        await self.transport.close()
        for upstream in self._upstreams:
            await upstream.close()


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    await bench.close()


def showing(*pages):
    """One page after the other, the last one for ever; None: closes without an answer."""
    left = list(pages)

    async def script(peer):
        request = await peer.request()
        assert request.line == b"GET /metrics HTTP/1.1"
        page = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(page, bytes):
            await peer.send(sized(page))
        elif page is not None:
            await peer.send(sized(b"", status=b"%d No" % page))

    return script


async def serving(bench, script, kind="vllm"):
    engine = await bench.engine(script, kind)
    ways = [Deployment(f"h/{name}", name, engine, "vllm", 0, alias="up-1") for name in "ab"]
    return Loads(Routing(ways), bench.transport, 5.0)


async def test_every_model_of_a_server_has_its_load_and_it_is_asked_once(bench):
    loads = await serving(bench, showing(PAGE))
    assert list(loads.all()) == []
    await loads.round()
    told = Load(3, 1, None)
    assert list(loads.all()) == [("a", "up-1", told), ("b", "up-1", told)]
    assert len(bench.seen) == 1


@pytest.mark.parametrize(
    "bad", [None, 404, 500, b"<html>", b"\xff" * 9_000, b"x" * (_PAGE_BYTES_MAX + 1)]
)
async def test_what_is_not_told_any_more_is_not_known_any_more(bench, bad, caplog):
    loads = await serving(bench, showing(PAGE, bad, bad, PAGE))
    await loads.round()
    with caplog.at_level(logging.WARNING):
        await loads.round()
        assert list(loads.all()) == []
        await loads.round()
    assert len(caplog.records) == 1, "said once"
    await loads.round()
    assert len(list(loads.all())) == 2


async def test_a_server_that_never_ends_is_left(bench, monkeypatch):
    from portico.engines.load import asking  # noqa: PLC0415 - its deadline is shortened here

    quick = asking.Deadlines(connect_s=1, first_byte_s=0.05, idle_s=0.05, total_s=0.1)
    monkeypatch.setattr(asking, "_DEADLINES", quick)

    async def script(peer):
        await peer.request()
        await peer.until_client_closes()

    loads = await serving(bench, script)
    async with asyncio.timeout(5):
        await loads.round()
    assert list(loads.all()) == []


async def test_only_servers_that_have_such_a_page_are_asked(bench):
    loads = await serving(bench, showing(PAGE), kind="generic")
    await loads.round()
    assert bench.seen == []


async def test_a_server_that_is_gone_is_forgotten(bench):
    engine = await bench.engine(showing(PAGE))
    routing = Routing([Deployment("h/a", "a", engine, "vllm", 0)])
    loads = Loads(routing, bench.transport, 5.0)
    await loads.round()
    cut = Unplugged(engine, SystemClock(), 1e12)
    routing.replace([Deployment("h/a", "a", cut, "vllm", 0)])
    await loads.round()
    routing.replace([Deployment("h/a", "a", engine, "vllm", 0)])
    assert list(loads.all()) == [], "what it said before the drill is old"


async def test_it_stands_on_our_own_page_and_what_is_not_known_does_not(bench):
    loads, metrics = await serving(bench, showing(PAGE)), Metrics()
    metrics.loads = loads.all
    await loads.round()
    shown = metrics.render().decode()
    assert 'portico_engine_requests_running{deployment="up-1",model="a"} 3.0' in shown
    assert 'portico_engine_requests_waiting{deployment="up-1",model="b"} 1.0' in shown
    assert "portico_engine_kv_cache_used_ratio{" not in shown


async def test_nobody_is_asked_where_the_operator_says_never(bench):
    loads = await serving(bench, showing(PAGE))
    await Loads(loads._routing, bench.transport, 0).run()
    assert bench.seen == []
