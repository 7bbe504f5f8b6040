"""Whose key ends is cut off, however it ends; and when keys were used is written, late and bounded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import PendingRollbackError, SQLAlchemyError

from portico.accounts.actors.model import Errand, operator
from portico.accounts.keys.ephemeral import EphemeralWish, mint
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key, replace_key, revoke_key
from portico.accounts.projects.service import archive_project, suspend
from portico.accounts.service import open_accounts
from portico.callers import last_use as uses
from portico.callers import presence as room
from portico.callers import store
from portico.callers.last_use import LastUse
from portico.callers.pepper import Pepper
from portico.callers.presence import Presence
from portico.callers.rules import digest
from portico.callers.store import note_use
from portico.db.database import Database
from portico.db.readers import Readers
from portico.errors import STORAGE_UNAVAILABLE, Refusal
from portico.kit.leaving import REVOKED, Leaving
from tests.db.databases import new_sqlite
from tests.db.storage import HandClock

pytestmark = pytest.mark.anyio


@dataclass
class Scene:
    database: Database
    peppers: tuple[Pepper, ...]
    clock: HandClock
    presence: Presence
    forgotten: list[str] = field(default_factory=list)

    def does(self, work: Callable[[Errand], Any]) -> Any:
        return self.database.write(lambda c: work(operator(c, self.clock)))

    def key(self, **wish: Any) -> Any:
        return self.does(lambda e: create_key(e, self.peppers, KeyWish("k", **wish)))

    def minted(self, secret: str) -> Any:
        digests = tuple(digest(each.secret, secret) for each in self.peppers)
        known = self.database.read(lambda c: store.find(c, digests))
        assert known is not None
        return self.database.write(
            lambda c: mint(c, self.clock, self.peppers, known.caller, EphemeralWish())
        )

    def enters(self, credential_id: str) -> Leaving:
        leaving = Leaving()
        self.presence.enter(credential_id, leaving)
        return leaving


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Scene]:
    clock, database, forgotten = HandClock(), new_sqlite(folder), list[str]()
    peppers, _ = open_accounts(database, folder, clock)
    readers = Readers(database)

    def forget(ended: Collection[str]) -> None:
        forgotten.extend(ended)

    yield Scene(database, peppers, clock, Presence(readers, clock, forget), forgotten)
    readers.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as made:
        yield made


ENDS: dict[str, Callable[[Scene, Any], Any]] = {
    "revoked": lambda x, key: x.does(lambda e: revoke_key(e, key.id)),
    "expired": lambda x, key: x.clock.pass_s(60),
    "replaced at once": lambda x, key: x.does(lambda e: replace_key(e, x.peppers, key.id, 0)),
    "archived": lambda x, key: x.does(lambda e: archive_project(e, key.project_id)),
    "suspended": lambda x, key: x.does(
        lambda e: suspend(e, store_organisation(e.connection, key.id), "unpaid")
    ),
}


def store_organisation(connection: Connection, key_id: str) -> str:
    found = connection.exec_driver_sql(
        f"SELECT organisation_id FROM api_key WHERE id = '{key_id}'"
    ).scalar()
    return str(found)


@pytest.mark.parametrize("end", ENDS)
async def test_whose_key_ends_is_cut_off(scene: Scene, end: str) -> None:
    issued = scene.key(expires_at_ms=scene.clock.now_ms + 60_000)
    child = scene.minted(issued.secret).key.id
    mine = [scene.enters(each) for each in (issued.key.id, issued.key.id, child)]
    assert await scene.presence.look() == 0
    ENDS[end](scene, issued.key)
    assert await scene.presence.look() == 3
    assert [(each.left, each.reason) for each in mine] == [(True, REVOKED)] * 3
    assert set(scene.forgotten) == {issued.key.id, child}


async def test_whose_key_goes_on_stays(scene: Scene) -> None:
    gone, stays = scene.key(), scene.key()
    child = scene.minted(stays.secret).key.id
    others = [scene.enters(stays.key.id), scene.enters(child)]
    left = scene.enters(gone.key.id)
    scene.presence.go(left)
    scene.presence.go(left)
    scene.does(lambda e: revoke_key(e, gone.key.id))
    assert await scene.presence.look() == 0
    assert not any(each.left for each in (*others, left))
    scene.clock.pass_s(601)  # an ephemeral key's own end
    assert await scene.presence.look() == 1
    assert [each.left for each in others] == [False, True]
    for each in others:
        scene.presence.go(each)
    assert scene.presence._here == {}


async def test_more_keys_than_one_question_holds(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_ASKED_AT_ONCE", 2)
    keys = [scene.key().key.id for _ in range(5)]
    served = [scene.enters(each) for each in keys]
    scene.does(lambda e: [revoke_key(e, each) for each in (keys[0], keys[4])])
    assert await scene.presence.look() == 2
    assert [each.left for each in served] == [True, False, False, False, True]


async def test_a_database_in_trouble_does_not_end_the_watch(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_EVERY_S", 0)
    key = scene.key().key.id
    leaving, asked = scene.enters(key), scene.presence._readers.run
    troubles: list[SQLAlchemyError] = [PendingRollbackError(), PendingRollbackError()]
    cut = asyncio.Event()

    async def run(query: Callable[[Connection], Any]) -> Any:
        if troubles:
            raise troubles.pop()
        return await asked(query)

    monkeypatch.setattr(scene.presence._readers, "run", run)
    monkeypatch.setattr(scene.presence, "_forget", lambda _: cut.set())
    scene.does(lambda e: revoke_key(e, key))
    watch = asyncio.get_running_loop().create_task(scene.presence.run())
    await asyncio.wait_for(cut.wait(), 20)
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    assert leaving.left


# When keys were used


class Writes:
    """The writer's next transaction, or what it says instead."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.says: Exception | None = None
        self.times = 0
        self.asked = asyncio.Event()

    async def __call__(self, change: Callable[[Connection], Any]) -> None:
        self.times += 1
        self.asked.set()
        if self.says is not None:
            raise self.says
        self.scene.database.write(change)

    def used(self) -> dict[str, int | None]:
        rows = self.scene.database.read(
            lambda c: c.exec_driver_sql("SELECT id, last_used_at_ms FROM api_key").all()
        )
        return {row[0]: row[1] for row in rows}


async def test_the_last_use_is_kept_to_the_minute_and_never_goes_back(scene: Scene) -> None:
    writes, key = Writes(scene), scene.key().key.id
    last = LastUse(writes, scene.clock, note_use)
    await last.flush()
    assert writes.times == 0
    scene.clock.pass_s(59)
    last.note(key)
    await last.flush()
    used_ms = scene.clock.now_ms // 60_000 * 60_000
    assert writes.used()[key] == used_ms
    scene.clock.now_ms -= 3_600_000
    last.note(key)
    await last.flush()
    assert writes.used()[key] == used_ms
    scene.database.write(partial(store.note_use, used={"key_gone": 1}))


async def test_what_cannot_be_written_now_is_written_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uses, "_WRITTEN_AT_ONCE", 2)
    writes, keys = Writes(scene), [scene.key().key.id for _ in range(5)]
    last = LastUse(writes, scene.clock, note_use)
    for each in keys:
        last.note(each)
    writes.says = STORAGE_UNAVAILABLE("no")
    with pytest.raises(Refusal):
        await last.flush()
    writes.says = None
    await last.flush()
    assert writes.times == 4
    assert None not in [writes.used()[each] for each in keys]


async def test_what_can_never_be_written_ends_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uses, "_EVERY_S", 0)
    writes, key = Writes(scene), scene.key().key.id
    last = LastUse(writes, scene.clock, note_use)
    for says in (PendingRollbackError(), STORAGE_UNAVAILABLE("no")):
        writes.says = says
        watch = asyncio.get_running_loop().create_task(last.run())
        last.note(key)
        writes.asked.clear()
        await asyncio.wait_for(writes.asked.wait(), 20)
        await asyncio.sleep(0)
        assert not watch.done()
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch


async def test_keys_noted_are_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "_NOTED_MAX", 3)
    last = LastUse(Writes(scene), scene.clock, note_use)
    for number in range(10):
        last.note(f"key_{number}")
    assert len(last._noted) == 3
