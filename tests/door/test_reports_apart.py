"""Sums over many rows are read apart: whoever asks for many of them keeps nobody from being served."""

import asyncio
from typing import Any

import pytest

from tests.door.scene import Scene, request, serving
from tests.door.test_admission_of_routes import Rooms, door

pytestmark = pytest.mark.anyio
KEY = "Authorization: Bearer pk_good"


class Sums:
    """Readers of whom none has answered yet."""

    def __init__(self) -> None:
        self.tenants: list[str | None] = []
        self.asked = asyncio.Event()
        self.done = asyncio.Event()

    async def run(self, _: Any, tenant: str | None = None) -> dict[str, Any]:
        self.tenants.append(tenant)
        self.asked.set()
        await self.done.wait()
        return {}


class Shop(Rooms):
    def sells(self, *_: Any) -> bool:
        return True


async def test_who_asks_for_sums_waits_behind_sums_and_nobody_else_does() -> None:
    rooms: Any = Shop()
    rooms.standings = rooms.prices = rooms
    rooms.reports = sums = Sums()
    made = door(rooms)

    async def serve(exchange: Any) -> None:
        found, rest = made.routes.find(exchange.method, exchange.path)
        exchange.scope = found.scope
        await found.handle(exchange, rest)

    async with serving(serve) as scene:
        wires = [await _ask(scene, "/v1/usage") for _ in range(3)]
        async with asyncio.timeout(10):
            await sums.asked.wait()
        assert (await (await _ask(scene, "/v1/models")).answer()).status == 200
        sums.done.set()
        assert [(await wire.answer()).status for wire in wires] == [200] * 3
    assert sums.tenants == ["org_a"] * 3


async def _ask(scene: Scene, path: str) -> Any:
    wire = await scene.connect()
    await wire.send(request(path, b"", KEY, method="GET"))
    return wire
