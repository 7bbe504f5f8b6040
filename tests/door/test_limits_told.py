"""What is left of a caller's limits stands on every answer that runs nothing, refusals too."""

from collections.abc import Sequence
from typing import Any

import pytest

from portico.admission.line import QueueLimits
from portico.admission.service import Admission
from portico.admission.standing import Standing, Window
from portico.callers.model import Caller
from portico.door.dispatch import Dispatch
from portico.door.endpoints.answering import Reception
from portico.door.endpoints.models import Models, offered_by
from portico.door.endpoints.money import Money
from portico.door.routes import Route, Routes
from portico.kit.clock import SystemClock
from portico.kit.leaving import Leaving
from portico.routing.service import Routing
from tests.admission.test_admission import To
from tests.door.rooms import CALLER, PLAIN, Books
from tests.door.scene import Answer, Watching, request, serving
from tests.door.test_preflight import funds, window

pytestmark = pytest.mark.anyio

KEY = "Authorization: Bearer pk_good"


class Desk:
    def __init__(self, windows: Sequence[Window] = (), terms: str = "prepaid") -> None:
        self.admission = Admission(QueueLimits(1, 1.0), SystemClock())
        self._standing = Standing((funds(700),), tuple(windows))
        reception = Reception(Books(), self.admission)
        money = Money(reception, self, lambda _: terms, lambda _: [], lambda _: [])
        models = Models(reception, offered_by(Routing(), Books()))
        paths = {
            "/v1/balance": money.balance,
            "/v1/limits": money.limits,
            "/v1/prices": money.prices,
            "/v1/models": models.all,
            "/v1/models/{id}": models.one,
        }
        routes = [Route("GET", path, handle, scope="x") for path, handle in paths.items()]
        self._dispatch = Dispatch(Routes(routes), PLAIN.render, Watching())

    async def of(self, caller: Caller) -> Standing:
        return self._standing

    async def get(self, path: str, key: str = KEY) -> Answer:
        async with serving(self._dispatch.serve) as scene:
            return await scene.ask(request(path, b"", key, method="GET"))


def told(answer: Answer) -> dict[str, str]:
    return {
        name.removeprefix("portico-"): said
        for name, said in answer.headers.items()
        if name.startswith(("portico-", "x-ratelimit"))
    }


@pytest.mark.parametrize("path", ["/v1/prices", "/v1/models", "/v1/models/none"])
async def test_requests_at_once(path: str) -> None:
    desk = Desk()
    permit = await desk.admission.admit("req_1", CALLER, To(), None, Leaving())
    assert told(await desk.get(path)) == {
        "concurrency-limit": "5000",
        "concurrency-remaining": "4999",
    }
    permit.release()
    assert told(await desk.get(path))["concurrency-remaining"] == "5000"


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/limits"])
async def test_what_was_read_anyway(path: str) -> None:
    answer = await Desk([window(400), window(30)]).get(path)
    assert told(answer) == {
        "concurrency-limit": "5000",
        "concurrency-remaining": "5000",
        "balance-nano-usd": "700",
        "budget": "key/day",
        "budget-limit-nano-usd": "1000",
        "budget-remaining-nano-usd": "30",
        "budget-reset": "2026-11-22T00:00:00Z",
    }
    assert told(await Desk().get(path))["balance-nano-usd"] == "700"
    internal: Any = told(await Desk(terms="internal").get(path))
    assert "balance-nano-usd" not in internal


async def test_nothing_to_strangers() -> None:
    answer = await Desk().get("/v1/models", "Authorization: Bearer pk_bad")
    assert (answer.status, told(answer)) == (401, {})
