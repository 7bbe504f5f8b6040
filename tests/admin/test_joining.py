"""Whoever was invited joins over HTTP, without a key; whoever was not learns nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.admin.office import Office, Site, office, site
from tests.db.storage import HandClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path) -> Site:
    return site(tmp_path, clock=HandClock())


async def accept(desk: Office, **said: Any) -> Any:
    return await desk.ask("POST", "/invitations/accept", "", said)


async def test_200_once_and_403_after_that(acme: Site) -> None:
    org = acme.organisation()
    owner = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme) as desk:
        made = await desk.ask(
            "POST", "/invitations", owner, {"email": "bob@example.org", "role": "billing"}
        )
        token = json.loads(made.body)["token"]
        wrong = await accept(desk, token=token, email="eve@example.org")
        never = await accept(desk, token="pk_invite_" + "0" * 43, email="eve@example.org")
        joined = await accept(desk, token=token, email="bob@example.org", name="Bob")
        again = await accept(desk, token=token, email="bob@example.org")
    told = json.loads(joined.body)
    assert joined.status == 200
    assert (told["object"], told["email"], told["role"]) == ("member", "bob@example.org", "billing")
    assert [each.status for each in (wrong, never, again)] == [403] * 3
    assert {each.code for each in (wrong, never, again)} == {"invitation_invalid"}
    assert wrong.body == never.body == again.body
    noted = acme.rows(
        "SELECT action, address FROM audit_event WHERE action LIKE 'invitation.%' ORDER BY sequence"
    )
    assert [each["action"] for each in noted] == [
        "invitation.create",
        "invitation.refuse",
        "invitation.accept",
        "invitation.refuse",
    ]
    assert {each["address"] for each in noted} == {"127.0.0.1"}


@pytest.mark.parametrize(
    "body", [{}, {"token": "x"}, {"token": 1, "email": "a@b.c"}, {"email": "a@b.c"}]
)
async def test_400_what_says_too_little(acme: Site, body: dict[str, Any]) -> None:
    async with office(acme) as desk:
        assert (await accept(desk, **body)).status == 400


async def test_429_who_tries_too_often(acme: Site) -> None:
    async with office(acme) as desk:
        answers = [(await accept(desk, token="x", email="a@b.c")).status for _ in range(31)]
        assert answers == [403] * 30 + [429]
        acme.clock.pass_s(60)  # type: ignore[attr-defined]  # a test's clock
        assert (await accept(desk, token="x", email="a@b.c")).status == 403
