"""Who is calling: right, revocable within 5 s, bounded, and without a wait for those who are known."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from portico.accounts.actors.model import operator
from portico.accounts.keys.model import IssuedKey, KeyWish
from portico.accounts.keys.service import create_key, revoke_key
from portico.accounts.projects.model import ProjectWish
from portico.accounts.projects.service import change_project
from portico.accounts.service import open_accounts
from portico.callers.model import Caller
from portico.callers.rules import new_key
from portico.callers.scopes import GENERATE
from portico.callers.service import Callers
from portico.canon.prompt import Compatibility
from portico.db.database import Database
from portico.db.readers import Readers
from portico.errors import Refusal
from tests.db.databases import new_sqlite
from tests.db.storage import HandClock

pytestmark = pytest.mark.anyio


class CountingReaders(Readers):
    """Real readers that remember what was asked of them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.asked: list[asyncio.Future[Any]] = []

    def submit(self, query: Callable[[Connection], Any]) -> "asyncio.Future[Any]":
        answer = super().submit(query)
        self.asked.append(answer)
        return answer


@dataclass
class Scene:
    database: Database
    clock: HandClock
    readers: CountingReaders
    callers: Callers
    issue: Callable[[KeyWish], IssuedKey]

    def revoke(self, issued: IssuedKey) -> None:
        self.database.write(lambda c: revoke_key(operator(c, self.clock), issued.key.id))

    def at_once(self, credential: str) -> Caller:
        """Verify, and fail if it waits for anything."""
        coroutine = self.callers.verify(credential, GENERATE, "")
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)
        caller: Caller = done.value.value
        return caller

    async def refused(self, credential: str) -> str:
        with pytest.raises(Refusal) as refusal:
            await self.callers.verify(credential, GENERATE, "")
        assert refusal.value.status == 401
        return refusal.value.code


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = HandClock()
    database = new_sqlite(tmp_path)
    peppers, _ = open_accounts(database, tmp_path, clock)
    readers = CountingReaders(database)
    callers = Callers(readers, peppers, clock, keys_max=4, refused_max=4)

    def issue(wish: KeyWish) -> IssuedKey:
        return database.write(lambda c: create_key(operator(c, clock), peppers, wish))

    yield Scene(database, clock, readers, callers, issue)
    readers.close()


async def test_a_key_made_while_the_server_runs_is_known(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine", mode="test", concurrency_max=3))
    caller = await scene.callers.verify(issued.secret, GENERATE, "")
    assert (caller.key_id, caller.project_id) == (issued.key.id, issued.key.project_id)
    assert (caller.mode, caller.concurrency_max) == ("test", 3)


@pytest.mark.parametrize("of_key", ["strict", "warn", "adapt", None])
@pytest.mark.parametrize("of_project", ["strict", "warn", "adapt"])
async def test_a_key_is_as_it_says_itself_or_else_as_its_project(
    scene: Scene, of_key: Compatibility | None, of_project: Compatibility
) -> None:
    issued = scene.issue(KeyWish("mine", compatibility=of_key))
    wish = ProjectWish(compatibility=of_project)
    scene.database.write(
        lambda c: change_project(operator(c, scene.clock), issued.key.project_id, wish)
    )
    caller = await scene.callers.verify(issued.secret, GENERATE, "")
    assert caller.compatibility == (of_key or of_project)


async def test_a_key_is_warned_unless_anybody_says_otherwise(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine"))
    assert (await scene.callers.verify(issued.secret, GENERATE, "")).compatibility == "warn"


async def test_garbage_is_refused_without_asking_the_database(scene: Scene) -> None:
    assert await scene.refused("") == "missing_api_key"
    for credential in ("sk-abc", "pk_live_abc", new_key("live")[:-1] + "!", "\udc80", "x" * 10_000):
        assert await scene.refused(credential) == "invalid_api_key"
    assert scene.readers.asked == []


async def test_a_key_of_the_admin_api_is_told_from_an_unknown_one_by_nothing(scene: Scene) -> None:
    said = []
    for kind in ("live", "admin"):
        with pytest.raises(Refusal) as refusal:
            await scene.callers.verify(new_key(kind), GENERATE, "")  # type: ignore[arg-type]  # both are
        said.append((refusal.value.status, refusal.value.code, refusal.value.told))
    assert said[0] == said[1]


async def test_a_known_key_is_answered_without_a_wait(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine"))
    first = await scene.callers.verify(issued.secret, GENERATE, "")
    for _ in range(5):
        scene.clock.pass_s(0.4)
        assert scene.at_once(issued.secret) == first
    assert len(scene.readers.asked) == 1


async def test_a_key_in_use_is_checked_again_without_a_wait(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine"))
    await scene.callers.verify(issued.secret, GENERATE, "")
    for _ in range(4):
        scene.clock.pass_s(3.0)
        for _ in range(3):
            scene.at_once(issued.secret)
        await scene.readers.asked[-1]
        await asyncio.sleep(0)  # its answer is remembered
    assert len(scene.readers.asked) == 5


async def test_a_revoked_key_in_use_is_refused_as_soon_as_it_is_checked_again(
    scene: Scene,
) -> None:
    issued = scene.issue(KeyWish("mine"))
    await scene.callers.verify(issued.secret, GENERATE, "")
    scene.revoke(issued)
    scene.clock.pass_s(2.5)
    scene.at_once(issued.secret)
    await scene.readers.asked[-1]
    await asyncio.sleep(0)
    assert await scene.refused(issued.secret) == "api_key_revoked"


async def test_a_revoked_key_is_refused_after_five_seconds_whatever_happened(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine"))
    await scene.callers.verify(issued.secret, GENERATE, "")
    scene.revoke(issued)
    scene.clock.pass_s(5.0)
    assert await scene.refused(issued.secret) == "api_key_revoked"


async def test_an_expired_key_is_refused_to_the_second(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine", expires_at_ms=scene.clock.now_ms + 2_000))
    await scene.callers.verify(issued.secret, GENERATE, "")
    scene.clock.pass_s(1.9)
    scene.at_once(issued.secret)
    scene.clock.pass_s(0.1)
    assert await scene.refused(issued.secret) == "api_key_expired"


async def test_many_who_ask_at_once_ask_the_database_once(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine"))
    callers = await asyncio.gather(
        *[scene.callers.verify(issued.secret, GENERATE, "") for _ in range(50)]
    )
    assert len(set(callers)) == 1
    assert len(scene.readers.asked) == 1


async def test_one_who_hangs_up_does_not_disturb_the_others(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine"))
    loop = asyncio.get_running_loop()
    hasty = loop.create_task(scene.callers.verify(issued.secret, GENERATE, ""))
    patient = loop.create_task(scene.callers.verify(issued.secret, GENERATE, ""))
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).key_id == issued.key.id


async def test_an_unknown_key_is_remembered_for_a_moment_only(scene: Scene) -> None:
    credential = new_key("live")
    for _ in range(3):
        assert await scene.refused(credential) == "invalid_api_key"
    assert len(scene.readers.asked) == 1
    scene.clock.pass_s(1.0)
    assert await scene.refused(credential) == "invalid_api_key"
    assert len(scene.readers.asked) == 2


async def test_made_up_keys_do_not_push_out_real_ones(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine"))
    await scene.callers.verify(issued.secret, GENERATE, "")
    for _ in range(20):
        await scene.refused(new_key("live"))
    scene.at_once(issued.secret)
    assert scene.callers.remembered <= 5


async def test_no_more_keys_are_remembered_than_allowed(scene: Scene) -> None:
    keys = [scene.issue(KeyWish("mine")) for _ in range(9)]
    for issued in keys:
        await scene.callers.verify(issued.secret, GENERATE, "")
    assert scene.callers.remembered == 4
    scene.at_once(keys[-1].secret)


async def test_a_key_that_cannot_be_looked_up_is_not_called_wrong(scene: Scene) -> None:
    issued = scene.issue(KeyWish("mine"))
    scene.database.write(lambda c: c.exec_driver_sql("DROP TABLE api_key"))
    with pytest.raises(Refusal) as refusal:
        await scene.callers.verify(issued.secret, GENERATE, "")
    assert (refusal.value.code, refusal.value.retry_after_ms) == ("storage_unavailable", 2_000)
