"""`portico audit`, run: what it prints, and that it ends with 1 when anything was changed in silence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from portico.accounts.actors.model import operator
from portico.accounts.keys.model import KeyWish
from portico.accounts.keys.service import create_key
from portico.accounts.service import open_accounts
from portico.cli.main import app
from portico.db.database import open_database
from portico.kit.clock import SystemClock

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command's exit code, and what it says."""
    open_accounts(open_database(tmp_path), tmp_path, SystemClock())

    def typed(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            app(["audit", *words, "--data-dir", str(tmp_path)])
        return int(ended.value.code or 0), capsys.readouterr().out

    return typed


def change(folder: Path, name: str = "more") -> None:
    database, clock = open_database(folder), SystemClock()
    peppers, _ = open_accounts(database, folder, clock)
    database.write(lambda c: create_key(operator(c, clock), peppers, KeyWish(name)))


def forge(folder: Path, *statements: str) -> None:
    """What only somebody with the database could do."""

    def write(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    open_database(folder).write(write)


def end_cut_off(folder: Path) -> None:
    """The newest event, its details and every head that is later: as if they had never been."""
    triggers = [f"DROP TRIGGER {table}_refuses_delete" for table in ("audit_event", "audit_head")]
    last = "WHERE sequence = (SELECT max(sequence) FROM audit_event)"
    forge(
        folder,
        *triggers,
        f"DELETE FROM audit_head {last}",
        f"DELETE FROM audit_detail {last}",
        f"DELETE FROM audit_event {last}",
    )


def test_what_is_right_is_said_to_be_and_ends_with_0(run: Run, tmp_path: Path) -> None:
    change(tmp_path)
    assert run("sign") == (0, "1 heads signed.\n")
    code, said = run("verify")
    assert (code, said) == (0, "5 events in 1 chains, 1 signed heads.\nAll is right.\n")
    told = json.loads(run("verify", "--json")[1])
    assert (told["ok"], told["events"], told["faults"]) == (True, 5, [])
    lines = run("export")[1].splitlines()
    assert [json.loads(line)["action"] for line in lines][-1] == "key.create"
    newest = json.loads(run("list", "--organisation", _organisation(lines), "--json")[1])
    assert newest["events"][0] == json.loads(lines[-1])


def test_what_was_changed_is_told_and_ends_with_1(run: Run, tmp_path: Path) -> None:
    forge(
        tmp_path,
        "DROP TRIGGER audit_event_refuses_update",
        "UPDATE audit_event SET actor_id = 'nobody' WHERE sequence = 2",
    )
    code, said = run("verify")
    assert code == 1
    assert "event 2: its hash is not that of its facts." in said
    assert said.endswith("NOT right.\n")


def test_an_end_that_was_cut_off_is_found_with_heads_from_elsewhere(
    run: Run, tmp_path: Path
) -> None:
    change(tmp_path)
    run("sign")
    kept = tmp_path / "heads.jsonl"
    kept.write_text(run("heads")[1])
    assert run("verify", "--heads", str(kept)) == (
        0,
        "5 events in 1 chains, 1 signed heads.\nAll is right.\n",
    )
    end_cut_off(tmp_path)
    assert run("verify")[0] == 0, "the database alone knows nothing of it any more"
    code, said = run("verify", "--heads", str(kept))
    assert code == 1
    assert "event 5: it was signed and is not there any more." in said


def test_a_kept_head_that_somebody_changed_counts_for_nothing(run: Run, tmp_path: Path) -> None:
    run("sign")
    head = json.loads(run("heads")[1])
    kept = tmp_path / "heads.jsonl"
    for name, other in (("hash", "00" * 32), ("signature", "00" * 64)):
        kept.write_text(json.dumps({**head, name: other}) + "\n")
        assert run("verify", "--heads", str(kept))[0] == 1
    for text in ("no json", "{}", '{"hash": "xyz"}'):
        kept.write_text(text)
        assert run("verify", "--heads", str(kept))[0] == 2
    assert run("verify", "--heads", str(tmp_path / "none"))[0] == 2


def _organisation(lines: list[str]) -> str:
    return str(json.loads(lines[0])["organisation_id"])
