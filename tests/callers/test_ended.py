"""What has ended opens nothing, whichever way it ended; and what is refused is told as it was promised."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from portico.accounts.keys.ephemeral import EphemeralWish, mint
from portico.accounts.keys.service import revoke_key
from portico.accounts.projects.service import archive_project, resume, suspend
from portico.callers.rules import within
from portico.callers.scopes import EMBED, GENERATE
from portico.callers.service import Callers
from portico.errors import Refusal
from tests.callers.test_presence import Scene, scene, store_organisation

pytestmark = pytest.mark.anyio
__all__ = ["scene"]


@pytest.fixture
def callers(scene: Scene) -> Callers:
    return Callers(scene.presence._readers, scene.peppers, scene.clock)


async def told(
    callers: Callers, secret: str, scope: str = GENERATE, address: str = ""
) -> tuple[int, str]:
    """Status and code; 200 and nothing where it is let in."""
    try:
        await callers.verify(secret, scope, address)
    except Refusal as refusal:
        return refusal.status, refusal.code
    return 200, ""


SUSPENDED = (403, "organization_suspended")
ENDS: dict[str, tuple[Callable[[Scene, Any], Any], tuple[int, str]]] = {
    "revoked": (lambda x, key: x.does(lambda e: revoke_key(e, key.id)), (401, "api_key_revoked")),
    "expired": (lambda x, key: x.clock.pass_s(300), (401, "api_key_expired")),
    "archived": (
        lambda x, key: x.does(lambda e: archive_project(e, key.project_id)),
        (403, "project_archived"),
    ),
    "suspended": (
        lambda x, key: x.does(
            lambda e: suspend(e, store_organisation(e.connection, key.id), "unpaid")
        ),
        SUSPENDED,
    ),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("known", [True, False])
async def test_a_key_that_ended_and_those_made_with_it_open_nothing(
    scene: Scene, callers: Callers, end: str, known: bool
) -> None:
    issued = scene.key(expires_at_ms=scene.clock.now_ms + 300_000)
    child = scene.minted(issued.secret)
    if known:
        for each in (issued, child):
            assert await told(callers, each.secret) == (200, "")
    act, code = ENDS[end]
    act(scene, issued.key)
    scene.clock.pass_s(5)
    for each in (issued, child):
        assert await told(callers, each.secret) == code


async def test_what_the_watch_found_is_refused_without_waiting_for_its_time(
    scene: Scene, callers: Callers
) -> None:
    ended, other = scene.key(), scene.key()
    for each in (ended, other):
        assert await told(callers, each.secret) == (200, "")
    scene.does(lambda e: revoke_key(e, ended.key.id))
    callers.forget({ended.key.id})
    assert callers.remembered == 1
    assert await told(callers, ended.secret) == (401, "api_key_revoked")
    assert await told(callers, other.secret) == (200, "")


async def test_whoever_is_let_in_again_is_served_after_a_second(
    scene: Scene, callers: Callers
) -> None:
    issued = scene.key()
    whose = scene.database.read(lambda c: store_organisation(c, issued.key.id))
    scene.does(lambda e: suspend(e, whose, ""))
    assert await told(callers, issued.secret) == SUSPENDED
    scene.does(lambda e: resume(e, whose))
    assert await told(callers, issued.secret) == SUSPENDED
    scene.clock.pass_s(1)
    assert await told(callers, issued.secret) == (200, "")


async def test_a_scope_and_a_place_are_both_asked_for(scene: Scene, callers: Callers) -> None:
    plain = scene.key(scopes=(GENERATE,))
    bound = scene.key(scopes=(GENERATE,), networks=("10.0.0.0/8",))
    for _ in range(2):  # asked, and remembered
        assert await told(callers, plain.secret) == (200, "")
        assert await told(callers, plain.secret, EMBED) == (403, "permission_denied")
        assert await told(callers, bound.secret, GENERATE, "10.1.2.3") == (200, "")
        for address in ("192.0.2.1", "", "unknown", "::1"):
            answer = await told(callers, bound.secret, GENERATE, address)
            assert answer == (403, "address_not_allowed")
        assert await told(callers, bound.secret, EMBED, "10.1.2.3") == (403, "permission_denied")


async def test_a_key_that_ends_while_it_is_looked_up_is_not_remembered_for_longer(
    scene: Scene, callers: Callers
) -> None:
    """Its five seconds run from the question, not from the answer."""
    issued = scene.key()
    asking = scene.presence._readers.submit
    late: list[Any] = []

    def submit(query: Any) -> Any:
        answer = asking(query)
        late.append(answer)
        return answer

    scene.presence._readers.submit = submit  # type: ignore[method-assign]  # only here
    assert await told(callers, issued.secret) == (200, "")
    scene.does(lambda e: revoke_key(e, issued.key.id))
    scene.clock.pass_s(4.9)
    assert await told(callers, issued.secret) == (200, "")
    scene.clock.pass_s(0.1)
    await late[-1]
    assert await told(callers, issued.secret) == (401, "api_key_revoked")


async def test_what_a_maker_lost_a_moment_ago_opens_nothing(scene: Scene, callers: Callers) -> None:
    """Minted with a key that was known, and was revoked before the key was made."""
    issued = scene.key()
    caller = await callers.verify(issued.secret, GENERATE, "")
    scene.does(lambda e: revoke_key(e, issued.key.id))
    made = scene.database.write(
        lambda c: mint(c, scene.clock, scene.peppers, caller, EphemeralWish())
    )
    assert await told(callers, made.secret) == (401, "api_key_revoked")


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("::10.1.2.3", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("10.1.2.3:80", False),
        ("010.1.2.3", False),
        (" 10.1.2.3", False),
        ("", False),
    ],
)
def test_where_it_comes_from(address: str, inside: bool) -> None:
    assert within(address, (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))) is inside
