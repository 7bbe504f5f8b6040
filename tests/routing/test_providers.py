"""Providers in the fleet: asked for their list and nothing else, served under the name wished for."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from portico.engines.provider.engine import ProviderEngine
from portico.engines.provider.outbound import ProviderKind
from portico.engines.transport.base import Deadlines
from portico.engines.transport.native import NativeTransport
from portico.kit.clock import SystemClock
from portico.kit.tasks import Tasks
from portico.routing.fleet import Fleet, Wish
from portico.routing.service import Routing
from tests.engines.provider.providers import KINDS, PROVIDERS, compact
from tests.engines.provider.serving import KEY, saying
from tests.engines.transport.upstream import Peer, Script, Upstream, sized

pytestmark = pytest.mark.anyio


class Scene:
    def __init__(self) -> None:
        self.routing = Routing(())
        self.transport = NativeTransport()
        self.tasks = Tasks(lambda _: None)
        self.fleet = Fleet(
            self.routing,
            self.transport,
            self.tasks,
            SystemClock(),
            Deadlines(),
            concurrency_max=7,
            models_max=1,
        )
        self.upstreams: list[Upstream] = []

    async def provider(self, script: Script) -> str:
        upstream = Upstream(script)
        await upstream.open()
        self.upstreams.append(upstream)
        return f"http://127.0.0.1:{upstream.origin.port}"

    async def close(self) -> None:
        await self.tasks.close()
        await self.transport.close()
        for upstream in self.upstreams:
            await upstream.close()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.close()


def wish(url: str, kind: ProviderKind = "anthropic", key: str = KEY) -> Wish:
    return Wish(url, key, "claude", "big", alias="dep_1", kind=kind)


def keyed(right: str) -> Script:
    """A provider that lets one key in."""
    listed = sized(
        compact(PROVIDERS["anthropic"].models), fields=b"Content-Type: application/json\r\n"
    )

    async def script(peer: Peer) -> None:
        asked = await peer.request()
        known = asked.values(b"x-api-key") == [right.encode()]
        await peer.send(listed if known else sized(b"{}", status=b"401 No"))

    return script


@pytest.mark.parametrize("kind", KINDS)
async def test_a_provider_is_served_after_it_has_listed_its_models(
    scene: Scene, kind: ProviderKind
) -> None:
    url = await scene.provider(saying(compact(PROVIDERS[kind].models)))
    assert await scene.fleet.follow([wish(url, kind)], 5) == {}
    (deployment,) = scene.routing.models()["claude"]
    assert isinstance(deployment.engine, ProviderEngine)
    assert (deployment.owned_by, deployment.told) == (kind, "dep_1")
    assert deployment.engine.abilities.context_tokens == 200_000
    assert deployment.engine.abilities.concurrency_max == 7
    (asked,) = scene.upstreams[0].requests
    assert asked.line.startswith(b"GET "), "nothing was generated"


async def test_a_wrong_key_is_said_and_nothing_served(scene: Scene) -> None:
    url = await scene.provider(keyed("another"))
    (problem,) = (await scene.fleet.follow([wish(url)], 5)).values()
    assert "does not accept the API key" in problem
    assert KEY not in problem
    assert scene.routing.models() == {}


async def test_a_key_that_cannot_be_read_is_said(scene: Scene) -> None:
    unreadable = replace(wish("http://127.0.0.1:9"), trouble="its key cannot be read")
    assert await scene.fleet.follow([unreadable], 5) == {unreadable: "its key cannot be read"}


async def test_a_key_is_changed_without_a_gap(scene: Scene) -> None:
    url = await scene.provider(saying(compact(PROVIDERS["anthropic"].models)))
    await scene.fleet.follow([wish(url)], 5)
    (before,) = scene.routing.models()["claude"]
    await scene.fleet.follow([wish(url, key="new")])
    assert scene.routing.models()["claude"] == (before,), "until the new one was asked"
    await scene.fleet.follow([wish(url, key="new")], 5)
    (after,) = scene.routing.models()["claude"]
    assert after.engine is not before.engine


async def test_a_new_key_that_is_wrong_ends_the_old_one(scene: Scene) -> None:
    """It was changed for a reason."""
    url = await scene.provider(keyed(KEY))
    await scene.fleet.follow([wish(url)], 5)
    await scene.fleet.follow([wish(url, key="wrong")], 5)
    assert scene.routing.models() == {}


async def test_another_address_is_not_served_in_the_place_of_the_old_one(scene: Scene) -> None:
    url = await scene.provider(keyed(KEY))
    await scene.fleet.follow([wish(url)], 5)
    await scene.fleet.follow([wish("http://127.0.0.1:9")])
    assert scene.routing.models() == {}
