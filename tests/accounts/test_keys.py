"""Keys are issued once, shown once, and revoked for good."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from portico.accounts.actors.model import operator
from portico.accounts.keys.model import KeyChange, KeyWish
from portico.accounts.keys.service import change_key, create_key, list_keys, revoke_key
from portico.accounts.service import open_accounts
from portico.callers.pepper import FILE_NAME, PepperLost, add_pepper, read_peppers
from portico.callers.rules import digest, kind_of
from portico.callers.store import find
from portico.db.database import Database, open_database
from portico.errors import Refusal
from tests.db.storage import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(tmp_path)


def test_the_first_start_makes_one_key_and_later_ones_none(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    peppers, issued = open_accounts(database, tmp_path, clock)
    assert issued is not None
    assert kind_of(issued.secret) == "live"
    assert open_accounts(database, tmp_path, clock) == (peppers, None)
    (organisation,) = database.read(
        lambda c: c.exec_driver_sql("SELECT name FROM organisation").scalars().all()
    )
    assert organisation == "Default organisation"
    (terms,) = database.read(lambda c: c.exec_driver_sql("SELECT kind FROM terms").scalars().all())
    assert terms == "internal"  # the operator's own
    assert database.read(lambda c: list_keys(operator(c, clock))) == [issued.key]


def test_the_key_itself_is_stored_nowhere(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    peppers, issued = open_accounts(database, tmp_path, clock)
    assert issued is not None
    for path in tmp_path.iterdir():
        assert issued.secret.encode() not in path.read_bytes()
        assert issued.secret[12:-4].encode() not in path.read_bytes()
    assert issued.secret not in repr(issued)
    (stored,) = database.read(
        lambda c: c.exec_driver_sql("SELECT digest, pepper_id, prefix, last4 FROM api_key").all()
    )
    assert tuple(stored) == (
        digest(peppers[-1].secret, issued.secret),
        peppers[-1].id,
        issued.secret[:12],
        issued.secret[-4:],
    )


def test_a_key_says_how_losses_are_treated_or_leaves_it_to_its_project(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    peppers, _ = open_accounts(database, tmp_path, clock)
    wish = KeyWish("mine", compatibility="strict")
    made = database.write(lambda c: create_key(operator(c, clock), peppers, wish)).key
    assert made.compatibility == "strict"
    changed = database.write(
        lambda c: change_key(operator(c, clock), made.id, KeyChange(compatibility="project"))
    )
    assert changed == replace(made, compatibility=None)
    with pytest.raises(Refusal):
        database.write(
            lambda c: change_key(operator(c, clock), "key_none", KeyChange(compatibility="warn"))
        )


def test_a_lost_pepper_stops_the_start_and_is_not_replaced(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    open_accounts(database, tmp_path, clock)
    (tmp_path / FILE_NAME).unlink()
    with pytest.raises(PepperLost):
        open_accounts(database, tmp_path, clock)
    assert not (tmp_path / FILE_NAME).exists()


def test_of_two_that_start_at_once_the_slower_makes_no_pepper_of_its_own(
    database: Database, tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would know none of the keys there are, and refuse all of them."""
    faster = tmp_path / "faster"
    faster.mkdir()
    read = database.read

    def meanwhile(query: Callable[[Connection], Any]) -> Any:
        found = read(query)
        monkeypatch.undo()
        open_accounts(database, faster, clock)
        return found

    monkeypatch.setattr(database, "read", meanwhile)
    with pytest.raises(PepperLost):
        open_accounts(database, tmp_path, clock)
    assert not (tmp_path / FILE_NAME).exists()
    (faster / FILE_NAME).rename(tmp_path / FILE_NAME)
    assert open_accounts(database, tmp_path, clock)[1] is None


def test_a_key_is_what_was_wished_for(database: Database, tmp_path: Path, clock: HandClock) -> None:
    peppers, first = open_accounts(database, tmp_path, clock)
    assert first is not None
    clock.pass_s(1)
    wish = KeyWish("robot", mode="test", concurrency_max=2, expires_at_ms=clock.now_ms + 5)
    issued = database.write(lambda c: create_key(operator(c, clock), peppers, wish))
    assert issued.secret.startswith("pk_test_")
    key = asdict(issued.key)
    assert {name: key[name] for name in asdict(wish)} == asdict(wish)
    assert issued.key.project_id == first.key.project_id
    assert database.read(lambda c: list_keys(operator(c, clock))) == [first.key, issued.key]
    assert database.read(lambda c: list_keys(operator(c, clock), first.key.project_id)) == [
        first.key,
        issued.key,
    ]
    with pytest.raises(Refusal, match="proj_other"):
        database.read(lambda c: list_keys(operator(c, clock), "proj_other"))


def test_a_key_needs_a_project_that_exists(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    peppers, _ = open_accounts(database, tmp_path, clock)
    with pytest.raises(Refusal, match="proj_x"):
        database.write(lambda c: create_key(operator(c, clock), peppers, KeyWish("a"), "proj_x"))


def test_revoking_is_for_good_and_keeps_its_first_time(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    _, issued = open_accounts(database, tmp_path, clock)
    assert issued is not None
    revoked_at_ms = clock.now_ms
    for _ in range(2):
        key = database.write(lambda c: revoke_key(operator(c, clock), issued.key.id))
        assert key == replace(issued.key, revoked_at_ms=revoked_at_ms)
        clock.pass_s(60)


def test_an_unknown_key_cannot_be_revoked(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    open_accounts(database, tmp_path, clock)
    with pytest.raises(Refusal, match="key_x"):
        database.write(lambda c: revoke_key(operator(c, clock), "key_x"))


def test_a_new_pepper_is_for_new_keys_and_old_ones_are_still_found(
    database: Database, tmp_path: Path, clock: HandClock
) -> None:
    old, first = open_accounts(database, tmp_path, clock)
    assert first is not None
    added = add_pepper(tmp_path)
    peppers = read_peppers(tmp_path)
    assert peppers == (*old, added)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    new = database.write(lambda c: create_key(operator(c, clock), peppers, KeyWish("new")))
    for issued, pepper in ((first, old[0]), (new, added)):
        digests = tuple(digest(each.secret, issued.secret) for each in peppers)
        found = database.read(partial(find, digests=digests))
        assert found is not None
        assert found.caller.credential_id == issued.key.id
        sql = f"SELECT pepper_id FROM api_key WHERE id = '{issued.key.id}'"
        assert database.read(partial(_one, sql=sql)) == pepper.id


def _one(connection: Connection, sql: str) -> object:
    return connection.exec_driver_sql(sql).scalar()
