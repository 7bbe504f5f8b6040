"""Deployments, prices and the audit log, by status."""

from pathlib import Path
from typing import Any

import pytest

from portico.routing.keys import open_key, seal_of
from portico.routing.registry import registered
from tests.admin.office import Site, office, site

pytestmark = pytest.mark.anyio
UPSTREAM_KEY = "sk-of-the-operator-0123456789"


@pytest.fixture
def acme(tmp_path: Path, database_url: str) -> Site:
    return site(tmp_path, database_url)


async def test_200_deployments_are_added_ordered_given_a_key_and_forgotten(acme: Site) -> None:
    key = acme.admin_key()
    wish = {"model": "m", "location": "http://one.test/v1", "api_key": UPSTREAM_KEY}
    async with office(acme) as desk:
        one = (await desk.ask("POST", "/deployments", key, wish)).json
        other = (await desk.ask("POST", "/deployments", key, {**wish, "api_key": ""})).json
        assert (one["key_kept"], other["key_kept"]) == (True, False)
        moved = await desk.ask("POST", f"/deployments/{other['id']}/move", key, {"place": 1})
        assert [each["id"] for each in moved.json["data"]] == [other["id"], one["id"]]
        listed = (await desk.ask("GET", "/deployments?model=m", key)).json["data"]
        assert [each["id"] for each in listed] == [other["id"], one["id"]]
        fresh = {"api_key": UPSTREAM_KEY + "2"}
        put = await desk.ask("POST", f"/deployments/{other['id']}/replace_key", key, fresh)
        assert put.json["key_kept"] is True
        gone = await desk.ask("DELETE", f"/deployments/{one['id']}", key)
        assert gone.json["deleted"] is True
        assert (await desk.ask("GET", f"/deployments/{one['id']}", key)).status == 404
        log = (await desk.ask("GET", "/installation/audit_log", key)).body.decode()
    (left,) = acme.database.read(registered)
    assert open_key(seal_of(acme.peppers), left) == UPSTREAM_KEY + "2"
    for action in ("add", "move", "replace_key", "remove"):
        assert f"deployment.{action}" in log
    assert "sealed_key" not in log
    assert UPSTREAM_KEY not in log


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "m", "location": "file:///etc/passwd"},
        {"model": "m", "location": "nothing"},
        {"model": "", "location": "http://one.test/v1"},
        {"model": "m", "location": "http://one.test/v1", "engine": "shell"},
    ],
)
async def test_400_a_deployment_that_cannot_be(acme: Site, wrong: dict[str, Any]) -> None:
    key = acme.admin_key()
    async with office(acme) as desk:
        assert (await desk.ask("POST", "/deployments", key, wrong)).status == 400


async def test_200_a_deployment_is_not_given_a_variable_of_the_server(acme: Site) -> None:
    """Or whoever has this scope could send any secret of the environment wherever he likes."""
    key = acme.admin_key()
    wish = {"model": "m", "location": "http://one.test/v1", "credential_env": "SECRET"}
    async with office(acme) as desk:
        made = await desk.ask("POST", "/deployments", key, wish)
        assert 'field="credential_env"; action=ignored' in made.headers["portico-warnings"]
    (left,) = acme.database.read(registered)
    assert left.credential_env is None


async def test_200_prices_are_set_and_listed_and_never_changed(acme: Site) -> None:
    key = acme.admin_key()
    meters = [
        {"meter": "input_text", "nano_usd_per_million": "150000000"},
        {"meter": "output_text", "nano_usd_per_million": "999999999999999"},
    ]
    async with office(acme) as desk:
        made = await desk.ask("POST", "/prices", key, {"model": "m", "prices": meters})
        assert made.status == 200
        listed = (await desk.ask("GET", "/prices?model=m", key)).json["data"]
        assert {each["meter"]: each["nano_usd_per_million"] for each in listed} == {
            each["meter"]: each["nano_usd_per_million"] for each in meters
        }
        late = {**meters[0], "effective_from": "2020-01-01T00:00:00Z"}
        for wrong in ([late], [{**meters[0], "meter": "smell"}], [], [{"meter": "input_text"}]):
            answer = await desk.ask("POST", "/prices", key, {"model": "m", "prices": wrong})
            assert answer.status == 400
        assert len((await desk.ask("GET", "/prices?model=m", key)).json["data"]) == 2
    noted = acme.rows("SELECT 1 FROM audit_event WHERE action = 'price.set'")
    assert len(noted) == 2


async def test_200_the_audit_log_comes_newest_first_in_pages(acme: Site) -> None:
    org, other = acme.organisation(), acme.organisation("Other")
    for n in range(4):
        acme.project(org, f"P{n}")
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "auditor"))
    async with office(acme) as desk:
        page = (await desk.ask("GET", "/audit_log?limit=3", key)).json
        assert [each["action"] for each in page["data"]][:2] == [
            "admin_key.create",
            "member.create",
        ]
        assert page["has_more"] is True
        rest = (await desk.ask("GET", f"/audit_log?limit=100&after={page['last_id']}", key)).json
        numbers = [int(each["id"]) for each in (*page["data"], *rest["data"])]
        assert numbers == list(range(7, 0, -1))
        assert rest["data"][-1]["action"] == "organisation.create"
        assert rest["data"][-2]["after"]["name"] == "P0"
        assert rest["has_more"] is False
        assert (await desk.ask("GET", "/audit_log?after=x", key)).status == 400
        foreign = await desk.ask("GET", f"/audit_log?organisation_id={other}", key)
        assert foreign.status == 404


async def test_404_a_list_of_what_is_somebody_elses(acme: Site) -> None:
    org, other = acme.organisation(), acme.organisation("Other")
    foreign = acme.project(other)
    acme.project(org)
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        for path in (
            f"/keys?project_id={foreign}",
            f"/projects?organisation_id={other}",
            f"/members?organisation_id={other}",
            f"/service_accounts?project_id={foreign}",
            f"/limits?scope=project&scope_id={foreign}",
            f"/limits?scope=organisation&scope_id={other}",
        ):
            hidden = await desk.ask("GET", path, key)
            nothing = await desk.ask(
                "GET", path.replace(foreign, "proj_0").replace(other, "org_0"), key
            )
            assert hidden.status == nothing.status == 404
            assert hidden.code == nothing.code == "resource_not_found"
