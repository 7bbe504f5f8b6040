"""`portico key`, run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from portico.accounts.actors.model import operator
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key, revoke_key
from portico.accounts.service import open_accounts
from portico.cli import key
from portico.db.database import open_database
from portico.kit.clock import SystemClock
from tests.db.storage import HandClock

List = Callable[..., str]


@pytest.fixture
def listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> List:
    """What `key list` says of a first key, one that ran out, and one that was revoked."""
    database, clock = open_database(tmp_path), SystemClock()
    peppers, _ = open_accounts(database, tmp_path, clock)
    long_ago = HandClock()
    long_ago.now_ms = 0
    past = KeyWish("of the past", expires_at_ms=1)
    database.write(lambda c: create_key(operator(c, long_ago), peppers, past))
    asked = database.write(
        lambda c: create_key(operator(c, clock), peppers, KeyWish("portico ask"))
    )
    database.write(lambda c: revoke_key(operator(c, clock), asked.key.id))

    def said(*typed: str) -> str:
        with pytest.raises(SystemExit) as ended:
            key.app(["list", *typed, "--data-dir", str(tmp_path)])
        assert ended.value.code == 0
        return capsys.readouterr().out

    return said


def test_keys_of_the_past_are_left_out_and_said_to_be(listed: List) -> None:
    said = listed()
    assert "First key" in said
    assert "portico ask" not in said
    assert "of the past" not in said
    assert "2 revoked or expired not shown; --all" in said


def test_all_shows_them_with_their_state(listed: List) -> None:
    said = listed("--all")
    (asked,) = (line for line in said.splitlines() if "portico ask" in line)
    assert "revoked" in asked
    assert "expired 1970-01-01" in said
    assert "not shown" not in said


def test_a_key_is_changed_and_shown_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database, clock = open_database(tmp_path), SystemClock()
    _, first = open_accounts(database, tmp_path, clock)
    assert first is not None

    def said(*typed: str) -> str:
        with pytest.raises(SystemExit) as ended:
            key.app([*typed, "--data-dir", str(tmp_path)])
        assert ended.value.code == 0
        return capsys.readouterr().out

    said("create", "--compatibility", "strict", "--name", "tests")
    assert "adapt" in said("set", first.key.id, "--compatibility", "adapt")
    lines = said("list").splitlines()
    assert [line.split()[-2] for line in lines[1:]] == ["adapt", "strict"]
    said("set", first.key.id, "--compatibility", "project")
    assert "as project" in said("list")


def test_json_holds_the_same_keys(listed: List) -> None:
    names = [each["name"] for each in json.loads(listed("--json"))["keys"]]
    assert names == ["First key"]
    assert len(json.loads(listed("--json", "--all"))["keys"]) == 3
