"""Every collection has a list in pages, and one of it by its id; and what is not there is 404, in one
way."""

from pathlib import Path
from typing import Any

import pytest

from portico.admin.routes import operations
from tests.admin.matrix import TABLE, Target, filled, world
from tests.admin.office import Office, Site, office, site

pytestmark = pytest.mark.anyio
READS = {each.path: each for each in operations() if each.method == "GET"}
SUMMED = {"/usage", "/costs"}
"""Have buckets, which are no objects."""
OF_ONE = {"/webhooks/{id}/deliveries": "/webhook_deliveries/{id}"}
"""Lists of what belongs to one object, and where one of those is."""
LISTS = sorted({path for path in READS if not path.endswith("{id}")} - SUMMED)


@pytest.fixture
def acme(tmp_path: Path, database_url: str) -> Site:
    return site(tmp_path, database_url)


def query_of(path: str, target: Target) -> str:
    query = str(filled(TABLE["GET", path].query, target))
    return query + ("&" if query else "?")


def where(path: str, target: Target) -> str:
    cell = TABLE["GET", path]
    return path.replace("{id}", target.ids[cell.id] if cell.id else "")


async def listed(desk: Office, key: str, path: str, target: Target, limit: int) -> list[Any]:
    """Every object, a page at a time."""
    at, found, after = where(path, target) + query_of(path, target), list[Any](), ""
    while True:
        page = (await desk.ask("GET", f"{at}limit={limit}{after}", key)).json
        assert len(page["data"]) <= limit
        found += page["data"]
        assert len(found) < 1_000, "the pages go round"
        if not page["has_more"]:
            return found
        after = f"&after={page['last_id']}"


async def test_pages_show_everything_once_and_one_is_as_it_is_listed(acme: Site) -> None:
    all = world(acme)
    target, key = all.target("own"), all.people[0].secret
    async with office(acme, rehearsing=True) as desk:
        for path in LISTS:
            whole = await listed(desk, key, path, target, 100)
            assert whole, f"{path}: nothing to be listed"
            assert await listed(desk, key, path, target, 2) == whole, path
            assert len({each["id"] for each in whole}) == len(whole), path
            one = OF_ONE.get(path, f"{path}/{{id}}")
            assert one in READS, f"{path} has no way to read one"
            last = whole[-1]["id"]
            shown = await desk.ask("GET", one.replace("{id}", last) + query_of(one, target), key)
            assert shown.status == 200, one
            assert {name: shown.json[name] for name in whole[-1]} == whole[-1]


async def test_404_is_one_answer(acme: Site) -> None:
    """Whatever is asked for: an object with the same members, the same code, about the same field."""
    all = world(acme)
    target, key = all.target("own"), all.people[0].secret
    async with office(acme, rehearsing=True) as desk:
        for path, read in READS.items():
            if not path.endswith("{id}"):
                continue
            told = await desk.ask(
                "GET", path.replace("{id}", "made_up") + query_of(path, target), key
            )
            error = told.json["error"]
            assert (told.status, told.code, error["param"]) == (404, "resource_not_found", "id")
            assert "made_up" in error["message"], read.path
