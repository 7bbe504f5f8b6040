"""Organisations and projects, by status."""

from pathlib import Path

import pytest

from tests.admin.office import Office, Site, office, site

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path) -> Site:
    return site(tmp_path)


async def test_200_an_organisation_is_made_read_changed_suspended_and_resumed(acme: Site) -> None:
    key = acme.admin_key()
    async with office(acme) as desk:
        made = await desk.ask("POST", "/organisations", key, {"name": "Acme", "terms": "free"})
        assert made.status == 200
        id = made.json["id"]
        assert made.json == {
            "object": "organisation",
            "id": id,
            "name": "Acme",
            "created_at": made.json["created_at"],
            "suspended_at": None,
            "suspended_reason": None,
        }
        assert made.json["created_at"].endswith("Z")
        one = f"/organisations/{id}"
        assert (await desk.ask("GET", one, key)).json == made.json
        renamed = await desk.ask("PATCH", one, key, {"name": "Acme Ltd"})
        assert renamed.json["name"] == "Acme Ltd"
        halted = await desk.ask("POST", f"{one}/suspend", key, {"reason": "unpaid"})
        assert halted.json["suspended_reason"] == "unpaid"
        resumed = await desk.ask("POST", f"{one}/resume", key)
        assert resumed.json["suspended_at"] is None
    (terms,) = acme.rows(f"SELECT kind FROM terms WHERE organisation_id = '{id}'")
    assert terms["kind"] == "free"
    told = acme.rows(
        "SELECT action, actor_kind, credential_id, address FROM audit_event "
        f"WHERE organisation_id = '{id}' ORDER BY sequence"
    )
    assert [each["action"] for each in told] == [
        "organisation.create",
        "terms.set",
        "organisation.update",
        "organisation.suspend",
        "organisation.resume",
    ]
    (admin_key,) = acme.rows("SELECT id FROM admin_key")
    for each in told:
        assert (each["actor_kind"], each["address"]) == ("operator", "127.0.0.1")
        assert each["credential_id"] == admin_key["id"]


async def test_200_a_project_is_made_changed_and_archived(acme: Site) -> None:
    org = acme.organisation()
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        made = await desk.ask("POST", "/projects", key, {"name": "App"})
        assert (made.status, made.json["organisation_id"]) == (200, org)
        one = f"/projects/{made.json['id']}"
        wish = {"data_use": "own", "models": ["a", "b"], "retention": "days", "retention_days": 3}
        changed = await desk.ask("PATCH", one, key, wish)
        assert {name: changed.json[name] for name in wish} == wish
        freed = await desk.ask("PATCH", one, key, {"models": None})
        assert freed.json["models"] is None
        assert (await desk.ask("PATCH", one, key, {})).json == freed.json
        ended = await desk.ask("POST", f"{one}/archive", key)
        assert ended.json["archived_at"] is not None
        listed = await desk.ask("GET", "/projects", key)
        assert [each["id"] for each in listed.json["data"]] == [made.json["id"]]


async def test_200_lists_come_in_pages(acme: Site) -> None:
    org = acme.organisation()
    ids = [acme.project(org, f"P{n}") for n in range(5)]
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "auditor"))
    async with office(acme) as desk:
        seen, after = [], ""
        for more in (True, True, False):
            page = (await desk.ask("GET", f"/projects?limit=2&after={after}", key)).json
            assert page["has_more"] is more
            assert page["first_id"] == page["data"][0]["id"]
            after = page["last_id"]
            seen += [each["id"] for each in page["data"]]
        assert sorted(seen) == sorted(ids)
        last = (await desk.ask("GET", f"/projects?after={max(ids)}", key)).json
        assert (last["data"], last["first_id"], last["has_more"]) == ([], None, False)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1e3", "x", "9" * 40])
async def test_400_a_limit_that_is_none(acme: Site, limit: str) -> None:
    key = acme.admin_key()
    async with office(acme) as desk:
        answer = await desk.ask("GET", f"/projects?limit={limit}", key)
        assert (answer.status, answer.json["error"]["param"]) == (400, "limit")


PROBES = {"id": "org_x", "created_at": "2020-01-01T00:00:00Z", "suspended_at": None, "owner": "me"}


async def test_200_what_a_change_does_not_declare_is_not_changed_and_said(acme: Site) -> None:
    org = acme.organisation()
    key = acme.admin_key()
    async with office(acme) as desk:
        before = (await desk.ask("GET", f"/organisations/{org}", key)).json
        probe = await desk.ask("PATCH", f"/organisations/{org}", key, {**PROBES, "name": "New"})
        assert probe.json == {**before, "name": "New"}
        told = probe.headers["portico-warnings"]
        for name in PROBES:
            assert f'unknown_field; field="{name}"; action=ignored' in told


async def _refused(
    desk: Office, key: str, wish: object, path: str = "/projects"
) -> tuple[int, str]:
    answer = await desk.ask("POST", path, key, wish)
    return answer.status, answer.json["error"]["code"]


async def test_400_each_wrong_body_says_what_is_wrong(acme: Site) -> None:
    key, org = acme.admin_key(), acme.organisation()
    async with office(acme) as desk:
        assert await _refused(desk, key, {}) == (400, "missing_field")
        assert await _refused(desk, key, {"name": 1}) == (400, "invalid_type")
        assert await _refused(desk, key, {"name": "x"}) == (400, "missing_field")  # whose?
        long = {"name": "x" * 201, "organisation_id": org}
        assert await _refused(desk, key, long) == (400, "out_of_range")
        assert await _refused(desk, key, [1]) == (400, "body_not_an_object")
        terms = {"name": "x", "terms": "gold"}
        assert await _refused(desk, key, terms, "/organisations") == (400, "invalid_value")


async def test_404_an_organisation_that_is_not_theirs(acme: Site) -> None:
    org, other = acme.organisation(), acme.organisation("Other")
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        listed = await desk.ask("GET", "/organisations", key)
        assert [each["id"] for each in listed.json["data"]] == [org]
        for path in (f"/organisations/{other}", "/organisations/org_none"):
            answer = await desk.ask("GET", path, key)
            assert (answer.status, answer.code) == (404, "resource_not_found")
        stolen = {"name": "x", "organisation_id": other}
        assert (await desk.ask("POST", "/projects", key, stolen)).status == 404
    assert len(acme.rows("SELECT id FROM project")) == 1  # of the first start


async def test_200_the_document_names_every_parameter_that_is_read(acme: Site) -> None:
    async with office(acme) as desk:
        document = (await desk.ask("GET", "/openapi.json")).json
    for path, ways in document["paths"].items():
        for method, operation in ways.items():
            named = {each["name"] for each in operation.get("parameters", ())}
            assert ("id" in named) == ("{id}" in path)
            if method == "get" and "{id}" not in path and "openapi" not in path:
                assert {"limit", "after"} <= named
                summed = path.endswith(("/usage", "/costs"))
                assert summed == ({"since", "until", "group_by", "bucket_width"} <= named)
