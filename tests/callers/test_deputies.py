"""Callers who are not there: what they left to be done outlives their key's time, not its end."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from portico.accounts.keys.service import revoke_key
from portico.callers import store
from portico.callers.deputies import Deputies
from portico.callers.model import Caller
from portico.callers.presence import Presence
from portico.callers.scopes import BATCHES, GENERATE
from portico.db.readers import Readers
from portico.errors import Refusal
from tests.callers.test_presence import ENDS, Scene, opened

pytestmark = pytest.mark.anyio


@dataclass
class Left:
    """Something was left by a key that a key has made.  maker, child: their ids."""

    scene: Scene
    deputies: Deputies
    secret: str
    maker: str
    child: str

    async def asks(self) -> Caller:
        """As of now, whatever was remembered."""
        self.deputies.forget([self.child])
        return await self.deputies.verify(f"{self.child}/{self.maker}", GENERATE, "")

    def revoke(self, key_id: str) -> None:
        self.scene.does(lambda errand: revoke_key(errand, key_id))

    def forget(self) -> None:
        """Its time is over, and another was made since."""
        self.scene.clock.pass_s(601)
        self.scene.minted(self.secret)


@pytest.fixture
async def left(tmp_path: Path) -> AsyncIterator[Left]:
    async with opened(tmp_path) as scene:
        maker = scene.key()
        child = scene.minted(maker.secret).key.id
        readers = Readers(scene.database)
        yield Left(scene, Deputies(readers, scene.clock), maker.secret, maker.key.id, child)
        readers.close()


async def test_it_is_done_with_what_the_key_that_was_sent_may_do(left: Left) -> None:
    caller = await left.asks()
    assert (caller.credential_id, caller.key_id) == (left.child, left.maker)
    assert BATCHES not in caller.scopes


async def test_what_a_key_left_whose_time_is_over_is_done(left: Left) -> None:
    left.scene.clock.pass_s(601)
    assert (await left.asks()).credential_id == left.child
    left.forget()
    assert (await left.asks()).credential_id == left.maker, "nobody knows the other any more"


REVOKED: dict[str, Callable[[Left], Any]] = {
    "itself": lambda left: left.revoke(left.child),
    "its maker": lambda left: left.revoke(left.maker),
    "itself, long ago": lambda left: (left.revoke(left.child), left.forget()),
    "its maker, once it was forgotten": lambda left: (left.forget(), left.revoke(left.maker)),
}


@pytest.mark.parametrize("how", REVOKED)
async def test_401_what_a_revoked_key_left_is_not_done(left: Left, how: str) -> None:
    await left.asks()
    REVOKED[how](left)
    with pytest.raises(Refusal) as refused:
        await left.asks()
    assert refused.value.code == "api_key_revoked"


async def test_who_is_revoked_is_told_of_many(left: Left) -> None:
    assert await left.deputies.revoked({left.child, left.maker, "key_nobody"}) == set()
    left.revoke(left.maker)
    assert await left.deputies.revoked({left.child, left.maker}) == {left.child, left.maker}
    assert await left.deputies.revoked(()) == set()


async def test_it_is_remembered_until_it_is_told(left: Left) -> None:
    asking = f"{left.child}/{left.maker}"
    before = await left.deputies.verify(asking, GENERATE, "")
    left.revoke(left.child)
    assert await left.deputies.verify(asking, GENERATE, "") is before
    left.deputies.forget([left.maker])
    with pytest.raises(Refusal):
        await left.deputies.verify(asking, GENERATE, "")


@pytest.mark.parametrize("end", ENDS)
async def test_what_is_under_way_is_cut_off_unless_only_time_has_passed(
    left: Left, end: str
) -> None:
    scene = left.scene
    key = scene.key(expires_at_ms=scene.clock.now_ms + 60_000)
    readers = Readers(scene.database)
    scene.presence = Presence(readers, scene.clock, left.deputies.forget, store.withdrawn)
    leaving = scene.enters(key.key.id)
    ENDS[end](scene, key.key)
    await scene.presence.look()
    readers.close()
    assert leaving.left is (end not in ("expired", "replaced at once"))
