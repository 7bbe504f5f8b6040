"""Ends are told once each, whoever tells them and whoever dies while he does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai.types.webhooks import UnwrapWebhookEvent
from pydantic import TypeAdapter
from sqlalchemy import Connection, event, update

from portico.background.announcing import Announcing, _waits
from portico.callers.model import Caller
from portico.db.database import Database
from portico.db.readers import Readers
from portico.db.tables import batch
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.webhooks import outbox
from portico.webhooks import store as endpoints
from portico.webhooks.model import Endpoint
from portico.webhooks.rules import KINDS
from tests.background.warehouse import Store, store
from tests.db.storage import QUICK, Health
from tests.resources.attic import MINE, NEIGHBOUR, STRANGER, number

pytestmark = pytest.mark.anyio
_QUERY = (
    "SELECT kind, subject, target, delivery.state FROM alert "
    "JOIN delivery ON delivery.alert_id = alert.id ORDER BY subject, target"
)


def listens(database: Database, name: str, of: Caller, **more: object) -> None:
    made = Endpoint(name, of.organisation_id, None, "https://a.example/", None, 1)
    chosen = Endpoint(**{**{f: getattr(made, f) for f in made.__dataclass_fields__}, **more})
    database.write(lambda connection: endpoints.add(connection, chosen, b"sealed"))


def ended(kept: Store, at: int, state: str = "completed", of: Caller = MINE) -> None:
    """In the background."""
    response_id = kept.attic.keep(f"resp_{number(at)}", state=state, by=of)
    change = "UPDATE response SET background = 1 WHERE id = '" + response_id + "'"
    kept.attic.database.write(lambda connection: connection.exec_driver_sql(change))


def told(database: Database) -> list[tuple[str, str, str]]:
    """(kind, subject, endpoint) of each delivery."""
    return database.read(lambda c: [(r[0], r[1], r[2]) for r in c.exec_driver_sql(_QUERY)])


@asynccontextmanager
async def another(kept: Store) -> AsyncIterator[Announcing]:
    """A second server on the same database."""
    database, clock = kept.attic.database, kept.attic.clock
    writer, readers = Writer(database, clock, Health(), QUICK), Readers(database)
    writer.start()
    try:
        yield Announcing(readers, writer, clock)
    finally:
        readers.close()
        await writer.close()


def announcing(kept: Store) -> Announcing:
    return Announcing(kept.attic.readers, kept.attic.writer, kept.attic.clock)


async def until_done(one: Announcing) -> None:
    """As its `run` does: where the turn to write does not come, there is another round."""
    while True:
        with suppress(Refusal):
            if not await one.once():
                return


async def test_who_asked_is_told_what_he_asked_for(database: Database, tmp_path: Path) -> None:
    async with store(database, tmp_path) as kept:
        listens(database, "whk_all", MINE)
        listens(database, "whk_failed", MINE, kinds=("response.failed",))
        listens(database, "whk_other", MINE, project_id=NEIGHBOUR.project_id)
        listens(database, "whk_theirs", STRANGER)
        listens(database, "whk_off", MINE, disabled_at_ms=1)
        ended(kept, 1)
        ended(kept, 2, "failed")
        ended(kept, 3, of=NEIGHBOUR)
        ended(kept, 4, of=STRANGER)
        assert await announcing(kept).once() == 4
        first, second, third, fourth = (f"response:resp_{number(at)}" for at in (1, 2, 3, 4))
        assert told(database) == [
            ("response.completed", first, "whk_all"),
            ("response.failed", second, "whk_all"),
            ("response.failed", second, "whk_failed"),
            ("response.completed", third, "whk_all"),
            ("response.completed", third, "whk_other"),
            ("response.completed", fourth, "whk_theirs"),
        ]


async def test_of_what_nobody_asked_about_nothing_is_written(
    database: Database, tmp_path: Path
) -> None:
    async with store(database, tmp_path) as kept:
        ended(kept, 1)
        assert await announcing(kept).once() == 1
        assert await announcing(kept).once() == 0
        assert kept.attic.count("alert") == 0


async def test_a_response_somebody_waited_for_is_not_told(
    database: Database, tmp_path: Path
) -> None:
    async with store(database, tmp_path) as kept:
        listens(database, "whk_all", MINE)
        await kept.fill()
        assert await announcing(kept).once() == 1, "the batch"
        assert [each[0] for each in told(database)] == ["batch.completed"]


async def test_whoever_dies_in_the_middle_leaves_all_of_it_to_the_next(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store(database, tmp_path) as kept:
        listens(database, "whk_all", MINE)
        for at in range(1, 6):
            ended(kept, at)
        put, calls = outbox.put_if_wanted, 0

        def dies(*words: object) -> bool:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise RuntimeError("killed")
            return put(*words)  # type: ignore[arg-type]

        with monkeypatch.context() as patched:
            patched.setattr(outbox, "put_if_wanted", dies)
            with pytest.raises(RuntimeError, match="killed"):
                await announcing(kept).once()
        assert told(database) == [], "nothing of it is half done"
        assert await announcing(kept).once() == 5
        assert await announcing(kept).once() == 0
        subjects = [each[1] for each in told(database)]
        assert len(subjects) == len(set(subjects)) == 5


async def test_two_servers_tell_it_once(database: Database, tmp_path: Path) -> None:
    async with store(database, tmp_path) as kept, another(kept) as second:
        listens(database, "whk_all", MINE)
        for at in range(1, 121):
            ended(kept, at)
        await asyncio.gather(until_done(announcing(kept)), until_done(second))
        assert len({each[1] for each in told(database)}) == len(told(database)) == 120


async def test_looking_costs_an_index(database: Database, tmp_path: Path) -> None:
    """It is done every second, beside everything else."""
    if database.dialect != "sqlite":
        return
    async with store(database, tmp_path) as kept:
        plans: list[str] = []

        def explain(connection: Connection) -> None:
            seen: list[tuple[str, Any]] = []

            def note(_: Any, __: Any, sql: str, values: Any, *___: Any) -> None:
                seen.append((sql, values))

            event.listen(connection, "before_cursor_execute", note)
            _waits(connection)
            event.remove(connection, "before_cursor_execute", note)
            for sql, values in seen:
                found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()
                plans.append(str(found[0][3]))

        database.read(explain)
        assert len(plans) == 2
        for plan, name in zip(plans, ("response", "batch"), strict=True):
            assert f"INDEX {name}_unannounced" in plan, plan
        assert kept


async def test_every_end_is_one_of_the_sdk_s_events(database: Database, tmp_path: Path) -> None:
    """Strictly: its `unwrap` takes anything that is signed."""
    states = {
        "response": ("completed", "incomplete", "failed", "cancelled"),
        "batch": ("completed", "failed", "expired", "cancelled"),
    }
    async with store(database, tmp_path) as kept:
        listens(database, "whk_all", MINE)
        for at, state in enumerate(states["response"], 1):
            ended(kept, at, state)
        for at, state in enumerate(states["batch"], 11):
            await kept.fill(at=at)
            change = update(batch).where(batch.c.id == f"batch_{number(at)}")
            change = change.values(state=state, announced_at_ms=None)
            database.write(partial(Connection.execute, statement=change))
        await until_done(announcing(kept))
        bodies = database.read(
            lambda c: [row[0] for row in c.exec_driver_sql("SELECT body FROM alert")]
        )
    sdk: TypeAdapter[Any] = TypeAdapter(UnwrapWebhookEvent)
    found = {told.type: told.data.id for told in map(sdk.validate_json, bodies)}
    assert set(found) == {f"{thing}.{state}" for thing, some in states.items() for state in some}
    assert found["batch.expired"] == f"batch_{number(13)}"
    assert {kind for kind in KINDS if kind.partition(".")[0] in states} == set(found)
