"""`portico ledger`, run: exit codes are what scripts live by."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from portico.billing.credits import Credit, grant
from portico.cli.money.ledger import app
from portico.db.database import open_database
from portico.db.transaction import Transaction
from tests.billing.books import NOW_MS, Books

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def books(tmp_path: Path) -> Books:
    made = Books(open_database(tmp_path))
    made.do(lambda t: grant(t, Credit("g", "org_1", 1_000, "paid", None, ""), NOW_MS))
    for number in (1, 2):
        made.hold(f"req_{number}", 50)
        made.charge(f"req_{number}")
    return made


@pytest.fixture
def run(books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*typed: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            app([*typed, "--data-dir", str(tmp_path)])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return run


def spoil(books: Books) -> None:
    def change(transaction: Transaction) -> None:
        transaction.run("DROP TRIGGER charge_refuses_update")
        transaction.run("UPDATE charge SET model = 'dearer' WHERE id = 'req_2'")

    books.do(change)


def test_right_books_are_verified_with_exit_code_0(run: Run) -> None:
    code, said, _ = run("verify", "--json")
    found = json.loads(said)
    assert (code, found["ok"], found["receipts"], found["problems"]) == (0, True, 2, [])
    assert "All is right" in run("verify")[1]


def test_a_broken_link_is_named_with_exit_code_1(run: Run, books: Books) -> None:
    spoil(books)
    code, said, _ = run("verify")
    assert (code, "First broken: org_1 number 2 req_2: its hash is not" in said) == (1, True)
    code, said, _ = run("verify", "--json")
    assert (code, json.loads(said)["problems"][0]["request_id"]) == (1, "req_2")


def test_heads_are_signed_kept_and_compared(run: Run, tmp_path: Path) -> None:
    code, said, _ = run("sign", "--json")
    kept = tmp_path / "heads.json"
    kept.write_text(said)
    assert (code, len(json.loads(said)["heads"])) == (0, 1)
    assert run("verify", "--heads", str(kept))[0] == 0
    assert run("sign")[1] == "0 heads signed.\n"
    kept.write_text(said.replace('"sequence":2', '"sequence":1'))
    assert run("verify", "--heads", str(kept))[0] == 1
    kept.write_text("[]")
    assert run("verify", "--heads", str(kept))[0] == 2
    assert run("verify", "--heads", str(tmp_path / "none"))[0] == 2


def test_a_broken_chain_is_not_signed_with_exit_code_1(run: Run, books: Books) -> None:
    spoil(books)
    code, _, trouble = run("sign")
    assert (code, "not signed" in trouble, "org_1" in trouble) == (1, True, True)


def test_a_receipt_goes_out_and_is_checked_without_the_database(run: Run, tmp_path: Path) -> None:
    code, said, _ = run("receipt", "req_2", "--json")
    assert code == 0
    path = tmp_path / "receipt.json"
    path.write_text(said)
    key_id = json.loads(run("key", "--json")[1])["keys"][-1]["id"]
    code, said, _ = run("check", str(path), "--key", key_id)
    assert (code, "genuine. Receipt number 2 of org_1" in said) == (0, True)
    assert run("check", str(path))[0] == 0, "the keys of the data directory are trusted"
    assert run("check", str(path), "--key", "rk_0")[0] == 1
    path.write_text(path.read_text().replace("completed", "complete"))
    assert run("check", str(path))[0] == 1
    assert run("check", str(tmp_path / "none"))[0] == 2


def test_a_receipt_reads_well(run: Run) -> None:
    _, said, _ = run("receipt", "req_1")
    for words in ("output_text", "2000000", "10 nano-USD", "number 1 of org_1", "discounts  none"):
        assert words in said
    assert run("receipt", "req_9")[0] == 1


def test_an_exported_file_is_signed(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    code, said, _ = run("export", "-o", str(path))
    assert (code, "2 rows, signed in all.jsonl.sig" in said) == (0, True)
    assert run("check", str(path))[0] == 0
    path.write_text(path.read_text().replace("req_1", "req_x"))
    assert run("check", str(path))[0] == 1
