"""What was used and what it cost: everything is in one bucket, once, and only what may be seen."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert

from portico import errors
from portico.admin.reports import buckets, sums
from portico.db.tables import charge, usage_record
from tests.admin.office import Office, Site, office, site
from tests.admin.promises import Promises

pytestmark = pytest.mark.anyio
HOUR_MS = 3_600_000
NOON_MS = round(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
SPAN = "since=2026-11-20T00:00:00Z&until=2026-11-23T12:30:00Z"
LISTS = ["", "project", "key", "model", "model,project", "project,key,model"]


@pytest.fixture
def acme(tmp_path: Path, database_url: str) -> Site:
    return site(tmp_path, database_url)


class Books:
    """Requests that are worth as much as their number, each twice the one before."""

    def __init__(self, acme: Site) -> None:
        self._acme = acme
        self._number = 0
        self.sum = 0

    def add(self, org: str, project: str, key: str, model: str, at_ms: int) -> int:
        worth = 1 << self._number
        self._number += 1
        self.sum += worth
        names = {"organisation_id": org, "project_id": project, "key_id": key, "model": model}
        for table, known in ((usage_record, _used(worth)), (charge, _charged(self._number, worth))):
            at = "started_at_ms" if table is usage_record else "charged_at_ms"
            row = {c.name: None if c.nullable else 0 for c in table.columns} | known | names
            row |= {"id": f"req_{self._number}", at: at_ms}
            self._acme.database.write(lambda c, t=table, r=row: c.execute(insert(t).values(**r)))
        return worth


def _used(worth: int) -> dict[str, Any]:
    words = {"mode": "live", "dialect": "x", "deployment": "d"}
    return {**words, "outcome": "completed", "finish_reason": "stop", "input_text": worth}


def _charged(number: int, worth: int) -> dict[str, Any]:
    words = {"tier": "standard", "outcome": "completed", "lines": "[]", "terms_id": "terms_1"}
    amounts = {"list_nano": worth, "net_nano": worth, "absorbed_nano": 0}
    return {**words, **amounts, "sequence": number, "previous_hash": b"", "hash": bytes([number])}


@pytest.fixture
def busy(acme: Site) -> tuple[Site, str, Books]:
    """Two projects, two keys, two models, in the first and the last hour, of three days."""
    org = acme.organisation()
    books = Books(acme)
    projects = (acme.project(org), acme.project(org))
    for day, project in product(range(3), projects):
        for key, model in (("key_1", "m"), ("key_1", "n"), ("key_2", "m")):
            books.add(org, project, key, model, NOON_MS + 24 * HOUR_MS * day)
    books.add(org, projects[0], "key_1", "m", NOON_MS + 12 * HOUR_MS - 1)
    books.add(org, projects[0], "key_1", "m", NOON_MS + 12 * HOUR_MS)
    return acme, org, books


async def pages(desk: Office, key: str, path: str) -> AsyncIterator[dict[str, Any]]:
    after = ""
    while True:
        page = (await desk.ask("GET", f"{path}{after}", key)).json
        yield page
        if not page["has_more"]:
            return
        assert page["last_id"] == page["data"][-1]["id"]
        after = f"&after={page['last_id']}"


def worth(row: dict[str, Any]) -> int:
    return row["input_tokens"] if "input_tokens" in row else int(row["net_nano_usd"])


@pytest.mark.parametrize("thing", ["usage", "costs"])
async def test_everything_is_in_one_bucket_once(busy: Any, thing: str) -> None:
    acme, org, books = busy
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "billing"))
    async with office(acme) as desk:
        promises = Promises((await desk.ask("GET", "/openapi.json")).json)
        for by, width, limit in product(LISTS, ("", "1h", "1d"), (1, 7, 100)):
            if width == "1h" and limit == 1:
                continue  # 85 requests that say nothing new
            path = f"/{thing}?{SPAN}&group_by={by}&bucket_width={width}&limit={limit}"
            found, ends = 0, "2026-11-20T00:00:00Z"
            async for page in pages(desk, key, path):
                assert len(page["data"]) <= limit
                assert promises.broken("GET", f"/{thing}", page) == []
                for bucket in page["data"]:
                    assert bucket["start"] == ends, "no gap, no overlap"
                    ends = bucket["end"]
                    found += sum(map(worth, bucket["results"]))
                    named = [
                        tuple(row[name] for name in ("project_id", "key_id", "model"))
                        for row in bucket["results"]
                    ]
                    assert len(set(named)) == len(named)
                    assert all(
                        (each is not None) == (g in by)
                        for row in named
                        for g, each in zip(("project", "key", "model"), row, strict=True)
                    )
            assert (found, ends) == (books.sum, "2026-11-23T12:30:00Z"), path


async def test_a_sum_is_of_what_it_names(busy: Any) -> None:
    acme, org, _ = busy
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "billing"))
    async with office(acme) as desk:
        for thing in ("usage", "costs"):
            path = f"/{thing}?{SPAN}"
            (whole,) = (await desk.ask("GET", f"{path}&group_by=key,model", key)).json["data"]
            assert [(row["key_id"], row["model"]) for row in whole["results"]] == [
                ("key_1", "m"),
                ("key_1", "n"),
                ("key_2", "m"),
            ]
            for row in whole["results"]:
                narrowed = f"{path}&key_id={row['key_id']}&model={row['model']}"
                (one,) = (await desk.ask("GET", narrowed, key)).json["data"]
                assert [worth(each) for each in one["results"]] == [worth(row)]
            days = f"{path}&bucket_width=1d"
            found = (await desk.ask("GET", days, key)).json["data"]
            assert [len(bucket["results"]) for bucket in found] == [1, 1, 1, 0]
            late = f"/{thing}?since=2026-11-20T23:59:59Z&until=2026-11-21T00:00:01Z"
            parts = (await desk.ask("GET", f"{late}&bucket_width=1d", key)).json["data"]
            assert [(each["start"], each["end"]) for each in parts] == [
                ("2026-11-20T23:59:59Z", "2026-11-21T00:00:00Z"),
                ("2026-11-21T00:00:00Z", "2026-11-21T00:00:01Z"),
            ]
            assert [worth(each["results"][0]) for each in parts] == [1 << 18, 1 << 19]


async def test_an_answer_has_so_many_sums_and_whole_buckets(
    busy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, org, books = busy
    monkeypatch.setattr(sums, "ROWS_MAX", 7)
    monkeypatch.setattr(buckets, "ROWS_MAX", 7)
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "billing"))
    path = f"/usage?{SPAN}&group_by=project,key,model"
    async with office(acme) as desk:
        sizes, found = [], 0
        async for page in pages(desk, key, f"{path}&bucket_width=1d"):
            sizes.append(len(page["data"]))
            found += sum(worth(row) for bucket in page["data"] for row in bucket["results"])
        assert (sizes, found) == ([1, 1, 2], books.sum)
        monkeypatch.setattr(sums, "ROWS_MAX", 5)
        monkeypatch.setattr(buckets, "ROWS_MAX", 5)
        for width in ("", "1d"):
            told = await desk.ask("GET", f"{path}&bucket_width={width}", key)
            assert (told.status, told.code) == (400, "out_of_range")
            assert told.json["error"]["param"] == "group_by"


async def test_only_what_may_be_seen(acme: Site) -> None:
    org, other = acme.organisation(), acme.organisation("Other")
    first, second, foreign = acme.project(org), acme.project(org), acme.project(other)
    at_ms = acme.clock.wall_ms() - 1_000
    books = Books(acme)
    for whose, project in ((org, first), (org, second), (other, foreign)):
        books.add(whose, project, "key_1", "m", at_ms)
    billing = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "billing"))
    async with office(acme) as desk:
        for thing in ("usage", "costs"):
            for key, query, sum in (
                (billing, "", 3),
                (billing, f"?project_id={first}", 1),
                (billing, f"?organisation_id={org}", 3),
                (billing, "?key_id=key_1", 3),
                (acme.admin_key(), "", 7),
                (acme.admin_key(), f"?organisation_id={other}", 4),
            ):
                told = (await desk.ask("GET", f"/{thing}{query}", key)).json
                assert [worth(row) for row in told["data"][0]["results"]] == [sum]
            never = "?since=2020-01-01&until=2020-01-02"
            (bucket,) = (await desk.ask("GET", f"/{thing}{never}", billing)).json["data"]
            assert bucket["results"] == []
            for query in (f"?project_id={foreign}", f"?organisation_id={other}"):
                assert (await desk.ask("GET", f"/{thing}{query}", billing)).status == 404


async def test_a_customers_report_reads_no_other_customers_rows(tmp_path: Path) -> None:
    """However many there are: the database finds them by an index."""
    acme = site(tmp_path)
    org = acme.organisation()
    asked: list[str] = []
    event.listen(
        acme.database.backend.engine,
        "connect",
        lambda driver, _: driver.set_trace_callback(asked.append),
    )
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "billing"))
    async with office(acme) as desk:
        for thing in ("usage", "costs"):
            assert (await desk.ask("GET", f"/{thing}?group_by=model", key)).status == 200
    reports = [each for each in asked if "GROUP BY by_model" in each]
    assert len(reports) == 2
    for report in reports:
        plan = [row["detail"] for row in acme.rows(f"EXPLAIN QUERY PLAN {report}")]
        (how,) = [each for each in plan if "usage_record" in each or "charge" in each]
        assert how.startswith("SEARCH"), how


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("group_by=shoe", "group_by"),
        ("group_by=day", "group_by"),
        ("group_by=model,model", "group_by"),
        ("bucket_width=1w", "bucket_width"),
        ("since=x", "since"),
        ("since=2026-01-02&until=2026-01-01", "since"),
        ("bucket_width=1d&after=x", "after"),
        ("bucket_width=1d&limit=1441", "limit"),
        ("bucket_width=1d&limit=0", "limit"),
    ],
)
async def test_400_what_cannot_be_summed(tmp_path: Path, query: str, field: str) -> None:
    acme = site(tmp_path)
    async with office(acme) as desk:
        for thing in ("usage", "costs"):
            told = await desk.ask("GET", f"/{thing}?{query}", acme.admin_key())
            assert (told.status, told.json["error"]["param"]) == (400, field)


class _Full:
    """Reports of which none is answered."""

    async def run(self, *asked: Any, **more: Any) -> Any:
        raise errors.CONCURRENCY("There are too many.", retry_after_ms=1_000)


async def test_whoever_is_kept_from_reports_is_kept_from_nothing_else(acme: Site) -> None:
    """Usage, costs and the log are read apart: a key can be revoked while somebody reads millions of
    rows."""
    org = acme.organisation()
    key_id, _ = acme.key(acme.project(org))
    key = acme.admin_key(organisation_id=org, owner_id=acme.member(org, "owner"))
    async with office(acme, reports=_Full()) as desk:
        for path in ("/usage", "/costs", "/audit_log"):
            answer = await desk.ask("GET", path, key)
            assert (answer.status, answer.code) == (429, "concurrency_exceeded")
            assert answer.headers["retry-after"] == "1"
        assert (await desk.ask("GET", "/keys", key)).status == 200
        assert (await desk.ask("POST", f"/keys/{key_id}/revoke", key, {})).status == 200
