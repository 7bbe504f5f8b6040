"""Keys of this API that are somebody's: who gets to know them, how they come and how they end."""

from pathlib import Path

import pytest

from portico.accounts.actors.roles import INSTALLATION_SCOPES, ORGANISATION_SCOPES, PROJECT_ROLES
from portico.accounts.people.members import set_member_role
from portico.accounts.people.service_accounts import set_service_account_role
from portico.callers.scopes import KEY_SCOPES
from tests.admin.office import Site, office, site

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path) -> Site:
    return site(tmp_path)


async def _asked(acme: Site, maker: str, owner: str) -> tuple[int, str]:
    async with office(acme) as desk:
        answer = await desk.ask("POST", "/admin_keys", maker, {"name": "x", "owner_id": owner})
    return answer.status, "" if answer.status == 200 else answer.code


async def test_403_no_person_gets_a_key_that_another_knows(acme: Site) -> None:
    """He would be that person in the log and in the API keys he makes, and be so after he is removed
    himself.  What is answered says nothing of who is there."""
    org = acme.organisation()
    owner, admin = acme.member(org, "owner"), acme.member(org, "admin")
    stranger = acme.member(acme.organisation("Other"), "member")
    for maker in (owner, admin):
        key = acme.admin_key(organisation_id=org, owner_id=maker)
        for other in (acme.member(org, "member", f"{maker}@x.test"), stranger, "user_none", owner):
            expected = (200, "") if other == maker else (403, "rights_exceeded")
            assert await _asked(acme, key, other) == expected
    assert (await _asked(acme, acme.admin_key(), "user_none"))[0] == 400, "of which organisation?"
    lines = acme.rows("SELECT target FROM audit_event WHERE action = 'rights.refuse'")
    assert len(lines) == 7


async def test_a_service_account_gets_one_of_whoever_manages_those_there(acme: Site) -> None:
    org = acme.organisation()
    project = acme.project(org)
    robot = acme.service_account(project, "viewer")
    admin = acme.member(org, "admin")
    scopes = ("admin_keys:write", *sorted(PROJECT_ROLES["viewer"]))
    without = acme.admin_key(organisation_id=org, owner_id=admin, scopes=scopes)
    assert await _asked(acme, without, robot) == (403, "permission_denied")
    able = (*scopes, "service_accounts:write")
    key = acme.admin_key(organisation_id=org, owner_id=admin, scopes=able)
    assert await _asked(acme, key, robot) == (200, "")


async def test_a_key_for_a_robot_does_not_grow_with_it(acme: Site) -> None:
    org = acme.organisation()
    project = acme.project(org)
    robot = acme.service_account(project, "viewer")
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "admin"))
    async with office(acme) as desk:
        made = await desk.ask("POST", "/admin_keys", key, {"name": "x", "owner_id": robot})
        assert "keys:read" in made.json["scopes"]
        acme.does(lambda e: set_service_account_role(e, robot, "admin"))
        wish = {"project_id": project}
        own = acme.admin_key(organisation_id=org, owner_id=robot)
        assert (await desk.ask("POST", "/keys", own, wish)).status == 200
        assert (await desk.ask("POST", "/keys", made.json["api_key"], wish)).status == 403


async def test_whoever_joins_is_given_a_key_of_his_own(acme: Site) -> None:
    """Nobody else knows it, it is all he is and no more, and it ends when he goes."""
    org = acme.organisation()
    owner = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        asked = {"email": "bob@example.org", "role": "auditor"}
        token = (await desk.ask("POST", "/invitations", owner, asked)).json["token"]
        said = {"token": token, "email": "bob@example.org"}
        joined = (await desk.ask("POST", "/invitations/accept", "", said)).json
        key = joined["api_key"]
        listed = (await desk.ask("GET", "/admin_keys", key)).json["data"]
        (his,) = [each for each in listed if each["owner_id"] == joined["id"]]
        assert his["scopes"] is None
        refused = await desk.ask("POST", "/projects", key, {"name": "x"})
        assert (refused.status, refused.code) == (403, "permission_denied")
        acme.does(lambda e: set_member_role(e, org, joined["id"], "admin"))
        assert (await desk.ask("POST", "/projects", key, {"name": "x"})).status == 200
        assert (await desk.ask("DELETE", f"/members/{joined['id']}", owner)).status == 200
        assert (await desk.ask("GET", "/projects", key)).code == "api_key_revoked"


async def test_anybody_may_leave(acme: Site) -> None:
    """With the least there is; the last owner may not; and nobody else is removed by it."""
    org = acme.organisation()
    boss = acme.member(org, "owner")
    async with office(acme) as desk:
        for name in ("me", ""):
            id = acme.member(org, "member", f"{name or 'id'}@x.test")
            key = acme.admin_key(organisation_id=org, owner_id=id)
            other = await desk.ask("DELETE", f"/members/{boss}", key)
            assert (other.status, other.code) == (403, "permission_denied")
            left = await desk.ask("DELETE", f"/members/{name or id}", key)
            assert (left.status, left.json["id"]) == (200, id)
            assert (await desk.ask("GET", "/organisations", key)).code == "api_key_revoked"
        last = acme.admin_key(organisation_id=org, owner_id=boss)
        assert (await desk.ask("DELETE", "/members/me", last)).code == "last_owner"
        narrow = acme.admin_key(organisation_id=org, owner_id=boss, scopes=("organisation:read",))
        assert (await desk.ask("DELETE", "/members/me", narrow)).code == "permission_denied"
        robot = acme.admin_key(
            organisation_id=org, owner_id=acme.service_account(acme.project(org), "admin")
        )
        assert (await desk.ask("DELETE", "/members/me", robot)).status == 403


async def test_403_an_admin_locks_no_owner_out(acme: Site) -> None:
    org = acme.organisation()
    owner, admin = acme.member(org, "owner"), acme.member(org, "admin")
    of_owner, hers = acme.admin_key_and_id(organisation_id=org, owner_id=owner)
    little, _ = acme.admin_key_and_id(
        organisation_id=org, owner_id=owner, scopes=("projects:read",)
    )
    of_admin, his = acme.admin_key_and_id(organisation_id=org, owner_id=admin)
    narrow = acme.admin_key(
        organisation_id=org, owner_id=admin, scopes=("admin_keys:read", "admin_keys:write")
    )
    async with office(acme) as desk:
        refused = await desk.ask("POST", f"/admin_keys/{of_owner}/revoke", his, {})
        assert (refused.status, refused.code) == (403, "rights_exceeded")
        lines = acme.rows("SELECT target FROM audit_event WHERE action = 'rights.refuse'")
        assert [each["target"] for each in lines] == [of_owner]
        assert (await desk.ask("GET", "/projects", hers)).status == 200
        assert (await desk.ask("POST", f"/admin_keys/{little}/revoke", his, {})).status == 200
        own = await desk.ask("POST", f"/admin_keys/{of_admin}/revoke", narrow, {})
        assert own.status == 200, "one's own, with whatever one has"
        report = [{"token": hers}]
        assert (await desk.ask("POST", "/security/leaked-keys", "", report)).status == 200
        assert (await desk.ask("GET", "/projects", hers)).code == "api_key_revoked"


async def test_a_key_with_a_list_makes_none_without_one(acme: Site) -> None:
    """All the scopes there are, written out, are not all: a later version brings more."""
    org = acme.organisation()
    project, owner = acme.project(org), acme.member(org, "owner")
    everything = acme.admin_key(scopes=tuple(sorted(INSTALLATION_SCOPES)))
    mine = {"organisation_id": org, "owner_id": owner}
    its = acme.admin_key(**mine, scopes=tuple(sorted(ORGANISATION_SCOPES)))
    async with office(acme) as desk:
        for maker, wish, all in (
            (everything, {"name": "x"}, INSTALLATION_SCOPES),
            (everything, {"name": "x", **mine}, ORGANISATION_SCOPES),
            (its, {"name": "x"}, ORGANISATION_SCOPES),
        ):
            made = await desk.ask("POST", "/admin_keys", maker, wish)
            assert set(made.json["scopes"]) == all
        key = await desk.ask("POST", "/keys", its, {"project_id": project})
        assert set(key.json["scopes"]) == KEY_SCOPES
        whole = acme.admin_key(**mine)
        free = await desk.ask("POST", "/keys", whole, {"project_id": project})
        assert free.json["scopes"] is None
        heir = await desk.ask("POST", f"/keys/{free.json['id']}/replace", its, {})
        assert set(heir.json["scopes"]) == KEY_SCOPES
        one = f"/keys/{key.json['id']}"
        wider = await desk.ask("PATCH", one, its, {"scopes": None})
        assert set(wider.json["scopes"]) == KEY_SCOPES
        assert (await desk.ask("PATCH", one, whole, {"scopes": None})).json["scopes"] is None
        renamed = await desk.ask("PATCH", one, its, {"name": "other"})
        assert renamed.json["scopes"] is None, "what was so before stays so"
