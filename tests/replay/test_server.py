"""A request that is sent twice runs once and costs once, over HTTP and on both databases."""

import asyncio
import gzip
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from portico import errors
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.engines.base import Relay, UpstreamFailed
from portico.kit.clock import SystemClock
from portico.ledger import owners
from portico.ledger.model import Settlement
from portico.metering import sweeper
from portico.metering.service import OpenRecord
from portico.metering.store import UsageLane
from portico.observe.metrics import Metrics
from portico.replay import service
from portico.replay.claim import Claim
from portico.replay.model import Ended
from portico.replay.shelf import Shelf
from tests.db.storage import locked
from tests.door.scene import PATIENT_S, request
from tests.metering.requests import CALLER, PROMPT, Arrival, Permit
from tests.replay.shop import (
    COST,
    KEEPING,
    PATH,
    WHOLE,
    WINDOWS,
    Shop,
    asking,
    fund,
    opened,
    says,
)
from tests.replay.world import wish

pytestmark = pytest.mark.anyio


@pytest.fixture
def funded(database: Database) -> Database:
    fund(database)
    return database


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_given_again_byte_for_byte_and_costs_nothing(
    funded: Database, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(funded, says(b"hello ", b"there")) as (shop, street):
        given_back: list[Claim] = []
        monkeypatch.setattr(shop.claims, "release", given_back.append)
        first = await street.ask(stream=stream, warnings=["dropped x"])
        again = await street.ask(stream=stream, warnings=["dropped x"])
        said = b"hello there."
        comment = b": portico-cost-nano-usd %d\n\n." % COST
        assert first.body == (said[:-1] + comment if stream else said)
        assert (again.status, again.body) == (200, first.body)
        for header in ("content-type", "portico-warnings", "cache-control", "transfer-encoding"):
            assert again.headers.get(header) == first.headers.get(header)
        assert first.headers["portico-warnings"] == "dropped x"
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["portico-cost-nano-usd"] == "0"
        assert again.headers["original-request"] == first.headers["x-request-id"]
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        assert "idempotent-replayed" not in first.headers
        assert given_back == [], "its record ends it"
        assert len(shop.engine.asked) == 1
        shop.check(charged=1, records=1)


async def test_who_pays_nothing_is_not_run_twice_either(funded: Database) -> None:
    async with opened(funded, says(b"hello"), offer=None) as (shop, street):
        bodies = {(await street.ask(stream=True)).body for _ in range(3)}
        assert bodies == {b"hello."}
        assert len(shop.engine.asked) == 1
        shop.check(charged=0, records=1)


async def test_without_a_key_nothing_is_kept(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        for _ in range(2):
            assert (await street.ask("")).status == 200
        assert len(shop.engine.asked) == 2
        assert shop.keys() == []
        shop.check(charged=2, records=2)


async def test_another_request_does_not_get_the_answer(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        first = await street.ask(about="a")
        other = await street.ask(about="b")
        assert (other.status, other.code) == (409, "idempotency_key_reused")
        assert first.headers["x-request-id"] in other.json["error"]["message"]
        elsewhere = await street.scene.ask(
            asking(about="a").replace(PATH.encode(), PATH.encode() + b"?x=1", 1)
        )
        assert elsewhere.body == first.body, "a query is no part of a request that has none"
        assert len(shop.engine.asked) == 1
        shop.check(charged=1, records=1)


async def test_a_key_is_its_projects_own(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        await street.ask(about="a")
        other = await street.ask(about="b", credential="pk_b")
        assert other.status == 200
        assert "idempotent-replayed" not in other.headers
        assert len(shop.engine.asked) == 2
        shop.check(charged=2, records=2)


async def test_how_a_body_is_packed_does_not_matter(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        await street.ask(about="a", pad="x" * 1_100_000)
        body = gzip.compress(
            json.dumps({"model": "m", "about": "a", "pad": "x" * 1_100_000}).encode()
        )
        packed = request(
            PATH,
            body,
            "Authorization: Bearer pk_a",
            "Idempotency-Key: k1",
            "Content-Encoding: gzip",
        )
        again = await street.scene.ask(packed)
        assert again.headers["idempotent-replayed"] == "true"
        assert len(shop.engine.asked) == 1


class Patient:
    """An engine that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, prompt: Prompt, relay: Relay) -> None:
        self.asked.set()
        await self.go.wait()
        await says(b"hello")(prompt, relay)


async def test_of_two_at_once_one_runs_and_the_other_is_told_to_wait(funded: Database) -> None:
    engine = Patient()
    async with opened(funded, engine) as (shop, street):
        first = await street.begin()
        await engine.asked.wait()
        second = await street.ask()
        assert (second.status, second.code) == (409, "idempotency_key_in_use")
        other = await street.ask(about="b")
        assert other.code == "idempotency_key_reused", "which no waiting cures"
        engine.go.set()
        answer = await first.answer()
        assert answer.status == 200
        assert (await street.ask()).body == answer.body
        assert len(shop.engine.asked) == 1
        shop.check(charged=1, records=1)


async def test_of_many_at_once_one_runs(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        answers = await asyncio.gather(*[street.ask(stream=n % 2 == 0) for n in range(2, 42, 2)])
        assert {answer.status for answer in answers} <= {200, 409}
        ran = [a for a in answers if a.status == 200 and "idempotent-replayed" not in a.headers]
        assert len(ran) == len(shop.engine.asked) == 1
        assert {a.body for a in answers if a.status == 200} == {ran[0].body}
        shop.check(charged=1, records=1)


def fails_first(fault: Exception, *, after: int = 0) -> Any:
    """An engine that breaks off the first time, after so many deltas."""
    failed: list[Exception] = []

    async def script(prompt: Prompt, relay: Relay) -> None:
        if not failed:
            failed.append(fault)
            for _ in range(after):
                await relay(Delta(raw=b"half ", output_tokens=1))
            raise fault
        await says(b"hello")(prompt, relay)

    return script


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize(
    "fault",
    [
        UpstreamFailed(errors.UPSTREAM_FAILED("Gone.")),
        errors.UPSTREAM_REFUSED("No."),
        ValueError("a bug"),
    ],
)
async def test_what_failed_is_not_kept_and_runs_again(
    funded: Database, fault: Exception, after: int
) -> None:
    async with opened(funded, fails_first(fault, after=after)) as (shop, street):
        first = await street.ask(stream=True)
        assert first.status != 200 or b"!" in first.body
        assert shop.keys() == []
        shop.check(charged=0, records=1)
        again = await street.ask(stream=True)
        assert again.body.startswith(b"hello")
        assert "idempotent-replayed" not in again.headers
        assert (await street.ask(stream=True)).body == again.body
        assert len(shop.engine.asked) == 2
        shop.check(charged=1, records=2)


async def test_what_was_refused_before_it_ran_is_not_kept(database: Database) -> None:
    """A retry that comes at once finds the key free, though nobody waited for that."""
    fund(database, 500)
    async with opened(database, says(b"never")) as (shop, street):
        for _ in range(3):
            assert (await street.ask()).code == "credit_balance_exhausted"
            assert (await street.ask("k2", model="none")).code == "model_not_found"
        await _until(lambda: shop.keys() == [])
        assert shop.engine.asked == []


async def test_an_answer_that_ended_where_the_money_did_is_whole_as_far_as_it_goes(
    database: Database,
) -> None:
    fund(database, 120)
    async with opened(database, says(*[b"x"] * 40), offer=WINDOWS) as (shop, street):
        first = await street.ask(stream=True)
        assert shop.rows("SELECT outcome FROM usage_record") == [("out_of_funds",)]
        again = await street.ask(stream=True)
        assert again.body == first.body
        assert again.headers["idempotent-replayed"] == "true"
        assert len(shop.engine.asked) == 1
        assert shop.number("SELECT count(*) FROM charge") == 1


async def test_a_hang_up_frees_the_key(funded: Database) -> None:
    engine = Patient()
    async with opened(funded, engine) as (shop, street):
        wire = await street.begin(stream=True)
        await engine.asked.wait()
        wire.hang_up()
        await street.scene.quiet()
        assert shop.rows("SELECT outcome FROM usage_record") == [("client_gone",)]
        assert shop.keys() == []
        engine.go.set()
        assert (await street.ask(stream=True)).body.startswith(b"hello")


async def test_whoever_hangs_up_in_line_frees_the_key(funded: Database) -> None:
    engine = Patient()
    async with opened(funded, engine, places=1) as (shop, street):
        running = await street.begin("")
        await engine.asked.wait()
        waiting = await street.begin("k1")
        await _until(lambda: shop.keys() == [("k1", "open")])
        waiting.hang_up()
        await _until(lambda: shop.keys() == [])
        engine.go.set()
        assert (await running.answer()).status == 200
        shop.check(charged=1, records=1)


async def _until(check: Any) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not check():  # noqa: ASYNC110  # the database has no event of its own
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_too_large_is_charged_once_and_not_run_again(
    funded: Database, stream: bool
) -> None:
    async with opened(funded, says(b"x" * 60, b"y" * 60, b"z")) as (shop, street):
        first = await street.ask(stream=stream)
        assert first.body.startswith(b"x" * 60 + b"y" * 60)
        for _ in range(2):
            again = await street.ask(stream=stream)
            assert (again.status, again.code) == (409, "idempotent_answer_not_kept")
            assert first.headers["x-request-id"] in again.json["error"]["message"]
        assert len(shop.engine.asked) == 1
        shop.check(charged=1, records=1)


def figure(shop: Shop, name: str, **labels: str) -> float:
    """0 for what never happened."""
    return shop.metrics.registry.get_sample_value(f"portico_{name}_total", labels) or 0


async def test_a_project_stores_so_much_and_not_more(funded: Database) -> None:
    keeping = replace(KEEPING, bytes_per_project_max=400)
    script = says(b"x" * 50, b"y")
    async with opened(funded, script, keeping=keeping) as (shop, street):
        firsts = [await street.ask(f"k{number}") for number in range(8)]
        assert {each.status for each in firsts} == {200}
        agains = [await street.ask(f"k{number}") for number in range(8)]
        kept = [each.status == 200 for each in agains]
        stored = "SELECT sum(length(answer) + length(head)) FROM idempotency_key"
        assert 300 < shop.number(stored) <= 400
        assert kept == sorted(kept, reverse=True), "the first ones, until it was full"
        assert 0 < sum(kept) < 8
        for first, again in zip(firsts, agains, strict=True):
            same = (again.status, again.body) == (200, first.body)
            assert same or (again.status, again.code) == (409, "idempotent_answer_not_kept")
        assert len(shop.engine.asked) == 8, "nothing is run again"
        shop.check(charged=8, records=8)
        other = [await street.ask("k0", credential="pk_b") for _ in range(2)]
        assert [each.status for each in other] == [200, 200], "another project has its own room"
        lost = 8 - sum(kept)
        assert figure(shop, "idempotent_answers_not_stored", reason="no_room") == lost
        told = {"ran": 9, "replayed": sum(kept) + 1, "idempotent_answer_not_kept": lost}
        for outcome, times in told.items():
            assert figure(shop, "idempotent_requests", outcome=outcome) == times


async def test_what_was_stored_before_a_restart_counts(funded: Database) -> None:
    keeping = replace(KEEPING, bytes_per_project_max=400)
    script = says(b"x" * 50, b"y")
    async with opened(funded, script, keeping=keeping) as (shop, street):
        while figure(shop, "idempotent_answers_not_stored", reason="no_room") == 0:
            number = len(shop.engine.asked)
            await street.ask(f"k{number}")
        stored = "SELECT sum(length(answer) + length(head)) FROM idempotency_key"
        full = shop.number(stored)
    async with opened(funded, script, keeping=keeping) as (shop, street):
        await street.ask("one more")
        assert shop.number(stored) == full
        shop.clock.pass_s(61.0)  # longer than an answer is kept, and than between two looks
        await shop.writer.run(lambda c: service.purge(Transaction(c), shop.clock.wall_ms()))
        first = await street.ask("then")
        assert (await street.ask("then")).body == first.body, "there is room again"


async def test_conflicts_are_counted_by_their_code(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        await street.ask(about="a")
        assert (await street.ask(about="b")).code == "idempotency_key_reused"
        assert figure(shop, "idempotent_requests", outcome="idempotency_key_reused") == 1
        assert figure(shop, "idempotent_requests", outcome="ran") == 1


async def test_a_key_is_forgotten_when_its_time_is_over(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        await street.ask()
        shop.clock.pass_s(59)
        assert (await street.ask()).headers["idempotent-replayed"] == "true"
        shop.clock.pass_s(2)
        assert "idempotent-replayed" not in (await street.ask()).headers
        shop.check(charged=2, records=2)


@pytest.mark.parametrize("key", [" ", "k" * 256, "two words", "caf\xe9", "a\x01b"])
async def test_a_key_that_is_none_is_refused(funded: Database, key: str) -> None:
    async with opened(funded, says(b"never")) as (shop, street):
        answer = await street.ask(key)
        assert answer.status == 400
        assert answer.code in ("invalid_idempotency_key", "bad_request")
        assert shop.engine.asked == []
        shop.check(charged=0, records=0)


async def test_one_request_has_one_key(funded: Database) -> None:
    async with opened(funded, says(b"never")) as (_, street):
        assert (await street.ask("a", "Idempotency-Key: b")).code == "invalid_idempotency_key"
        assert (await street.ask("k" * 255)).status == 200


async def test_an_answer_that_only_the_spool_could_take_is_charged_and_not_kept(
    funded: Database,
) -> None:
    """Its bytes are not spooled: that space is for what was used."""
    engine = Patient()
    async with opened(funded, engine) as (shop, street):
        wire = await street.begin(stream=True)
        await engine.asked.wait()
        await _until(lambda: shop.number("SELECT count(*) FROM usage_record") == 1)
        with locked(funded):
            engine.go.set()
            assert (await wire.answer()).status == 200
            assert shop.health.closed
        await shop.health.until(closed=False)
        shop.check(charged=1, records=1)
        again = await street.ask(stream=True)
        assert (again.status, again.code) == (409, "idempotent_answer_not_kept")
        shop.check(charged=1, records=1)


async def test_what_a_dead_server_left_in_its_spool_was_charged_and_does_not_run_again(
    funded: Database,
) -> None:
    """The next one reads the spool before it sweeps: else it would free a key that was charged."""
    engine = Patient()
    async with opened(funded, engine, "inst_dead") as (dead, its_street):
        wire = await its_street.begin(stream=True)
        await engine.asked.wait()
        await _until(lambda: dead.number("SELECT count(*) FROM usage_record") == 1)
        with locked(funded):
            engine.go.set()
            assert (await wire.answer()).status == 200
            await dead.close()
        async with opened(funded, says(b"never"), "inst_2") as (shop, street):
            assert shop.keys() == [("k1", "done")]
            again = await street.ask(stream=True)
            assert (again.status, again.code) == (409, "idempotent_answer_not_kept")
            assert shop.engine.asked == []
            shop.check(charged=1, records=1)


async def test_a_key_that_was_given_back_while_the_database_was_away_is_free(
    funded: Database,
) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        claim = await shop.claims.take("req_1", "proj_a", b"k1", b"POST /", b"")
        with locked(funded):
            shop.claims.release(claim)
            await shop.health.until(closed=True)
        await shop.health.until(closed=False)
        assert shop.keys() == []
        assert (await street.ask()).status == 200


async def test_a_claim_that_nobody_waits_for_any_more_is_given_back(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        taking = asyncio.get_running_loop().create_task(
            shop.claims.take("req_1", "proj_a", b"k1", b"POST /", b"")
        )
        await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert (await street.ask()).status == 200


async def test_no_key_is_taken_while_the_database_is_away(funded: Database) -> None:
    async with opened(funded, says(b"hello")) as (shop, street):
        with locked(funded):
            assert (await street.ask()).code == "storage_unavailable"
        await shop.health.until(closed=False)
        assert (await street.ask()).status == 200
        shop.check(charged=1, records=1)


async def test_what_a_dead_server_left_open_runs_again_and_is_charged_once(
    funded: Database,
) -> None:
    """The half that the dead one generated is not charged: its retry is."""
    generated, wakes_up = asyncio.Event(), asyncio.Event()

    async def half(prompt: Prompt, relay: Relay) -> None:
        await relay(Delta(raw=b"half ", output_tokens=3))
        generated.set()
        await wakes_up.wait()
        await says(b"and more")(prompt, relay)

    async with opened(funded, half, "inst_dead") as (dead, its_street):
        wire = await its_street.begin(stream=True)
        await generated.wait()
        dead.metering.checkpoint(float("inf"))
        await _until(lambda: dead.number("SELECT max(output_text) FROM usage_record") == 3)
        async with opened(funded, says(b"hello"), "inst_2") as (shop, street):
            assert shop.keys() == []
            assert shop.rows("SELECT state FROM hold") == [("void",)]
            answer = await street.ask(stream=True)
            assert answer.body.startswith(b"hello")
            shop.check(charged=1, records=2)
            # It was not dead, only slow: what it ends now, ends nothing.
            wakes_up.set()
            assert b"and more" in (await wire.answer()).body
            shop.check(charged=1, records=2)
            assert (await street.ask(stream=True)).body == answer.body


async def test_a_claim_without_money_is_free_again_after_a_crash(funded: Database) -> None:
    engine = Patient()
    async with opened(funded, engine, "inst_dead", offer=None) as (_, its_street):
        await its_street.begin(stream=True)
        await engine.asked.wait()
        async with opened(funded, says(b"hello"), "inst_2", offer=None) as (shop, street):
            assert shop.keys() == []
            assert (await street.ask(stream=True)).body == b"hello."


async def test_more_holds_than_are_swept_at_once_do_not_free_keys_early(
    funded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key whose hold is still open belongs to the dead request, or both would be charged."""
    monkeypatch.setattr(sweeper, "_MOST", 1)
    engine = Patient()
    async with opened(funded, engine, "inst_dead") as (dead, its_street):
        for key in ("k1", "k2", "k3"):
            await its_street.begin(key, stream=True)
        await _until(lambda: len(dead.engine.asked) == 3)
        funded.write(lambda c: owners.forget(Transaction(c), "inst_dead"))
        for left in (2, 1, 0):
            funded.write(lambda c: sweeper.sweep(Transaction(c), dead.clock.wall_ms()))
            assert len(dead.keys()) == left
            assert dead.number("SELECT count(*) FROM hold WHERE state = 'open'") == left
        assert dead.number("SELECT count(*) FROM charge") == 0


async def test_what_is_over_is_purged_on_the_sweepers_timer(
    funded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "BEAT_S", 0.01)
    monkeypatch.setattr(sweeper, "_EVERY_S", 0.01)
    async with opened(funded, says(b"hello")) as (shop, street):
        await street.ask()
        shop.clock.pass_s(61)
        running = asyncio.get_running_loop().create_task(shop.sweeper.run())
        await _until(lambda: shop.keys() == [])
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def test_the_money_and_the_key_end_in_one_step() -> None:
    """The writer's thread may look at a record at any moment: it must never see one of the two."""
    seen: list[object] = []

    class Watching(Claim):
        def end(self, outcome: str) -> Ended:
            seen.append(record.closing)
            return super().end(outcome)

    claim = Watching(wish("req_1"), Shelf(9, 0), Metrics(), bytes_max=9, keep_ms=1)
    purse: Any = SimpleNamespace(offer=WHOLE, resolved=False)
    arrival = Arrival("req_1", 0.0, claim)
    record = OpenRecord(arrival, CALLER, PROMPT, Permit(0, purse), SystemClock())
    record.end("completed", 1.0)
    assert seen == [None]
    assert record.closing is not None
    assert record.closing.settlement is not None
    assert record.closing.claim == Ended("req_1", 1)


def test_what_the_version_before_left_in_the_spool_is_still_settled(funded: Database) -> None:
    """Then a row was followed by its settlement alone."""
    lane = UsageLane(SystemClock())
    arrival = Arrival("req_1", 0.0)
    record = OpenRecord(arrival, CALLER, PROMPT, Permit(), SystemClock())
    record.end("completed", 1.0)
    settlement = msgspec.json.encode(Settlement("req_1", "void", None)).decode()

    def restore(connection: Connection) -> None:
        transaction = Transaction(connection)
        lane.restore(transaction, [(*record.row(), settlement)])
        lane.restore(transaction, [(*record.row(), "")])

    hold = "INSERT INTO hold VALUES ('req_1', 'org_1', 'open', 5, '[]', '{}', 'i', 1, 1, NULL)"
    funded.write(lambda c: c.exec_driver_sql(hold))
    funded.write(restore)
    states = funded.read(lambda c: c.exec_driver_sql("SELECT state FROM hold").scalar())
    assert states == "void"
