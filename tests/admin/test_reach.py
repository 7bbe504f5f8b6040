"""Who wants to give what he has not got is refused, and that he wanted it is written down."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.admin.office import Site, office, site
from tests.db.storage import HandClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path) -> Site:
    return site(tmp_path, clock=HandClock())


ASKED: list[tuple[str, str, dict[str, Any], str]] = [
    ("PATCH", "/members/{admin}", {"role": "owner"}, "permission_denied"),
    ("DELETE", "/members/{owner}", {}, "permission_denied"),
    ("POST", "/invitations", {"email": "x@example.org", "role": "owner"}, "permission_denied"),
    (
        "POST",
        "/roles",
        {"name": "all", "level": "organisation", "scopes": ["*"]},
        "rights_exceeded",
    ),
    (
        "POST",
        "/roles",
        {"name": "more", "level": "organisation", "scopes": ["organisation:write"]},
        "rights_exceeded",
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "code"), ASKED)
async def test_403_and_a_line(
    acme: Site, method: str, path: str, body: dict[str, Any], code: str
) -> None:
    org = acme.organisation()
    owner, admin = acme.member(org, "owner"), acme.member(org, "admin")
    key_id, key = acme.admin_key_and_id(organisation_id=org, owner_id=admin)
    where = path.format(admin=admin, owner=owner)
    async with office(acme) as desk:
        answer = await desk.ask(method, where, key, body)
    assert (answer.status, answer.code) == (403, code)
    (line,) = acme.rows(
        "SELECT actor_id, credential_id, address, target, after FROM audit_event JOIN audit_detail "
        "USING (organisation_id, sequence) WHERE action = 'rights.refuse'"
    )
    assert (line["actor_id"], line["credential_id"], line["address"]) == (
        admin,
        key_id,
        "127.0.0.1",
    )
    assert json.loads(line["after"])["code"] == code
    assert line["target"] in where


async def test_403_for_less_leaves_no_line(acme: Site) -> None:
    org = acme.organisation()
    acme.member(org, "owner")
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "member"))
    async with office(acme) as desk:
        answer = await desk.ask("POST", "/projects", key, {"name": "x"})
    assert answer.status == 403
    assert acme.rows("SELECT action FROM audit_event WHERE action = 'rights.refuse'") == []
