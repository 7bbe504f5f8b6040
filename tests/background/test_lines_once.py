"""Law: each line is answered once and paid for once, wherever a server is killed on the way."""

from pathlib import Path

import pytest

from portico.db.database import Database
from portico.resources.batches.model import Batch
from tests.background.lives import Life, fund, life
from tests.metering.test_charges import COST

pytestmark = pytest.mark.anyio
SAYS = ["a", "b", "c", "d"]


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
