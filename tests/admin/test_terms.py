"""How an organisation pays: said by the operator over HTTP, as on the command line; seen by who pays."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from portico.pricing.service import read_book
from tests.admin.office import Site, office, site

pytestmark = pytest.mark.anyio
LATER = "2099-01-01T00:00:00Z"


@pytest.fixture
def acme(tmp_path: Path, database_url: str) -> Site:
    return site(tmp_path, database_url)


def noted(acme: Site, org: str) -> list[dict[str, Any]]:
    query = (
        "SELECT d.before, d.after FROM audit_event e JOIN audit_detail d ON "
        "d.organisation_id = e.organisation_id AND d.sequence = e.sequence "
        f"WHERE e.action = 'terms.set' AND e.organisation_id = '{org}' ORDER BY e.sequence"
    )
    return [
        {name: row[name] and msgspec.json.decode(row[name]) for name in ("before", "after")}
        for row in acme.rows(query)
    ]


async def test_200_terms_are_set_once_seen_and_noted(acme: Site) -> None:
    org = acme.organisation()
    operator = acme.admin_key(scopes=("terms:write", "terms:read"))
    billing = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "billing"))
    wish = {
        "organisation_id": org,
        "kind": "commit",
        "plan": "gold",
        "discounts": [
            {"kind": "contract", "numerator": 7, "denominator": 8},
            {"kind": "contributor", "numerator": 4, "denominator": 5},
        ],
        "consent": "2026-11",
    }
    again = "Idempotency-Key: once"
    async with office(acme) as desk:
        assert (await desk.ask("GET", "/terms", billing)).json["data"] == []
        made = (await desk.ask("POST", "/terms", operator, wish, again)).json
        assert {name: made[name] for name in wish} == wish
        assert (made["share_numerator"], made["share_denominator"], made["in_force"]) == (
            *(7, 10),
            True,
        )
        twice = await desk.ask("POST", "/terms", operator, wish, again)
        assert (twice.status, twice.json) == (200, made)
        later = {"organisation_id": org, "kind": "postpaid", "effective_from": LATER}
        next = (await desk.ask("POST", "/terms", operator, later)).json
        assert (next["in_force"], next["effective_from"]) == (False, LATER)
        listed = (await desk.ask("GET", "/terms", billing)).json["data"]
        assert listed == [made, next]
        for one in listed:
            assert (await desk.ask("GET", f"/terms/{one['id']}", billing)).json == one
    kept = acme.database.read(read_book).terms(org)
    assert [each.id for each in kept] == [made["id"], next["id"]]
    first, second = noted(acme, org)
    assert (first["before"], first["after"]["plan"]) == (None, "gold")
    assert (second["before"]["id"], second["after"]["kind"]) == (made["id"], "postpaid")


async def test_403_404_customers_do_not_say_how_they_pay(acme: Site) -> None:
    org, other = acme.organisation(), acme.organisation("Other")
    owner = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    theirs = acme.terms(other, 1)
    async with office(acme) as desk:
        for wish in (
            {"organisation_id": org, "kind": "internal"},
            {"organisation_id": other, "kind": "internal"},
        ):
            told = await desk.ask("POST", "/terms", owner, wish)
            assert (told.status, told.code) == (403, "permission_denied")
        for path in (f"/terms/{theirs}", "/terms/terms_none", f"/terms?organisation_id={other}"):
            assert (await desk.ask("GET", path, owner)).status == 404
        makes = acme.admin_key(scopes=("organisations:write",))
        told = await desk.ask("POST", "/organisations", makes, {"name": "x", "terms": "internal"})
        assert told.status == 403, "who makes organisations does not say for how much"
        assert (await desk.ask("POST", "/organisations", makes, {"name": "x"})).status == 200
    assert noted(acme, org) == []


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"kind": "barter"}, "kind"),
        ({"kind": "internal", "plan": "gold"}, "terms"),
        ({"kind": "prepaid", "effective_from": "2020-01-01T00:00:00Z"}, "terms"),
        ({"kind": "prepaid", "plan": "a\x1b[2J"}, "plan"),
        ({"kind": "prepaid", "consent": "2026"}, "terms"),
        (
            {
                "kind": "prepaid",
                "discounts": [{"kind": "contract", "numerator": 9, "denominator": 8}],
            },
            "terms",
        ),
    ],
)
async def test_400_terms_that_cannot_be(tmp_path: Path, wish: dict[str, Any], field: str) -> None:
    acme = site(tmp_path)
    org = acme.organisation()
    async with office(acme) as desk:
        told = await desk.ask("POST", "/terms", acme.admin_key(), {"organisation_id": org, **wish})
        assert (told.status, told.json["error"]["param"]) == (400, field)
    assert noted(acme, org) == []
