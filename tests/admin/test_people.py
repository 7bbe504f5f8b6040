"""Members, roles, invitations, service accounts and limits, by status."""

from pathlib import Path

import pytest

from tests.admin.office import Site, office, site

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path, database_url: str) -> Site:
    return site(tmp_path, database_url)


async def test_200_a_member_is_added_changed_and_removed_with_his_keys(acme: Site) -> None:
    org = acme.organisation()
    operator = acme.admin_key()
    of = f"?organisation_id={org}"
    async with office(acme) as desk:
        new = {"organisation_id": org, "email": "Ada@Example.org", "role": "admin"}
        made = await desk.ask("POST", "/members", operator, new)
        assert (made.status, made.json["email"]) == (200, "ada@example.org")
        ada = made.json["id"]
        hers = acme.admin_key(organisation_id=org, owner_id=ada)
        assert (await desk.ask("GET", "/members", hers)).json["data"] == [made.json]
        less = await desk.ask("PATCH", f"/members/{ada}{of}", operator, {"role": "member"})
        assert less.json["role"] == "member"
        assert (await desk.ask("GET", "/members", hers)).status == 403  # at once
        gone = await desk.ask("DELETE", f"/members/{ada}{of}", operator)
        assert gone.json == {"object": "member", "id": ada, "deleted": True}
        assert (await desk.ask("GET", "/organisations", hers)).code == "api_key_revoked"
        assert (await desk.ask("GET", f"/members/{ada}{of}", operator)).status == 404


async def test_409_the_last_owner_stays(acme: Site) -> None:
    org = acme.organisation()
    owner = acme.member(org, "owner")
    key = acme.admin_key(organisation_id=org, owner_id=owner)
    async with office(acme) as desk:
        for method, body in (("PATCH", {"role": "admin"}), ("DELETE", None)):
            answer = await desk.ask(method, f"/members/{owner}", key, body)
            assert (answer.status, answer.code) == (409, "last_owner")


async def test_403_nobody_makes_himself_more_than_he_is(acme: Site) -> None:
    org = acme.organisation()
    admin = acme.member(org, "admin")
    key = acme.admin_key(organisation_id=org, owner_id=admin)
    async with office(acme) as desk:
        assert (await desk.ask("PATCH", f"/members/{admin}", key, {"role": "owner"})).status == 403
        for scope in ("*", "owners:write", "keys:*"):
            role = {"name": "more", "level": "organisation", "scopes": [scope]}
            assert (await desk.ask("POST", "/roles", key, role)).status in (400, 403)
        wish = {"name": "mine", "level": "organisation", "scopes": ["keys:read"]}
        made = await desk.ask("POST", "/roles", key, wish)
        assert made.status == 200
        more = await desk.ask("PATCH", "/roles/mine", key, {"scopes": ["owners:write"]})
        assert more.status in (400, 403)
        listed = (await desk.ask("GET", "/roles?limit=100", key)).json["data"]
        assert {"owner", "mine"} <= {each["id"] for each in listed}
        assert (await desk.ask("DELETE", "/roles/mine", key)).json["deleted"] is True


async def test_200_an_invitation_shows_its_token_once(acme: Site) -> None:
    org = acme.organisation()
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        wish = {"email": "bob@example.org", "role": "member", "expires_in_s": 3600}
        made = await desk.ask("POST", "/invitations", key, wish, "Idempotency-Key: bob")
        assert made.status == 200
        one = f"/invitations/{made.json['id']}"
        assert made.json["token"]
        assert "token" not in (await desk.ask("GET", one, key)).json
        again = await desk.ask("POST", "/invitations", key, wish, "Idempotency-Key: bob")
        assert (again.status, again.json["error"]["value"]) == (409, made.json["id"])
        assert (await desk.ask("POST", f"{one}/revoke", key)).json["revoked_at"] is not None


async def test_200_a_service_account_works_and_ends_with_its_keys(acme: Site) -> None:
    org = acme.organisation()
    project = acme.project(org)
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        wish = {"project_id": project, "name": "ci", "role": "developer"}
        made = (await desk.ask("POST", "/service_accounts", key, wish)).json
        one = f"/service_accounts/{made['id']}"
        robot = await desk.ask("POST", "/admin_keys", key, {"name": "ci", "owner_id": made["id"]})
        its = robot.json["api_key"]
        issued = await desk.ask("POST", "/keys", its, {"project_id": project})
        assert issued.json["owner_id"] == made["id"]
        less = await desk.ask("PATCH", one, key, {"role": "viewer"})
        assert less.json["role"] == "viewer"
        assert (await desk.ask("POST", "/keys", its, {"project_id": project})).status == 403
        ended = await desk.ask("POST", f"{one}/disable", key)
        assert ended.json["disabled_at"] is not None
        assert (await desk.ask("GET", "/keys", its)).status == 401
        shown = await desk.ask("GET", f"/keys/{issued.json['id']}", key)
        assert shown.json["revoked_at"] is not None


async def test_200_limits_are_set_listed_and_taken_away(acme: Site) -> None:
    org = acme.organisation()
    project = acme.project(org)
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    operator = acme.admin_key()
    where = f"?scope=project&scope_id={project}"
    async with office(acme) as desk:
        wish = {"scope": "project", "scope_id": project, "model": "m", "requests_per_minute": 5}
        made = await desk.ask("PUT", "/limits", key, wish)
        assert (made.status, made.json["requests_per_minute"]) == (200, 5)
        listed = (await desk.ask("GET", f"/limits{where}", key)).json["data"]
        assert [each["id"] for each in listed] == [f"project/{project}/m"]
        del wish["requests_per_minute"]
        assert (await desk.ask("PUT", "/limits", key, wish)).status == 200
        assert (await desk.ask("GET", f"/limits{where}", key)).json["data"] == []
        whole = {"scope": "organisation", "scope_id": org, "requests_per_minute": 1}
        assert (await desk.ask("PUT", "/limits", key, whole)).status == 403
        assert (await desk.ask("PUT", "/limits", operator, whole)).status == 200
        everybody = {"scope": "installation", "requests_at_once": 100}
        assert (await desk.ask("PUT", "/limits", key, everybody)).status == 403
        assert (await desk.ask("PUT", "/limits", operator, everybody)).status == 200
        seen = (await desk.ask("GET", "/limits", key)).json["data"]
        assert [each["scope"] for each in seen] == ["organisation"]
        wrong = await desk.ask("GET", "/limits?scope=planet", key)
        assert (wrong.status, wrong.json["error"]["param"]) == (400, "scope")
