"""Making a key for minutes is a request like others: it counts, and it can be too many."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from portico.accounts.limits.model import Limit
from portico.accounts.limits.service import set_limit
from portico.admin.visitors import minting
from portico.admin.visitors.minting import Minting
from portico.app.spoken.dialects import OPENAI_CHAT
from portico.callers.service import Callers
from portico.db.readers import Readers
from portico.door.dispatch import Dispatch
from portico.door.routes import Routes
from portico.rates.counters import Alone
from portico.rates.service import Rates
from tests.admin.office import Site, site
from tests.db.storage import HandClock
from tests.door.scene import Answer, Watching, request, serving

pytestmark = pytest.mark.anyio
Mint = Callable[[str], Any]


@asynccontextmanager
async def minted(acme: Site) -> AsyncIterator[Mint]:
    """What asks for a key with a key."""
    readers = Readers(acme.database)
    rates = Rates(readers, Alone(acme.clock), acme.clock)
    await rates.refresh()

    async def write(change: Callable[[Connection], Any]) -> Any:
        return acme.database.write(change)

    callers = Callers(readers, acme.peppers, acme.clock)
    route = Minting(callers, acme.peppers, write, rates, acme.clock).route()
    try:
        async with serving(
            Dispatch(Routes([route]), OPENAI_CHAT.render, Watching()).serve
        ) as scene:

            async def mint(key: str) -> Answer:
                bearer = f"Authorization: Bearer {key}"
                return await scene.ask(request("/v1/ephemeral_keys", b'{"expires_in": 1}', bearer))

            yield mint
    finally:
        readers.close()


@pytest.fixture
def acme(tmp_path: Path) -> Site:
    return site(tmp_path, clock=HandClock())


@pytest.mark.parametrize("scope", ["key", "project", "organisation", "installation"])
async def test_429_beyond_what_may_be_asked_in_a_minute(acme: Site, scope: Any) -> None:
    org = acme.organisation()
    project = acme.project(org)
    id, secret = acme.key(project)
    scope_id = {"key": id, "project": project, "organisation": org, "installation": ""}[scope]
    for limit in (
        Limit(scope, scope_id, requests_per_minute=2, output_tokens_per_minute=0),
        Limit(scope, scope_id, "m", requests_per_minute=0),
    ):
        acme.does(lambda e, limit=limit: set_limit(e, limit))
    async with minted(acme) as mint:
        assert [(await mint(secret)).status for _ in range(2)] == [200, 200]
        told = await mint(secret)
        assert (told.status, told.code) == (429, "requests_per_minute_exceeded")
        assert told.headers["x-ratelimit-remaining-requests"] == "0"
        assert int(told.headers["retry-after"]) > 0
        made = acme.rows("SELECT id FROM api_key WHERE kind = 'ephemeral'")
        assert len(made) == 2, "what is refused writes nothing"
        acme.clock.pass_s(61)  # type: ignore[attr-defined]  # a HandClock, see the fixture
        assert (await mint(secret)).status == 200


async def test_429_more_in_a_minute_than_may_be_alive(
    acme: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that live for a second are never many at a time, and a write each."""
    monkeypatch.setattr(minting, "PER_MINUTE", 3)
    project = acme.project(acme.organisation())
    (_, one), (_, other) = acme.key(project), acme.key(project)
    async with minted(acme) as mint:
        for _ in range(3):
            assert (await mint(one)).status == 200
            acme.clock.pass_s(2)  # type: ignore[attr-defined]  # a HandClock, see the fixture
        told = await mint(one)
        assert (told.status, told.code) == (429, "requests_per_minute_exceeded")
        assert (await mint(other)).status == 200
        acme.clock.pass_s(60)  # type: ignore[attr-defined]  # a HandClock, see the fixture
        assert (await mint(one)).status == 200
