"""Connections break at the worst moment, servers restart, and several of us share one database."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, make_url

from portico.db.database import Database, open_database
from portico.db.readers import Readers
from portico.db.writer import Writer
from portico.errors import Refusal
from portico.kit.clock import SystemClock
from tests.db.cutting import Cut, CuttingProxy, cutting
from tests.db.databases import PostgresServer
from tests.db.lanes import PURSE, SPENT, NoMore, Seats, Spend
from tests.db.storage import QUICK, Health

pytestmark = pytest.mark.anyio

PATIENT = replace(QUICK, patience_s=30.0)
_KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


def _kill_all(postgres: PostgresServer, url: str) -> None:
    postgres.do(_KILL.format(make_url(url).database))


@contextmanager
def _cut_off(
    folder: Path, url: str, random_: random.Random, share: float
) -> Iterator[tuple[CuttingProxy, str]]:
    """The address of a proxy that cuts this share of all commits, half of them after the fact."""

    def choose() -> Cut:
        if random_.random() >= share:
            return "none"
        return "before" if random_.random() < 0.5 else "after"

    parsed = make_url(url)
    socket_path = f"{parsed.query['host']}/.s.PGSQL.5432"
    (folder / "s").mkdir()
    with (
        psycopg.connect(url, autocommit=True) as admin,
        cutting(
            folder / "s",
            socket_path,
            choose,
            lambda pid: admin.execute("SELECT pg_terminate_backend(%s)", (pid,)),
        ) as proxy,
    ):
        through = parsed.set(query={"host": str(folder / "s")})
        yield proxy, through.render_as_string(hide_password=False)


async def _spend_everything(database: Database, items: int) -> list[str]:
    writer = Writer(database, SystemClock(), Health(), PATIENT)
    lane = Spend()
    writer.add_lane(lane)
    writer.start()

    async def one(number: int) -> str:
        ack = writer.ack()
        writer.put(lane, f"txn_{number}", ack)
        answer: str = await ack
        return answer

    answers: list[str] = []
    for first in range(0, items, 3):  # many commits, some of them shared
        answers += await asyncio.gather(*[one(n) for n in range(first, min(first + 3, items))])
    await writer.close()
    return answers


async def _law_of_the_cut_commit(folder: Path, url: str, items: int, seed: int) -> None:
    open_database(folder, url).write(lambda c: c.exec_driver_sql(PURSE))
    with _cut_off(folder, url, random.Random(seed), 0.5) as (proxy, through):
        answers = await _spend_everything(open_database(folder, through), items)
    assert answers == [f"spent txn_{number}" for number in range(items)]
    found = open_database(folder, url).read(lambda c: c.exec_driver_sql(SPENT).one())
    assert tuple(found) == (items, items)
    assert min(proxy.cuts.values()) > items // 30


async def test_a_commit_whose_answer_is_lost_is_done_exactly_once(
    tmp_path: Path, postgres_url: str
) -> None:
    await _law_of_the_cut_commit(tmp_path, postgres_url, 150, seed=1)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
async def test_a_thousand_commits_are_cut(tmp_path: Path, postgres_url: str, seed: int) -> None:
    await _law_of_the_cut_commit(tmp_path, postgres_url, 1_500, seed)


async def test_of_a_change_whose_commit_was_cut_nothing_is_claimed(
    tmp_path: Path, postgres_url: str
) -> None:
    with _cut_off(tmp_path, postgres_url, random.Random(1), 0.0) as (proxy, through):
        writer = Writer(open_database(tmp_path, through), SystemClock(), Health(), PATIENT)
        writer.start()
        await writer.run(lambda connection: None)
        proxy._choose = lambda: "after" if proxy.cuts["after"] == 0 else "none"
        made: list[int] = []

        def change(connection: Connection) -> None:
            made.append(1)
            connection.exec_driver_sql(
                "INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_1', 'Us', 0)"
            )

        with pytest.raises(Refusal, match="not known"):
            await writer.run(change)
        await writer.run(lambda connection: None)
        await writer.close()
    assert made == [1]


async def test_a_restarted_server_is_found_again_before_anybody_notices(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    health = Health()
    database = open_database(tmp_path, postgres_url)
    writer = Writer(database, SystemClock(), health, PATIENT)
    readers = Readers(database, threads=1)
    writer.start()
    for number in range(10):
        insert = (
            f"INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_{number}', 'Us', 0)"
        )
        await writer.run(lambda c, sql=insert: c.exec_driver_sql(sql))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        found = await readers.run(
            lambda c: c.exec_driver_sql("SELECT count(*) FROM organisation").scalar()
        )
        assert found == number + 1
        _kill_all(postgres, postgres_url)
    await writer.close()
    readers.close()
    assert health.refusals == []


async def test_a_reader_cannot_write(tmp_path: Path, postgres_url: str) -> None:
    readers = Readers(open_database(tmp_path, postgres_url))
    with pytest.raises(Exception, match="read-only"):
        await readers.run(
            lambda c: c.exec_driver_sql(
                "INSERT INTO organisation (id, name, created_at_ms) VALUES ('org_1', 'Us', 0)"
            )
        )
    readers.close()


async def test_a_database_that_cannot_be_reached_closes_admission_and_comes_back(
    tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    name = make_url(postgres_url).database
    health = Health()
    database = open_database(tmp_path, postgres_url)
    database.write(lambda c: c.exec_driver_sql(PURSE))
    writer = Writer(database, SystemClock(), health, QUICK)
    lane = Spend()
    writer.add_lane(lane)
    writer.start()
    await writer.run(lambda connection: None)
    postgres.do(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        _kill_all(postgres, postgres_url)
        ack = writer.ack()
        writer.put(lane, "txn_1", ack)
        assert await ack is None  # the spool has it
        await health.until(closed=True)
        with pytest.raises(Refusal):
            await writer.run(lambda connection: None)
    finally:
        postgres.do(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await health.until(closed=False)
    await writer.close()
    assert tuple(database.read(lambda c: c.exec_driver_sql(SPENT).one())) == (1, 1)


async def test_servers_that_share_a_database_sell_no_seat_twice(
    tmp_path: Path, postgres_url: str
) -> None:
    seats = 40
    databases = [open_database(tmp_path, postgres_url) for _ in range(3)]
    lanes = [Seats(seats) for _ in databases]
    writers = [Writer(each, SystemClock(), Health(), PATIENT) for each in databases]
    for writer, lane in zip(writers, lanes, strict=True):
        writer.add_lane(lane)
        writer.start()

    async def ask(server: int, number: int) -> object:
        ack = writers[server].ack()
        writers[server].put(lanes[server], f"org_{server}_{number}", ack)
        try:
            return await ack
        except NoMore:
            return None

    answers = await asyncio.gather(*[ask(n % 3, n) for n in range(120)])
    for writer in writers:
        await writer.close()
    assert sorted(a for a in answers if isinstance(a, int)) == list(range(1, seats + 1))
