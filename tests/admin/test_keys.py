"""API keys and admin keys, by status; and what opens this API at all."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from portico.accounts.admin_keys.service import revoke_admin_key
from portico.callers.rules import digest, new_key
from tests.admin.office import Office, Site, office, site
from tests.db.storage import HandClock
from tests.door.scene import request

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path, database_url: str) -> Site:
    return site(tmp_path, database_url)


def told(answer: Any) -> str:
    """The whole answer, but for what each request has of its own."""
    own = answer.headers["x-request-id"]
    kept = {name: value for name, value in answer.headers.items() if name != "date"}
    return f"{answer.status} {kept} {answer.body.decode()}".replace(own, "ID")


async def test_200_a_key_is_made_shown_once_changed_replaced_and_revoked(acme: Site) -> None:
    org = acme.organisation()
    project = acme.project(org)
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "admin"))
    async with office(acme) as desk:
        wish = {
            "project_id": project,
            "name": "app",
            "scopes": ["generate"],
            "networks": ["203.0.113.0/24"],
            "expires_at": "2099-01-01T00:00:00Z",
        }
        made = await desk.ask("POST", "/keys", key, wish)
        assert made.status == 200
        secret, one = made.json["api_key"], f"/keys/{made.json['id']}"
        assert {name: made.json[name] for name in wish} == wish
        shown = (await desk.ask("GET", one, key)).json
        assert "api_key" not in shown
        assert (shown["prefix"], shown["last4"]) == (secret[:12], secret[-4:])
        for name in ("scopes", "models", "networks"):
            for method, path, body in (
                ("POST", "/keys", {"name": "x", "project_id": project, name: []}),
                ("PATCH", one, {name: []}),
            ):
                told = await desk.ask(method, path, key, body)
                assert (told.status, told.json["error"]["param"]) == (400, name)
        changed = await desk.ask("PATCH", one, key, {"scopes": None, "compatibility": "strict"})
        assert (changed.json["scopes"], changed.json["compatibility"]) == (None, "strict")
        back = await desk.ask("PATCH", one, key, {"compatibility": None})
        assert back.json["compatibility"] is None
        other = await desk.ask("POST", f"{one}/replace", key, {"overlap_s": 60})
        assert other.json["api_key"] != secret
        assert (await desk.ask("GET", one, key)).json["successor_id"] == other.json["id"]
        assert (await desk.ask("POST", f"{one}/replace", key)).status == 409
        gone = await desk.ask("POST", f"{one}/revoke", key, {"reason": "test"})
        assert gone.json["revoked_at"] is not None
        listed = await desk.ask("GET", f"/keys?project_id={project}", key)
        assert {each["id"] for each in listed.json["data"]} == {shown["id"], other.json["id"]}
    for row in acme.rows("SELECT before, after FROM audit_detail"):
        assert secret not in f"{row['before']}{row['after']}"


async def test_200_an_admin_key_is_made_and_ends_at_once_when_revoked(acme: Site) -> None:
    org = acme.organisation()
    owner = acme.member(org, "owner")
    key = acme.admin_key(organisation_id=org, owner_id=owner)
    async with office(acme) as desk:
        wish = {"name": "ci", "scopes": ["projects:read"], "expires_at": "2099-01-01T00:00:00Z"}
        made = await desk.ask("POST", "/admin_keys", key, wish)
        assert made.status == 200
        assert (made.json["owner_id"], made.json["organisation_id"]) == (owner, org)
        new = made.json["api_key"]
        assert (await desk.ask("GET", "/projects", new)).status == 200
        denied = await desk.ask("POST", "/projects", new, {"name": "x"})
        assert (denied.status, denied.code) == (403, "permission_denied")
        one = f"/admin_keys/{made.json['id']}"
        assert "api_key" not in (await desk.ask("GET", one, key)).json
        listed = (await desk.ask("GET", "/admin_keys", key)).json["data"]
        assert made.json["id"] in {each["id"] for each in listed}
        assert (await desk.ask("POST", f"{one}/revoke", key, {})).status == 200
        ended = await desk.ask("GET", "/projects", new)
        assert (ended.status, ended.code) == (401, "api_key_revoked")


async def test_401_no_other_key_opens_it_and_none_is_told_from_an_unknown_one(acme: Site) -> None:
    org = acme.organisation()
    _, live = acme.key(acme.project(org))
    async with office(acme) as desk:
        unknown = await desk.ask("GET", "/projects", new_key("admin"))
        assert (unknown.status, unknown.code) == (401, "invalid_api_key")
        for wrong in (live, new_key("live"), new_key("ephemeral")):
            assert told(await desk.ask("GET", "/projects", wrong)) == told(unknown)
        assert (await desk.ask("GET", "/projects")).code == "missing_api_key"
        assert (await desk.ask("GET", "/projects", "pk_admin_garbage")).code == "invalid_api_key"
        two = await desk.ask("GET", "/projects", acme.admin_key(), None, f"x-api-key: {live}")
        assert (two.status, two.code) == (400, "two_credentials")


async def test_401_an_expired_key_403_from_elsewhere_403_while_suspended(tmp_path: Path) -> None:
    clock = HandClock()
    acme = site(tmp_path, clock=clock)
    org = acme.organisation()
    owner = acme.member(org, "owner")
    mine: dict[str, Any] = {"organisation_id": org, "owner_id": owner}
    short = acme.admin_key(**mine, expires_at_ms=clock.wall_ms() + 1_000)
    abroad = acme.admin_key(**mine, networks=("203.0.113.0/24",))
    here = acme.admin_key(**mine, networks=("127.0.0.0/8",))
    async with office(acme) as desk:
        assert (await desk.ask("GET", "/projects", short)).status == 200
        clock.pass_s(1)
        assert (await desk.ask("GET", "/projects", short)).code == "api_key_expired"
        assert (await desk.ask("GET", "/projects", abroad)).code == "address_not_allowed"
        assert (await desk.ask("GET", "/projects", here)).status == 200
        suspend = f"/organisations/{org}/suspend"
        assert (await desk.ask("POST", suspend, acme.admin_key(), {})).status == 200
        assert (await desk.ask("GET", "/projects", here)).code == "organization_suspended"


async def _wrong(desk: Office, key: str, wish: dict[str, Any], path: str = "/admin_keys") -> str:
    answer = await desk.ask("POST", path, key, wish)
    assert answer.status in (400, 403, 404)
    return answer.code


async def test_403_nobody_makes_a_key_that_can_do_more_than_himself(acme: Site) -> None:
    org, other = acme.organisation(), acme.organisation("Other")
    project = acme.project(org)
    admin, owner = acme.member(org, "admin"), acme.member(org, "owner")
    stranger = acme.member(other, "owner")
    mine: dict[str, Any] = {"organisation_id": org, "owner_id": admin}
    key = acme.admin_key(**mine)
    async with office(acme) as desk:
        assert await _wrong(desk, key, {"name": "x", "owner_id": owner}) == "rights_exceeded"
        wish = {"name": "x", "scopes": ["owners:write"]}
        assert await _wrong(desk, key, wish) == "rights_exceeded"
        assert await _wrong(desk, key, {"name": "x", "scopes": ["*"]}) == "invalid_value"
        assert await _wrong(desk, key, {"name": "x", "owner_id": stranger}) == "rights_exceeded"
        wish = {"name": "x", "organisation_id": other, "owner_id": stranger}
        assert await _wrong(desk, key, wish) == "resource_not_found"
        narrow = acme.admin_key(**mine, scopes=("keys:write", "keys:read", "projects:read"))
        wish = {"project_id": project, "scopes": ["generate"]}
        assert await _wrong(desk, narrow, wish, "/keys") == "rights_exceeded"
        bound = acme.admin_key(
            **mine, networks=("127.0.0.0/8",), expires_at_ms=acme.clock.wall_ms() + 60_000
        )
        late = {"name": "x", "expires_at": "2099-01-01T00:00:00Z"}
        assert await _wrong(desk, bound, late) == "rights_exceeded"
        wide = {"name": "x", "networks": ["0.0.0.0/0"]}
        assert await _wrong(desk, bound, wide) == "rights_exceeded"
        heir = await desk.ask("POST", "/admin_keys", bound, {"name": "x"})
        assert heir.json["networks"] == ["127.0.0.0/8"]
        assert heir.json["expires_at"] is not None


async def test_nobody_acts_on_rights_that_he_has_just_lost(acme: Site) -> None:
    org = acme.organisation()
    owner = acme.member(org, "owner")
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "admin"))
    id, gone = acme.admin_key_and_id(organisation_id=org, owner_id=owner)
    behind: list[str] = [id]

    def revoke() -> None:
        if behind:
            acme.does(lambda e: revoke_admin_key(e, behind.pop()))

    async with office(acme, after_read=revoke) as desk:
        late = await desk.ask("POST", "/projects", gone, {"name": "late"})
        assert (late.status, late.code) == (401, "api_key_revoked")
        assert (await desk.ask("GET", "/projects", key)).json["data"] == []


async def test_the_same_request_twice_at_once_is_done_once(acme: Site) -> None:
    org = acme.organisation()
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        body = b'{"name": "P"}'
        lines = (f"Authorization: Bearer {key}", "Idempotency-Key: both")
        asked = request("/admin/v1/projects", body, *lines)
        answers = await asyncio.gather(*(desk.scene.ask(asked) for _ in range(5)))
        assert {each.status for each in answers} == {200}
        assert len({each.body for each in answers}) == 1
        assert len((await desk.ask("GET", "/projects", key)).json["data"]) == 1


async def test_the_same_key_of_idempotency_gives_the_same_answer(acme: Site) -> None:
    org = acme.organisation()
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    again = "Idempotency-Key: once-1"
    async with office(acme) as desk:
        first = await desk.ask("POST", "/projects", key, {"name": "P"}, again)
        second = await desk.ask("POST", "/projects", key, {"name": "P"}, again)
        assert second.body == first.body
        assert second.headers["idempotent-replayed"] == "true"
        other = await desk.ask("POST", "/projects", key, {"name": "Q"}, again)
        assert (other.status, other.code) == (409, "idempotency_key_reused")
        bad = await desk.ask("POST", "/projects", key, {"name": "P"}, "Idempotency-Key: a b")
        assert (bad.status, bad.code) == (400, "invalid_idempotency_key")
        # What was refused has made nothing, so it runs.
        wrong = await desk.ask("POST", "/projects", key, {"name": ""}, "Idempotency-Key: once-2")
        assert wrong.status == 400
        right = await desk.ask("POST", "/projects", key, {"name": "R"}, "Idempotency-Key: once-2")
        assert right.status == 200
        theirs = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "admin"))
        assert (await desk.ask("POST", "/projects", theirs, {"name": "P"}, again)).json["id"] != (
            first.json["id"]
        )
    assert len(acme.rows("SELECT id FROM project")) == 4


def _lies_in(folder: Path, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in folder.iterdir())


async def test_409_a_key_is_made_once_and_its_secret_kept_nowhere(
    acme: Site, tmp_path: Path
) -> None:
    org = acme.organisation()
    project = acme.project(org)
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    once = "Idempotency-Key: once"
    async with office(acme) as desk:
        first = await desk.ask("POST", "/keys", key, {"project_id": project}, once)
        second = await desk.ask("POST", "/keys", key, {"project_id": project}, once)
        assert (second.status, second.code) == (409, "conflict")
        assert second.json["error"]["value"] == first.json["id"]
        secret = first.json["api_key"]
        assert not _lies_in(tmp_path, secret.encode())
        assert not _lies_in(tmp_path, secret[12:-4].encode())
    (stored,) = acme.rows(f"SELECT digest FROM api_key WHERE id = '{first.json['id']}'")
    assert bytes(stored["digest"]) == digest(acme.peppers[-1].secret, secret)


async def test_the_last_use_is_noted_to_the_minute(tmp_path: Path) -> None:
    clock = HandClock()
    acme = site(tmp_path, clock=clock)
    id, key = acme.admin_key_and_id()
    async with office(acme) as desk:
        for _ in range(3):
            await desk.ask("GET", "/projects", key)
        assert (await desk.ask("GET", f"/admin_keys/{id}", key)).json["last_used_at"] is None
        await desk.last_use.flush()
        shown = (await desk.ask("GET", f"/admin_keys/{id}", key)).json["last_used_at"]
    minute_s = clock.wall_ms() // 60_000 * 60
    assert shown == f"{datetime.fromtimestamp(minute_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
