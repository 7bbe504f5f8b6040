"""Law: each line is answered once and paid for once, wherever a server is killed on the way."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.door.visits.carrier import Unattended
from portico.kit.leaving import Leaving
from portico.ledger import owners
from portico.resources.batches.model import Batch
from tests.background.lives import CALLER, CHAT, Life, fund, life
from tests.metering.requests import PROMPT
from tests.metering.test_charges import COST

pytestmark = pytest.mark.anyio
SAYS = ["a", "b", "c", "d"]


RUNNING = (
    "SELECT count(*) FROM batch_line JOIN hold ON hold.id = request_id WHERE hold.state = 'open'"
)
"""Lines under way, with money set aside."""


async def check(living: Life, batch: Batch) -> None:
    found = living.found(batch)
    assert (found.state, found.lines) == ("completed", len(SAYS))
    answers = await living.content(found.output_file_id)
    assert [(each["custom_id"], each["response"]["body"]) for each in answers] == [
        (say, {"said": say}) for say in SAYS
    ]
    assert found.error_file_id is None
    ids = sorted(each["id"] for each in answers)
    of_it = f"(SELECT request_id FROM batch_line WHERE batch_id = '{batch.id}')"
    charged = living.rows(f"SELECT id, net_nano FROM charge WHERE id IN {of_it} ORDER BY id")
    assert charged == [(request_id, COST) for request_id in ids]


def paid_nano(living: Life) -> int:
    ((nano,),) = living.rows("SELECT coalesce(sum(net_nano), 0) FROM charge")
    ((held,),) = living.rows("SELECT count(*) FROM hold WHERE state = 'open'")
    assert held == 0
    return int(nano)


async def test_it_takes_so_many_steps_and_each_may_be_the_last(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    fund(database)
    deaths = 0
    async with life(database, tmp_path, "inst_0") as living:
        await check(living, await living.ended(await living.new(SAYS)))
        steps = living.writer.steps
    assert steps > 4 * len(SAYS), "they are counted"
    # All of them where a commit is quick; else every third.
    for dies_at in range(1, steps + 1, 3 if database_url else 1):
        for late in (False, True):
            name = f"inst_{dies_at}_{late}"
            async with life(database, tmp_path, name, dies_at, late=late) as living:
                batch = await living.new(SAYS)
                await living.ended(batch)
                deaths += living.writer.died.is_set()
            async with life(database, tmp_path, f"{name}_next") as living:
                await living.ended(batch)
                await check(living, batch)
    assert deaths > 10
    async with life(database, tmp_path, "inst_last") as living:
        ((lines,),) = living.rows("SELECT count(*) FROM batch_line")
        assert paid_nano(living) == COST * lines


def forget(living: Life, dead: Life) -> None:
    """Nobody has heard of it for a minute."""
    living.database.write(lambda c: owners.forget(Transaction(c), dead.name))


async def test_lines_that_money_is_set_aside_for_are_left_to_the_sweeper(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as first:
        first.echo.makes.clear()
        batch = await first.new(SAYS)
        await first.until(RUNNING, 3)
    async with life(database, tmp_path, "inst_b", alone=False) as second:
        forget(second, first)
        await second.until(
            f"SELECT count(*) FROM batch_line WHERE batch_id = '{batch.id}' AND state = 'succeeded'"
        )
        await second.goes_on(4)  # it tries to end the batch, looks for strays, and tries again
        assert second.found(batch).state == "in_progress", "three of its lines are nobody's yet"
        await second.sweeper.start()
        await second.ended(batch)
        await check(second, batch)
        assert paid_nano(second) == COST * len(SAYS)


async def test_a_server_that_was_taken_for_dead_is_not_paid_for_what_others_make_again(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with (
        life(database, tmp_path, "inst_a") as slow,
        life(database, tmp_path, "inst_b", alone=False) as other,
    ):
        slow.echo.makes.clear()
        batch = await slow.new(SAYS)
        await slow.until(RUNNING, 3)
        forget(other, slow)
        other.lane.hear()
        await other.sweeper.start()
        await other.ended(batch)
        slow.echo.makes.set()
        await slow.until("SELECT count(*) FROM usage_record", len(SAYS))
        await slow.quiet()
        await check(other, batch)
        assert paid_nano(other) == COST * len(SAYS)


async def test_a_line_waits_for_a_database_that_cannot_be_asked(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portico.db.away._RETRY_AFTER_MS", 10)
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        handle, faults = living.way.handle, 2 * len(SAYS)

        async def away(carrier: Unattended, rest: str) -> None:
            nonlocal faults
            faults -= 1
            if faults >= 0:
                raise OperationalError("SELECT 1", None, Exception("the server was restarted"))
            await handle(carrier, rest)

        living.making.ways = {CHAT: replace(living.way, handle=away)}
        batch = await living.new(SAYS)
        await living.ended(batch)
        await check(living, batch)
        assert paid_nano(living) == COST * len(SAYS)


async def test_a_line_is_its_own_or_is_not_paid_for(database: Database, tmp_path: Path) -> None:
    """The same, where its hold was not given back: the commit that settles looks for itself."""
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        batch = await living.new(SAYS)
        await living.until(RUNNING, 3)
        steal = "UPDATE batch_line SET request_id = 'req_other' WHERE number = 1"
        living.database.write(lambda c: c.exec_driver_sql(steal))
        living.echo.makes.set()
        await living.ended(batch)
        await check(living, batch)
        made = living.rows("SELECT count(*) FROM usage_record WHERE outcome = 'completed'")
        assert made == [(len(SAYS) + 1,)], "one of them for nobody"
        assert paid_nano(living) == COST * len(SAYS)


async def test_a_line_of_a_batch_that_was_dropped_is_paid_for(
    database: Database, tmp_path: Path
) -> None:
    """By zero retention, say: it was generated, and nobody makes it again."""
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        batch = await living.new(SAYS[:1])
        await living.until(RUNNING)
        drop = f"DELETE FROM batch WHERE id = '{batch.id}'"
        living.database.write(lambda c: c.exec_driver_sql(drop))
        living.echo.makes.set()
        await living.until("SELECT count(*) FROM usage_record WHERE outcome = 'completed'")
        await living.quiet()
        assert paid_nano(living) == COST


async def test_the_batch_of_a_key_that_is_revoked_is_cancelled_and_says_why(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        batch = await living.new(SAYS)
        other = await living.new(SAYS)
        await living.until(RUNNING, 3)
        living.revoked.add(CALLER.credential_id)
        living.lane.hear()
        # One of which no line is under way has been cancelled at once.
        await living.until("SELECT count(*) FROM batch WHERE cancelling_at_ms IS NOT NULL", 2)
        living.echo.makes.set()
        for each in (await living.ended(batch), await living.ended(other)):
            assert each.state == "cancelled"
            assert each.errors is not None
            assert [error["code"] for error in each.errors] == ["api_key_revoked"]
        assert paid_nano(living) == COST * 3, "what was under way, and nothing more"


async def test_who_is_there_to_wait_gets_the_place_of_a_line(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a", places=2) as living:
        living.echo.makes.clear()
        batch = await living.new(SAYS)
        await living.until(RUNNING, 2)
        assert living.admission.running == 2, "all places"
        to = living.rooms.routing.choose(
            msgspec.structs.replace(PROMPT, model="m"), "no_training", None
        )
        async with asyncio.timeout(10):
            permit = await living.admission.admit("req_me", CALLER, to, None, Leaving(), 1)
        assert living.admission.running == 2
        permit.release()
        living.echo.makes.set()
        await living.ended(batch)
        await check(living, batch)
        outcomes = living.rows("SELECT outcome, count(*) FROM usage_record GROUP BY 1 ORDER BY 1")
        assert outcomes[0] == ("completed", len(SAYS))
        assert outcomes[1][0] == "preempted"
        assert paid_nano(living) == COST * len(SAYS)


async def test_lines_leave_a_share_of_the_places_to_others_and_take_none_of_their_keys(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a", places=4, share=0.5) as living:
        living.echo.makes.clear()
        batch = await living.new(SAYS)
        await living.until(RUNNING, 2)
        waits = "SELECT count(*) FROM batch_line WHERE state = 'waiting'"
        assert living.rows(waits) == [(2,)]
        assert living.admission.running == 2
        living.echo.makes.set()
        await living.ended(batch)
        await check(living, batch)


async def test_a_line_in_a_hurry_waits_as_others_do_and_keeps_its_place(
    database: Database, tmp_path: Path
) -> None:
    """There is always somebody in line, so that no place is ever to spare."""
    fund(database)
    async with life(database, tmp_path, "inst_a", places=1, hurry_ms=2 * 86_400_000) as living:
        asked = msgspec.structs.replace(PROMPT, model="m")
        to = living.rooms.routing.choose(asked, "no_training", None)

        def enter(name: str) -> "asyncio.Task[Any]":
            coming = living.admission.admit(name, CALLER, to, None, Leaving(), 1)
            return asyncio.get_running_loop().create_task(coming)

        first, second = enter("req_1"), enter("req_2")
        batch = await living.new(SAYS)
        await living.in_line(2)
        assert living.rows("SELECT count(*) FROM batch_line WHERE state = 'running'") == [(1,)]
        third = enter("req_3")
        living.echo.makes.clear()
        (await first).release()
        (await second).release()
        await living.until(RUNNING)
        for _ in range(3):  # while the third waits
            living.lane.hear()
            await living.goes_on(1)
        living.echo.makes.set()
        await living.until("SELECT count(*) FROM batch_line WHERE state = 'succeeded'")
        (await third).release()
        await living.ended(batch)
        await check(living, batch)
        outcomes = living.rows("SELECT DISTINCT outcome FROM usage_record")
        assert outcomes == [("completed",)], "none gave its place away"


async def test_who_has_sent_many_batches_does_not_make_others_wait(
    database: Database, tmp_path: Path
) -> None:
    fund(database)
    async with life(database, tmp_path, "inst_a") as living:
        living.echo.makes.clear()
        many = [await living.new(SAYS) for _ in range(5)]
        await living.until(RUNNING, 3)
        one = await living.new(SAYS, replace(CALLER, project_id="proj_2"))
        begins = f"SELECT count(*) FROM batch WHERE id = '{one.id}' AND state = 'in_progress'"
        await living.until(begins)
        living.lane.hear()
        await living.goes_on(1)
        living.echo.makes.set()
        for batch in (*many, one):
            await living.ended(batch)
        begun = living.rows("SELECT batch_id FROM batch_line ORDER BY request_id")
        first = begun.index((one.id,))
        assert first <= 4, "of 24 lines: after those under way, and with the next"
        mine = [at for at, row in enumerate(begun) if row == (one.id,)]
        assert mine[-1] < 14, "and then in turns"


async def test_cancelled_while_its_file_is_read(database: Database, tmp_path: Path) -> None:
    async with life(database, tmp_path, "inst_a", dies_at=1) as dead:
        batch = await dead.new(SAYS)
        await dead.ended(batch)
        await dead.batches.cancel(CALLER, "openai", batch.id)
    async with life(database, tmp_path, "inst_b") as living:
        await living.ended(batch)
        assert living.found(batch).state == "cancelled"
        assert living.rows("SELECT count(*) FROM usage_record") == [(0,)]
