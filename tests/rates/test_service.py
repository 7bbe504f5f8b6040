"""Which limits count for a request, what it takes of them, and how a refusal is told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from sqlalchemy import Connection, insert

from portico.admission.line import QueueLimits
from portico.admission.service import Admission
from portico.callers.model import Caller
from portico.canon.usage import NOTHING, Meters, Usage
from portico.db.database import Database, open_database
from portico.db.readers import Readers
from portico.db.tables import rate_limit
from portico.errors import Refusal
from portico.kit.leaving import Leaving
from portico.rates import told
from portico.rates.counters import Alone
from portico.rates.service import Rates
from tests.db.storage import HandClock

pytestmark = pytest.mark.anyio
CALLER = Caller("key_1", "proj_1", "org_1", "live", 10)
OTHER = Caller("key_2", "proj_1", "org_1", "live", 10)


class Scene:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = HandClock()
        self.readers = Readers(database)
        self.rates = Rates(self.readers, Alone(self.clock), self.clock)

    async def limit(self, scope: str, scope_id: str, model: str = "", **limits: int) -> None:
        def add(connection: Connection) -> None:
            values: dict[str, Any] = {"scope": scope, "scope_id": scope_id, "model": model}
            connection.execute(
                insert(rate_limit).values(**values, organisation_id="", set_at_ms=0, **limits)
            )

        self.database.write(add)
        await self.rates.refresh()

    async def change(self, sql: str) -> None:
        self.database.write(lambda c: c.exec_driver_sql(sql))
        await self.rates.refresh()

    async def refused(self, caller: Caller = CALLER, model: str = "m", tokens: int = 0) -> Refusal:
        with pytest.raises(Refusal) as refusal:
            await self.rates.take(caller, model, tokens)
        return refusal.value


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(open_database(tmp_path))
    yield made
    made.readers.close()


async def test_nothing_limits_whom_nobody_limited(scene: Scene) -> None:
    await scene.rates.refresh()
    assert await scene.rates.take(CALLER, "m", 10**9) is None
    await scene.limit("key", "key_9", requests_per_minute=0)
    assert await scene.rates.take(CALLER, "m", 10**9) is None


@pytest.mark.parametrize(
    ("scope", "scope_id"),
    [("key", "key_1"), ("project", "proj_1"), ("organisation", "org_1"), ("installation", "")],
)
async def test_each_scope_limits_its_own(scene: Scene, scope: str, scope_id: str) -> None:
    await scene.limit(scope, scope_id, requests_per_minute=1)
    assert await scene.rates.take(CALLER, "m", 0) is not None
    refusal = await scene.refused()
    assert refusal.code == "requests_per_minute_exceeded"
    assert refusal.status == 429
    if scope == "key":
        assert await scene.rates.take(OTHER, "m", 0) is None
    else:
        assert (await scene.refused(OTHER)).code == "requests_per_minute_exceeded"
    scene.clock.pass_s(refusal.retry_after_ms / 1000 if refusal.retry_after_ms else 0)
    assert await scene.rates.take(CALLER, "m", 0) is not None


async def test_a_limit_of_one_model_leaves_the_others_alone(scene: Scene) -> None:
    await scene.limit("key", "key_1", "m", requests_per_minute=0)
    assert (await scene.refused()).limit == 0
    assert await scene.rates.take(CALLER, "n", 0) is None


async def test_input_that_was_read_from_a_cache_is_given_back(scene: Scene) -> None:
    await scene.limit("key", "key_1", input_tokens_per_minute=100)
    allowance = await scene.rates.take(CALLER, "m", 100)
    assert allowance is not None
    assert (await scene.refused(tokens=1)).code == "input_tokens_per_minute_exceeded"
    for _ in range(2):  # once, however often
        allowance.settle(Meters(input_text=30, input_cache_read=70))
    assert (await scene.refused(tokens=71)).value == 101
    assert await scene.rates.take(CALLER, "m", 70) is not None


async def test_what_did_not_run_used_no_tokens(scene: Scene) -> None:
    await scene.limit("key", "key_1", input_tokens_per_minute=100)
    allowance = await scene.rates.take(CALLER, "m", 100)
    assert allowance is not None
    allowance.settle(NOTHING)
    assert await scene.rates.take(CALLER, "m", 100) is not None


async def test_output_closes_the_door_when_it_is_used_up(scene: Scene) -> None:
    await scene.limit("key", "key_1", output_tokens_per_minute=100)
    first, second = [await scene.rates.take(CALLER, "m", 0) for _ in range(2)]
    assert first is not None
    assert second is not None
    first.settle(Meters(output_text=60, output_reasoning=40))
    assert (await scene.refused()).code == "output_tokens_per_minute_exceeded"
    scene.clock.pass_s(61)
    assert await scene.rates.take(CALLER, "m", 0) is not None


async def test_requests_at_once_have_names_for_admission(scene: Scene) -> None:
    await scene.limit("project", "proj_1", requests_at_once=3)
    await scene.limit("organisation", "org_1", "m", requests_at_once=2)
    found = scene.rates.at_once(CALLER, "m")
    assert [(each.whose, each.most) for each in found] == [
        ("This project", 3),
        ("This organisation, with 'm',", 2),
    ]
    assert [each.most for each in scene.rates.at_once(CALLER, "n")] == [3]


async def test_headers_tell_the_tightest_limit_in_each_dialect(scene: Scene) -> None:
    await scene.limit(
        "key",
        "key_1",
        requests_per_minute=60,
        input_tokens_per_minute=1_000,
        output_tokens_per_minute=500,
    )
    await scene.limit("project", "proj_1", requests_per_minute=10)
    allowance = await scene.rates.take(CALLER, "m", 30)
    assert allowance is not None
    assert told.openai(allowance.standing).decode().splitlines() == snapshot(
        [
            "x-ratelimit-limit-requests: 10",
            "x-ratelimit-remaining-requests: 9",
            "x-ratelimit-reset-requests: 1m0s",
            "x-ratelimit-limit-tokens: 1000",
            "x-ratelimit-remaining-tokens: 970",
            "x-ratelimit-reset-tokens: 1m0s",
            "x-ratelimit-limit-output-tokens: 500",
            "x-ratelimit-remaining-output-tokens: 500",
            "x-ratelimit-reset-output-tokens: 1m0s",
        ]
    )
    assert told.anthropic(allowance.standing).decode().splitlines() == snapshot(
        [
            "anthropic-ratelimit-requests-limit: 10",
            "anthropic-ratelimit-requests-remaining: 9",
            "anthropic-ratelimit-requests-reset: 2027-01-15T08:01:00Z",
            "anthropic-ratelimit-tokens-limit: 500",
            "anthropic-ratelimit-tokens-remaining: 500",
            "anthropic-ratelimit-tokens-reset: 2027-01-15T08:01:00Z",
            "anthropic-ratelimit-input-tokens-limit: 1000",
            "anthropic-ratelimit-input-tokens-remaining: 970",
            "anthropic-ratelimit-input-tokens-reset: 2027-01-15T08:01:00Z",
            "anthropic-ratelimit-output-tokens-limit: 500",
            "anthropic-ratelimit-output-tokens-remaining: 500",
            "anthropic-ratelimit-output-tokens-reset: 2027-01-15T08:01:00Z",
        ]
    )


async def test_the_narrower_scope_is_told_where_it_is_the_tighter_one(scene: Scene) -> None:
    await scene.limit("key", "key_1", requests_per_minute=3)
    await scene.limit("project", "proj_1", requests_per_minute=60)
    allowance = await scene.rates.take(CALLER, "m", 0)
    assert allowance is not None
    left = allowance.standing.requests
    assert left is not None
    assert (left.limit, left.remaining) == (3, 2)


async def test_what_was_changed_counts_for_those_who_are_known(scene: Scene) -> None:
    await scene.limit("key", "key_1", requests_per_minute=1)
    running = await scene.rates.take(CALLER, "m", 0)
    await scene.refused()
    await scene.change("UPDATE rate_limit SET requests_per_minute = 2, input_tokens_per_minute = 9")
    assert await scene.rates.take(CALLER, "m", 9) is not None
    assert (await scene.refused()).limit == 2
    await scene.change("DELETE FROM rate_limit")
    assert await scene.rates.take(CALLER, "m", 0) is None
    assert running is not None
    running.settle(Meters(input_text=5))  # of a window that it did not take from


async def test_rules_that_cannot_be_read_stay_in_force(scene: Scene) -> None:
    await scene.limit("key", "key_1", requests_per_minute=0)
    await scene.change("DROP TABLE rate_limit")
    assert (await scene.refused()).code == "requests_per_minute_exceeded"


async def test_a_request_that_fits_no_limit_is_told_so(scene: Scene) -> None:
    await scene.limit("key", "key_1", requests_per_minute=1, input_tokens_per_minute=10)
    assert await scene.rates.take(CALLER, "m", 1) is not None
    refusal = await scene.refused(tokens=11)  # and would have to wait for the requests, too
    assert (refusal.code, refusal.retry_after_ms) == ("input_tokens_per_minute_exceeded", None)


@dataclass(frozen=True)
class Somewhere:
    model: str = "m"
    places: int = 10
    places_in_all: int = 10


@pytest.mark.parametrize("at_once", ["key", "project"])
async def test_whoever_gets_no_place_gets_his_tokens_back(scene: Scene, at_once: str) -> None:
    await scene.limit("key", "key_1", input_tokens_per_minute=100)
    await scene.limit("project", "proj_1", requests_at_once=1 if at_once == "project" else 9)
    caller = replace(CALLER, concurrency_max=1) if at_once == "key" else CALLER
    admission = Admission(QueueLimits(0, 1.0), scene.clock, None, scene.rates)
    permit = await admission.admit("req_1", caller, Somewhere(), None, Leaving(), 60)
    for _ in range(5):
        with pytest.raises(Refusal) as refusal:
            await admission.admit("req_2", caller, Somewhere(), None, Leaving(), 40)
        assert refusal.value.code == "concurrency_exceeded"
    assert admission._shares.left("key_1", 9) == 8
    permit.used = Usage(told=Meters(input_text=50))
    permit.release()
    permit.release()
    assert admission._shares.open == {}
    assert (await scene.refused(tokens=51)).code == "input_tokens_per_minute_exceeded"
    (await admission.admit("req_3", caller, Somewhere(), None, Leaving(), 50)).release()


@pytest.mark.parametrize(
    ("seconds", "written"), [(0.25, "250ms"), (1, "1s"), (59.4, "59s"), (60, "1m0s"), (360, "6m0s")]
)
def test_durations_are_written_as_openai_does(seconds: float, written: str) -> None:
    assert told.duration(seconds) == written


async def test_what_was_only_asked_for_was_never_taken(scene: Scene) -> None:
    limits = {"requests_per_minute": 1, "input_tokens_per_minute": 100}
    await scene.limit("key", "key_1", **limits)
    for _ in range(3):
        allowance = await scene.rates.take(CALLER, "m", 100)
        assert allowance is not None
        allowance.undo()
        allowance.undo()
        allowance.settle(NOTHING)
    assert await scene.rates.take(CALLER, "m", 100) is not None
    assert (await scene.refused()).status == 429
