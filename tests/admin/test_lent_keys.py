"""Whoever may make keys of this API can have one in somebody else's name: to help him, not to be him."""

from pathlib import Path

import pytest

from portico.accounts.actors.roles import INSTALLATION_SCOPES, ORGANISATION_SCOPES
from portico.accounts.people.members import set_member_role
from portico.callers.scopes import KEY_SCOPES
from tests.admin.office import Site, office, site

pytestmark = pytest.mark.anyio


@pytest.fixture
def acme(tmp_path: Path) -> Site:
    return site(tmp_path)


async def test_a_key_made_with_a_lent_one_does_not_grow_either(acme: Site) -> None:
    """Two steps to an owner's rights: a key of another admin's, made to make a whole one; then wait."""
    org = acme.organisation()
    other = acme.member(org, "admin", "other@acme.test")
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "admin"))
    async with office(acme) as desk:
        lent = await desk.ask("POST", "/admin_keys", key, {"name": "x", "owner_id": other})
        heir = await desk.ask("POST", "/admin_keys", lent.json["api_key"], {"name": "y"})
        assert (heir.status, heir.json["owner_id"]) == (200, other)
        acme.does(lambda e: set_member_role(e, org, other, "owner"))
        rename = await desk.ask("PATCH", f"/organisations/{org}", heir.json["api_key"])
        assert (rename.status, rename.code) == (403, "permission_denied")
        own = acme.admin_key(organisation_id=org, owner_id=other)
        assert (await desk.ask("PATCH", f"/organisations/{org}", own)).status == 200


async def test_nobody_is_made_to_leave_by_a_lent_key(acme: Site) -> None:
    """Only owners remove owners; that an owner wants to go, an admin cannot say for him."""
    org = acme.organisation()
    acme.member(org, "owner", "first@acme.test")
    second = acme.member(org, "owner", "second@acme.test")
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "admin"))
    async with office(acme) as desk:
        scopes = ["organisation:read", "members:read", "members:write"]
        wish = {"name": "x", "owner_id": second, "scopes": scopes}
        lent = (await desk.ask("POST", "/admin_keys", key, wish)).json["api_key"]
        told = await desk.ask("DELETE", f"/members/{second}", lent)
        assert (told.status, told.code) == (403, "permission_denied")
        own = acme.admin_key(organisation_id=org, owner_id=second)
        assert (await desk.ask("DELETE", f"/members/{second}", own)).status == 200


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
            assert (made.status, set(made.json["scopes"])) == (200, all)
        key = await desk.ask("POST", "/keys", its, {"project_id": project})
        assert (key.status, set(key.json["scopes"])) == (200, KEY_SCOPES)
        whole = acme.admin_key(**mine)
        free = await desk.ask("POST", "/keys", whole, {"project_id": project})
        assert free.json["scopes"] is None
        heir = await desk.ask("POST", f"/keys/{free.json['id']}/replace", its, {})
        assert (heir.status, set(heir.json["scopes"])) == (200, KEY_SCOPES)
        one = f"/keys/{key.json['id']}"
        wider = await desk.ask("PATCH", one, its, {"scopes": None})
        assert (wider.status, set(wider.json["scopes"])) == (200, KEY_SCOPES)
        assert (await desk.ask("PATCH", one, whole, {"scopes": None})).json["scopes"] is None
        renamed = await desk.ask("PATCH", one, its, {"name": "other"})
        assert renamed.json["scopes"] is None, "what was so before stays so"
