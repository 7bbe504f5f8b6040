"""What the database itself refuses, whoever asks.  Every function is a law; see `test_laws`."""

import sqlite3
from typing import Any

import psycopg
import pytest

from tests.ledger.world import World

_REFUSALS = (sqlite3.IntegrityError, psycopg.IntegrityError, psycopg.errors.RaiseException)


def _refused(world: World, sql: str, *values: Any) -> None:
    before = world.state()
    with pytest.raises(_REFUSALS), world.step() as transaction:
        transaction.run(sql, values)
    assert world.state() == before


def accounts_stay_above_their_floor(world: World) -> None:
    world.fund("prepaid:a", 10)
    world.hold(world.wish("r", 4))
    for change in ("posted_nano = 3", "held_nano = 11", "floor_nano = 7", "held_nano = -1"):
        _refused(world, f"UPDATE account SET {change} WHERE id = 'prepaid:a'")


def _hold(**other: Any) -> list[Any]:
    row = {
        "id": "r",
        "owner": "a",
        "state": "open",
        "amount": 1,
        "parts": "[]",
        "quote": "{}",
        "by": "i",
        "opened": 1,
        "ttl": 1,
        "resolved": None,
    }
    return list((row | other).values())


def holds_are_of_something_and_in_a_known_state(world: World) -> None:
    sql = f"INSERT INTO hold VALUES ({', '.join('?' * 10)})"
    for row in (_hold(state="maybe"), _hold(amount=0), _hold(ttl=0)):
        _refused(world, sql, *row)
    world.fund("prepaid:a", 10)
    world.hold(world.wish("r", 4))
    _refused(world, sql, *_hold())


def entries_belong_to_a_transaction_and_an_account(world: World) -> None:
    world.fund("prepaid:a", 10)
    txn = "fund:prepaid:a"
    for row in ((txn, "revenue", 0), ("never", "revenue", 1), (txn, "nobody", 1), (txn, txn, 1)):
        _refused(world, "INSERT INTO entry VALUES (?, ?, ?)", *row)
    _refused(world, "INSERT INTO entry VALUES (?, 'prepaid:a', 5)", txn)
    _refused(world, "INSERT INTO txn VALUES (?, 'adjust', 'a', '', 1)", txn)


def charges_are_not_negative_and_have_their_place_in_the_chain(world: World) -> None:
    world.fund("prepaid:a", 10)
    world.hold(world.wish("r", 4))
    world.settle(world.end("r", 3))
    columns = [
        "organisation_id", "project_id", "key_id", "sequence", "model", "tier", "outcome",
        "lines", "terms_id", "list_nano", "net_nano", "absorbed_nano", "charged_at_ms",
        "previous_hash", "hash",
    ]  # fmt: skip
    again = ", ".join(columns)
    for wrong in ("list_nano", "net_nano", "absorbed_nano"):
        row = again.replace("sequence", "sequence + 1").replace(wrong, "-1")
        _refused(world, f"INSERT INTO charge (id, {again}) SELECT 's', {row} FROM charge")
    _refused(world, f"INSERT INTO charge (id, {again}) SELECT 's', {again} FROM charge")
    later = again.replace("sequence", "sequence + 1")
    _refused(world, f"INSERT INTO charge (id, {again}) SELECT 'r', {later} FROM charge")
    _refused(world, "INSERT INTO chain SELECT * FROM chain")


def the_past_is_not_changed(world: World) -> None:
    world.fund("prepaid:a", 10)
    world.hold(world.wish("r", 4))
    world.settle(world.end("r", 3))
    for change in ("txn SET reason = 'x'", "entry SET amount_nano = 9", "charge SET model = 'x'"):
        _refused(world, f"UPDATE {change}")
    for table in ("entry", "charge"):
        _refused(world, f"DELETE FROM {table}")
    # One without entries: for the others the foreign key would say no.
    world.transaction.run("INSERT INTO txn VALUES ('empty', 'adjust', 'a', '', 1)")
    _refused(world, "DELETE FROM txn WHERE id = 'empty'")
