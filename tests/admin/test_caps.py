"""How much one organisation may make for itself, and how often its keys may ask."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from portico.accounts.actors.caps import CAPS, Caps
from tests.admin.office import Office, Site, office, site
from tests.db.storage import HandClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path, database_url: str) -> Site:
    return site(tmp_path, database_url, HandClock())


def owner_of(acme: Site, org: str) -> str:
    return acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))


async def behind_a_proxy(desk: Office) -> None:
    desk.scene.edge.proxies = (ip_network("127.0.0.0/8"),)
    desk.wire = await desk.scene.connect()


WISHES: dict[str, tuple[str, dict[str, Any]]] = {
    "projects": ("/projects", {"name": "x"}),
    "project_keys": ("/keys", {"project_id": "<project>"}),
    "service_accounts": (
        "/service_accounts",
        {"project_id": "<project>", "name": "x", "role": "viewer"},
    ),
    "invitations": ("/invitations", {"email": "<n>@example.org", "role": "member"}),
    "roles": ("/roles", {"name": "r<n>", "level": "project", "scopes": ["projects:read"]}),
    "admin_keys": ("/admin_keys", {"name": "x"}),
    "webhooks": ("/webhooks", {"project_id": "<project>", "url": "https://hooks.example/"}),
}
THERE = {"projects": 1, "admin_keys": 1}
"""Of what the scene is made of."""
GONE: dict[str, tuple[str, Any]] = {
    "projects": ("/projects/{id}/archive", None),
    "project_keys": ("/keys/{id}/revoke", {}),
    "service_accounts": ("/service_accounts/{id}/disable", None),
    "invitations": ("/invitations/{id}/revoke", None),
    "roles": ("/roles/{id}", None),
    "admin_keys": ("/admin_keys/{id}/revoke", {}),
    "webhooks": ("/webhooks/{id}", None),
}


@pytest.mark.parametrize("kind", WISHES)
async def test_403_no_more_than_so_many_and_one_that_ends_makes_room(acme: Site, kind: str) -> None:
    org, other = acme.organisation(), acme.organisation("Other")
    project, key, operator = acme.project(org), owner_of(acme, org), acme.admin_key()
    acme.project(other)
    path, template = WISHES[kind]
    most = 2 + THERE.get(kind, 0)
    number = 0

    async def make(desk: Office, by: str) -> Any:
        nonlocal number
        number += 1
        wish = {
            name: said.replace("<project>", project).replace("<n>", str(number))
            if isinstance(said, str)
            else said
            for name, said in template.items()
        }
        if by == operator:
            wish |= {} if "project_id" in wish else {"organisation_id": org}
            wish |= {"owner_id": acme.member(org, "member")} if kind == "admin_keys" else {}
        return await desk.ask("POST", path, by, wish)

    async with office(acme, caps=replace(CAPS, **{kind: most})) as desk:
        made = [await make(desk, key) for _ in range(2)]
        assert [each.status for each in made] == [200, 200]
        refused = await make(desk, key)
        assert (refused.status, refused.code) == (403, "object_limit_reached")
        assert f"there may be {most}" in refused.json["error"]["message"]
        assert (await make(desk, operator)).status == 200, "the operator may"
        for each in (made[0], made[1]):
            gone, body = GONE[kind]
            method = "POST" if gone.rpartition("/")[2] != "{id}" else "DELETE"
            ended = await desk.ask(method, gone.replace("{id}", each.json["id"]), key, body)
            assert ended.status == 200
        assert (await make(desk, key)).status == 200
        assert (await make(desk, key)).status == 403


async def test_every_cap_is_tried() -> None:
    assert set(WISHES) | {"replaced_keys"} == set(Caps.__dataclass_fields__)


async def test_403_a_key_is_not_replaced_without_end(acme: Site) -> None:
    """Replacing one does not need room for another; but those in their overlap are so many at most."""
    org = acme.organisation()
    project, key = acme.project(org), owner_of(acme, org)
    caps = replace(CAPS, project_keys=1, replaced_keys=2)
    async with office(acme, caps=caps) as desk:
        wish = {"project_id": project, "scopes": ["generate"]}
        made = await desk.ask("POST", "/keys", key, wish)
        for _ in range(2):
            made = await desk.ask("POST", f"/keys/{made.json['id']}/replace", key, {})
            assert made.status == 200
        late = await desk.ask("POST", f"/keys/{made.json['id']}/replace", key, {})
        assert (late.status, late.code) == (403, "object_limit_reached")
        acme.clock.pass_s(86_400)  # type: ignore[attr-defined]  # a test's clock
        path = f"/keys/{made.json['id']}/replace"
        assert (await desk.ask("POST", path, key, {})).status == 200


async def test_429_a_key_asks_so_often_and_others_as_before(acme: Site) -> None:
    org = acme.organisation()
    key, operator = owner_of(acme, org), acme.admin_key()
    async with office(acme, requests_per_minute=3) as desk:
        ways = (("GET", "/projects", None), ("POST", "/projects", {"name": "x"}))
        answers = [await desk.ask(*ways[n % 2][:2], key, ways[n % 2][2]) for n in range(4)]
        assert [each.status for each in answers] == [200, 200, 200, 429]
        assert answers[-1].code == "requests_per_minute_exceeded"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert (await desk.ask("GET", "/projects", operator)).status == 200
        acme.clock.pass_s(60)  # type: ignore[attr-defined]  # a test's clock
        assert (await desk.ask("GET", "/projects", key)).status == 200


@pytest.mark.parametrize("kind", ["none", "garbage", "unknown", "revoked"])
async def test_429_an_address_fails_so_often_and_whoever_is_known_goes_on(
    acme: Site, kind: str
) -> None:
    org = acme.organisation()
    known, fresh = owner_of(acme, org), acme.admin_key()
    id, gone = acme.admin_key_and_id()
    wrong = {
        "none": "",
        "garbage": "x",
        "unknown": "pk_admin_0000000000000000000000000000000000000TvOZ9",
        "revoked": gone,
    }[kind]
    async with office(acme, failures_per_minute=3) as desk:
        assert (await desk.ask("POST", f"/admin_keys/{id}/revoke", known, {})).status in (200, 404)
        ended = await desk.ask("POST", f"/admin_keys/{id}/revoke", acme.admin_key(), {})
        assert ended.status == 200
        answers = [await desk.ask("GET", "/projects", wrong) for _ in range(4)]
        assert [each.status for each in answers] == [401, 401, 401, 429]
        assert answers[-1].code == "requests_per_minute_exceeded"
        assert (await desk.ask("GET", "/projects", known)).status == 200
        assert (await desk.ask("GET", "/projects", fresh)).status == 429, "nobody knows him yet"
        acme.clock.pass_s(60)  # type: ignore[attr-defined]  # a test's clock
        assert (await desk.ask("GET", "/projects", fresh)).status == 200


@pytest.mark.parametrize(
    ("second", "status"), [("2001:db8:0:1::ffff", 429), ("2001:db8:0:2::1", 401)]
)
async def test_addresses_of_ipv6_are_counted_by_64_bits(
    acme: Site, second: str, status: int
) -> None:
    async with office(acme, failures_per_minute=3) as desk:
        await behind_a_proxy(desk)
        for host in range(3):
            line = f"X-Forwarded-For: 2001:db8:0:1::{host}"
            assert (await desk.ask("GET", "/projects", "x", None, line)).status == 401
        answer = await desk.ask("GET", "/projects", "x", None, f"X-Forwarded-For: {second}")
        assert answer.status == status


async def test_invitations_and_leaks_too(acme: Site) -> None:
    """Thirty a minute from all of a /64."""
    async with office(acme) as desk:
        await behind_a_proxy(desk)
        for path, body in (
            ("/invitations/accept", {"token": "x", "email": "a@b.c"}),
            ("/security/leaked-keys", []),
        ):
            answers = [
                await desk.ask("POST", path, "", body, f"X-Forwarded-For: 2001:db8::{host}")
                for host in range(31)
            ]
            assert {each.status for each in answers[:30]} <= {200, 403}
            assert answers[30].status == 429
