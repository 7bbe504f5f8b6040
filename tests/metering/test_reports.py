"""What was used: sums over disjoint meters, only the asker's own, page by page."""

from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.callers.model import Caller
from portico.canon.usage import Meters
from portico.db.database import Database
from portico.db.tables import usage_record
from portico.errors import Refusal
from portico.metering import reports
from portico.metering.model import GroupBy, Question
from portico.metering.rules import ROUNDS_MAX, id_of_round
from portico.settings.tools import Tools
from tests.db.storage import storage
from tests.metering.requests import LAST, complete_one, open_one

MINE = Question("proj_1")
HOUR_MS = 3_600_000
NOON_MS = 1_795_262_400_000  # 2026-11-21T12:00Z


@given(st.lists(st.integers(0, 2**40), min_size=9, max_size=9))
def test_meters_are_disjoint_input_and_output_are_all_there_is(counts: list[int]) -> None:
    meters = Meters(*counts)
    assert meters.input_tokens + meters.output_tokens == sum(counts)


def test_the_table_has_every_meter_in_order() -> None:
    columns = list(usage_record.columns.keys())
    first = columns.index("input_text")
    assert tuple(columns[first : first + 9]) == Meters.__struct_fields__


def _add(database: Database, number: int, **given_values: object) -> None:
    values: dict[str, object] = {
        "id": f"req_{number:03}",
        "organisation_id": "org_1",
        "project_id": "proj_1",
        "key_id": "key_1",
        "mode": "live",
        "dialect": "openai_chat",
        "model": "demo",
        "deployment": "embedded/demo",
        "stream": 0,
        "outcome": "completed",
        "finish_reason": "stop",
        "estimated": 0,
        "started_at_ms": NOON_MS + number * HOUR_MS,
        "queue_ms": 0,
        "ttft_ms": 1,
        "duration_ms": 2,
        **msgspec.structs.asdict(Meters(input_text=10, input_cache_read=5, output_text=1)),
        **given_values,
    }
    database.write(lambda connection: connection.execute(usage_record.insert().values(**values)))


def test_totals_add_up_what_has_ended_in_the_project_and_the_time(database: Database) -> None:
    _add(database, 0)
    _add(database, 1, estimated=1)
    _add(database, 2, project_id="proj_2")
    _add(database, 3, outcome="running")
    _add(database, 9)
    until = Question("proj_1", since_ms=NOON_MS, until_ms=NOON_MS + 9 * HOUR_MS)
    totals = database.read(lambda connection: reports.totals(connection, until))
    assert (totals.requests, totals.estimated) == (2, 1)
    assert totals.meters == Meters(input_text=20, input_cache_read=10, output_text=2)
    everything = database.read(lambda connection: reports.totals(connection, Question(None)))
    assert everything.requests == 4


def test_no_usage_is_zero(database: Database) -> None:
    totals = database.read(lambda connection: reports.totals(connection, MINE))
    assert (totals.requests, totals.meters) == (0, Meters())


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("model", {"demo": 2, "other": 1}),
        ("key", {"key_1": 2, "key_2": 1}),
        ("day", {"2026-11-21": 2, "2026-11-22": 1}),
        ("hour", {"2026-11-21T12:00Z": 1, "2026-11-21T23:00Z": 1, "2026-11-22T00:00Z": 1}),
    ],
)
def test_groups_add_up_to_the_totals(database: Database, by: GroupBy, keys: dict[str, int]) -> None:
    _add(database, 0)
    _add(database, 11, model="other")
    _add(database, 12, key_id="key_2")
    groups = database.read(lambda connection: reports.groups(connection, MINE, by))
    assert {key: totals.requests for key, totals in groups.items()} == keys
    assert sum(totals.meters.input_text for totals in groups.values()) == 30


def test_pages_show_every_record_once_newest_first(database: Database) -> None:
    for number in range(7):
        _add(database, number, started_at_ms=NOON_MS + number // 3)
    _add(database, 8, project_id="proj_2")
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = database.read(
            lambda connection, cursor=cursor: reports.recent(  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                connection, MINE, limit=2, cursor=cursor
            )
        )
        seen += [record.id for record in page.records]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"req_{number:03}" for number in (6, 5, 4, 3, 2, 1, 0)]


@pytest.mark.parametrize("cursor", ["", "x", "bm8gZG90", "\N{SNOWMAN}"])
def test_a_made_up_cursor_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(Refusal) as refused:
        database.read(lambda connection: reports.recent(connection, MINE, cursor=cursor))
    assert (refused.value.code, refused.value.field) == ("invalid_value", "cursor")


@pytest.mark.parametrize("limit", [0, 1_001])
def test_a_page_has_its_limits(database: Database, limit: int) -> None:
    with pytest.raises(Refusal) as refused:
        database.read(lambda connection: reports.recent(connection, MINE, limit=limit))
    assert refused.value.field == "limit"


@pytest.mark.anyio
async def test_a_record_reads_as_it_was_written(tmp_path: Path, database_url: str) -> None:
    caller = Caller("key_9", "proj_9", "org_9", "test", 1)
    async with storage(tmp_path, database_url) as store:
        await complete_one(store.metering, caller)
        running = open_one(store.metering, caller)
        store.metering.checkpoint(float("inf"))
        await store.writer.run(lambda connection: None)
        page = store.database.read(lambda c: reports.recent(c, Question("proj_9")))
        await store.metering.settle(running, "client_gone")
    open_record, ended = sorted(page.records, key=lambda record: record.outcome, reverse=True)
    assert (open_record.id, open_record.outcome) == (running.id, "running")
    assert (ended.key_id, ended.mode, ended.meters) == ("key_9", "test", LAST.meters)
    assert (ended.stream, ended.estimated) == (True, False)


def test_rounds_of_one_answer_are_found_by_its_request_and_no_others(database: Database) -> None:
    asked = "req_" + "a" * 32
    mine = [id_of_round(asked, number) for number in (1, 2, 10, 11)]
    others = [f"req_{'b' * 32}", id_of_round("req_" + "a" * 31 + "b", 2)]
    for at, name in enumerate([*reversed(mine), *others]):
        _add(database, at, id=name)
    _add(database, 9, id=id_of_round(asked, 3), project_id="proj_2")
    question = Question("proj_1", request_id=asked)
    found = database.read(lambda connection: reports.groups(connection, question, "request"))
    assert list(found) == mine, "in their order"
    assert {totals.requests for totals in found.values()} == {1}
    page = database.read(lambda connection: reports.recent(connection, question))
    assert {record.id for record in page.records} == set(mine)


def test_no_run_has_more_rounds_than_are_looked_for() -> None:
    (most,) = [
        each.le
        for each in get_args(get_type_hints(Tools, include_extras=True)["rounds_max"])[1:]
        if isinstance(each, msgspec.Meta)
    ]
    assert most == ROUNDS_MAX
