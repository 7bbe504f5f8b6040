"""A key that somebody found in public ends, and the finder learns nothing from the answer."""

import re
from pathlib import Path
from typing import Any

import pytest

from portico.admin.visitors.leaks import REPORTS_MAX
from portico.callers.rules import new_key
from tests.admin.office import Office, Site, office, site
from tests.db.storage import HandClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path) -> Site:
    return site(tmp_path, clock=HandClock())


async def report(desk: Office, *tokens: Any) -> Any:
    body = [{"token": each, "type": "portico", "url": "https://x.test/a"} for each in tokens]
    return await desk.ask("POST", "/security/leaked-keys", "", body)


async def test_200_a_reported_key_is_revoked_and_noted(acme: Site) -> None:
    org = acme.organisation()
    id, live = acme.key(acme.project(org))
    admin_id, admin = acme.admin_key_and_id(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        known = await report(desk, live, admin)
        unknown = await report(desk, new_key("live"), new_key("admin"))
        assert known.status == 200
        assert known.body == unknown.body == b'{"object":"leak_report","received":2}'
        assert (await desk.ask("GET", "/projects", admin)).code == "api_key_revoked"
        assert (await report(desk, live)).status == 200  # again
    for table, key in (("api_key", id), ("admin_key", admin_id)):
        (row,) = acme.rows(f"SELECT revoked_at_ms FROM {table} WHERE id = '{key}'")
        assert row["revoked_at_ms"] is not None
    told = acme.rows(
        "SELECT action, target, actor_kind, address, after FROM audit_event JOIN audit_detail "
        f"USING (organisation_id, sequence) WHERE organisation_id = '{org}' "
        "AND action LIKE '%.revoke'"
    )
    assert {(each["action"], each["target"]) for each in told} == {
        ("key.revoke", id),
        ("admin_key.revoke", admin_id),
    }
    for each in told:
        assert (each["actor_kind"], each["address"]) == ("system", "127.0.0.1")
        assert "found at https://x.test/a" in each["after"]
        assert live not in each["after"]


async def test_200_what_is_no_key_is_passed_over(acme: Site) -> None:
    id, live = acme.key(acme.project(acme.organisation()))
    near = live[:-1] + ("0" if live[-1] != "0" else "1")
    async with office(acme) as desk:
        answer = await report(desk, near, "", "x" * 10_000, live[:-1])
        assert (answer.status, answer.json["received"]) == (200, 4)
    (row,) = acme.rows(f"SELECT revoked_at_ms FROM api_key WHERE id = '{id}'")
    assert row["revoked_at_ms"] is None


@pytest.mark.parametrize(
    "body", [{"token": "x"}, [{"type": "x"}], [{"token": 1}], "x", [["x"]], None]
)
async def test_400_a_body_that_is_no_report(acme: Site, body: Any) -> None:
    async with office(acme) as desk:
        answer = await desk.ask("POST", "/security/leaked-keys", "", body)
        assert (answer.status, answer.code) == (400, "invalid_json")


async def test_400_too_many_keys_and_429_too_many_reports(acme: Site) -> None:
    async with office(acme) as desk:
        assert (await report(desk, *["x"] * (REPORTS_MAX + 1))).code == "out_of_range"
        answers = [(await report(desk, "x")).status for _ in range(30)]
        assert answers == [200] * 29 + [429]
        acme.clock.pass_s(60)  # type: ignore[attr-defined]  # it is a HandClock
        assert (await report(desk, "x")).status == 200


async def test_200_the_pattern_is_published(acme: Site) -> None:
    async with office(acme) as desk:
        pattern = (await desk.ask("GET", "/security/key-pattern")).json["pattern"]
    for kind in ("live", "test", "admin", "ephemeral"):
        assert re.fullmatch(pattern, new_key(kind))  # type: ignore[arg-type]  # it is one of them
