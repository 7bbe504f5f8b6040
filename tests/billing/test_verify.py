"""The bill is computed again from its rows: right books pass, and no cell of a charge or an entry can
be changed without verification saying where."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from portico.billing.credits import Credit, grant
from portico.billing.proofs.heads import Signing, opened_keys, sign_heads
from portico.billing.proofs.keys import FILE_NAME, KeysLost, SigningKey, make_keys, read_keys
from portico.billing.proofs.model import Signed
from portico.billing.proofs.verify import Proof, verify
from portico.db.database import Database
from portico.db.tables import metadata
from portico.db.transaction import Transaction
from portico.ledger import receipts
from portico.ledger import service as ledger
from portico.ledger.model import Bill, Settlement, Wish
from portico.ledger.receipts import Receipt
from portico.ledger.rules import GENESIS, link
from tests.billing.books import DAY_MS, LINES, NOW_MS, Books

T = TypeVar("T")
OTHERS = ("org_2", "org_3")


class Undone(Exception):
    """Ends a transaction that must leave nothing."""


@pytest.fixture
def books(database: Database) -> Books:
    """Three organisations; charges in full, beyond their hold, and of nothing."""
    made = Books(database)

    def more(transaction: Transaction) -> None:
        for owner in OTHERS:
            transaction.run(
                "INSERT INTO organisation (id, name, created_at_ms) VALUES (?, ?, 1)",
                (owner, owner),
            )
            grant(transaction, Credit(f"g_{owner}", owner, 1_000, "paid", None, ""), NOW_MS)
        wishes = [Wish(f"req_{o}", o, 7, (), "{}", DAY_MS) for o in OTHERS]
        ledger.hold(transaction, wishes, NOW_MS, "inst_1")
        bill = Bill("proj", "key", "m", "standard", "completed", LINES, "", 10, 10)
        nothing = msgspec.structs.replace(bill, lines="[]", list_nano=0, net_nano=0)
        ends = [
            Settlement("req_org_2", "settled", bill),
            Settlement("req_org_3", "settled", nothing),
        ]
        ledger.settle(transaction, ends, NOW_MS)

    made.do(lambda t: grant(t, Credit("g", "org_1", 30, "promo", None, ""), NOW_MS))
    made.do(lambda t: grant(t, Credit("h", "org_1", 1_000, "paid", None, ""), NOW_MS))
    made.do(more)
    for number in (1, 2, 3, 4):
        made.hold(f"req_{number}", 20)
    for number in (1, 2, 3, 4):
        made.charge(f"req_{number}")
    return made


def key_of(books: Books) -> SigningKey:
    return opened_keys(books.database)[-1]


def sign(books: Books, now_ms: int = NOW_MS) -> Signing:
    return sign_heads(books.database, key_of(books), now_ms)


def proof_of(books: Books, kept: tuple[Signed, ...] = ()) -> Proof:
    keys = read_keys(books.database.data_dir)
    return books.database.read(lambda c: verify(Transaction(c), keys, kept))


def lift(transaction: Transaction, *tables: str) -> None:
    """Take away whatever keeps rows as they are; the transaction is undone."""
    if transaction.dialect == "postgresql":
        for table in tables:
            transaction.run(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for name, of, to in transaction.rows(
            "SELECT conname, CAST(conrelid::regclass AS text), CAST(confrelid::regclass AS text) "
            "FROM pg_constraint WHERE contype = 'f'"
        ):
            if of in tables or to in tables:
                transaction.run(f"ALTER TABLE {of} DROP CONSTRAINT {name}")
        return
    transaction.run("PRAGMA defer_foreign_keys = ON")
    for name, table in transaction.rows(
        "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    ):
        if table in tables:
            transaction.run(f"DROP TRIGGER {name}")


def after(books: Books, change: Callable[[Transaction], object]) -> Proof:
    """What verification says of the books once they are changed; then they are as before."""
    keys = read_keys(books.database.data_dir)
    found: list[Proof] = []

    def look(transaction: Transaction) -> None:
        lift(transaction, "charge", "entry", "chain", "signed_head", "txn", "hold", "account")
        change(transaction)
        found.append(verify(transaction, keys))
        raise Undone

    with pytest.raises(Undone):
        books.do(look)
    return found[0]


def test_books_that_are_right_are_shown_to_be(books: Books) -> None:
    sign(books)
    proof = proof_of(books)
    assert (proof.ok, proof.problems) == (True, ())
    assert (proof.organisations, proof.receipts, proof.signed, proof.unsigned) == (3, 6, 3, 0)


def test_empty_books_are_right(database: Database) -> None:
    proof = proof_of(Books(database))
    assert (proof.ok, proof.receipts) == (True, 0)


def test_receipts_behind_the_last_signed_head_are_counted(books: Books) -> None:
    sign(books)
    books.hold("req_5", 20)
    books.charge("req_5")
    assert (proof_of(books).ok, proof_of(books).unsigned) == (True, 1)


def cells(books: Books) -> list[tuple[str, dict[str, Any], str]]:
    """(table, row, column) of every cell of a charge or an entry, in an order of its own."""
    found = []
    for table in ("charge", "entry"):
        columns = metadata.tables[table].columns.keys()
        keys = [column.name for column in metadata.tables[table].primary_key]
        for row in books.rows(f"SELECT * FROM {table} ORDER BY {', '.join(keys)}"):
            named = dict(zip(columns, row, strict=True))
            found += [(table, named, column) for column in columns]
    return found


def flipped(value: Any, at: int, bit: int) -> Any:
    """Another value: one bit of one byte or of a number, one letter of a text."""
    if isinstance(value, int):
        changed = value ^ (1 << bit % 40)
        return changed if changed > 0 else value + 1
    if isinstance(value, str):
        place = at % max(len(value), 1)
        letter = "x" if value[place : place + 1] != "x" else "y"
        return value[:place] + letter + value[place + 1 :]
    raw = bytearray(value)
    raw[at % len(raw)] ^= 1 << bit % 8
    return bytes(raw)


def flip(table: str, row: dict[str, Any], column: str, value: Any) -> Callable[[Transaction], int]:
    keys = [key.name for key in metadata.tables[table].primary_key]
    where = " AND ".join(f"{key} = ?" for key in keys)
    sql = f"UPDATE {table} SET {column} = ? WHERE {where}"
    return lambda t: t.run(sql, (value, *(row[key] for key in keys)))


def test_no_cell_of_a_charge_or_an_entry_can_be_changed_unseen(books: Books) -> None:
    every = cells(books)
    assert len(every) == 6 * 16 + len(books.rows("SELECT * FROM entry")) * 3
    unseen = [
        (table, column, row)
        for number, (table, row, column) in enumerate(every)
        if after(books, flip(table, row, column, flipped(row[column], number, number))).ok
    ]
    assert unseen == []


def test_no_bit_can_be_changed_unseen(books: Books) -> None:
    every = cells(books)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(range(len(every))), st.integers(0, 400), st.integers(0, 40))
    def law(cell: int, at: int, bit: int) -> None:
        table, row, column = every[cell]
        changed = flip(table, row, column, flipped(row[column], at, bit))
        try:
            assert not after(books, changed).ok
        except (sqlite3.IntegrityError, psycopg.IntegrityError):
            return  # the database itself refuses it, such as a second receipt with that number

    law()


def test_the_first_broken_link_is_named(books: Books) -> None:
    def change(transaction: Transaction) -> None:
        transaction.run("UPDATE charge SET model = 'dearer' WHERE id = 'req_2'")
        transaction.run("UPDATE charge SET net_nano = 9 WHERE id = 'req_3'")

    proof = after(books, change)
    assert [(p.organisation_id, p.sequence, p.request_id) for p in proof.problems] == [
        ("org_1", 2, "req_2"),
        ("org_1", 3, "req_3"),
    ]
    assert "not that of its bytes" in proof.problems[0].says


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("DELETE FROM charge WHERE id = 'req_2'", "number 2 is missing"),
        ("DELETE FROM charge WHERE id = 'req_4'", "its end says 4"),
        ("UPDATE chain SET sequence = 9 WHERE organisation_id = 'org_1'", "its end says 9"),
        ("DELETE FROM chain WHERE organisation_id = 'org_2'", "its end says 0"),
        ("UPDATE hold SET state = 'void' WHERE id = 'req_1'", "its hold is void"),
        ("UPDATE hold SET parts = '[]' WHERE id = 'req_1'", "above its hold"),
        ("UPDATE hold SET parts = '[' WHERE id = 'req_1'", "cannot be read"),
        ("UPDATE account SET posted_nano = 5 WHERE id = 'revenue'", "the balance of revenue"),
        ("DELETE FROM entry WHERE txn_id = 'settle:req_1'", "its entries are {}"),
        ("DELETE FROM entry WHERE txn_id = 'credit:g'", "the sum of its entries"),
    ],
)
def test_what_is_missing_or_moved_is_said(books: Books, sql: str, says: str) -> None:
    problems = after(books, lambda t: t.run(sql)).problems
    assert any(says in problem.says for problem in problems), problems


def rewritten(transaction: Transaction, request_id: str, **fields: Any) -> None:
    """What somebody does who has the database and knows how it is made: change one receipt, and
    link the whole chain anew."""
    last = dict.fromkeys(("org_1", *OTHERS), GENESIS)
    for receipt, _, _ in list(receipts.stored(transaction)):
        changed: Receipt = receipt
        if receipt.request_id == request_id:
            changed = msgspec.structs.replace(receipt, **fields)
        owner = receipt.organisation_id
        hashed = link(last[owner], receipts.body(changed))
        lines = bytes(changed.lines).decode()
        transaction.run(
            "UPDATE charge SET model = ?, lines = ?, list_nano = ?, previous_hash = ?, hash = ? "
            "WHERE id = ?",
            (changed.model, lines, int(changed.list_nano), last[owner], hashed, changed.request_id),
        )
        last[owner] = hashed
    for owner, hashed in last.items():
        transaction.run("UPDATE chain SET hash = ? WHERE organisation_id = ?", (hashed, owner))


def test_a_chain_that_was_linked_anew_is_not_what_was_signed(books: Books) -> None:
    unsigned = after(books, lambda t: rewritten(t, "req_2", model="dearer"))
    assert unsigned.ok, "without a signature nothing can tell"
    sign(books)
    proof = after(books, lambda t: rewritten(t, "req_2", model="dearer"))
    assert [(p.sequence, p.request_id, p.says) for p in proof.problems] == [
        (4, "req_4", "another receipt was signed in its place")
    ]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"list_nano": "11"}, "its lines come to 10 nano-USD"),
        ({"lines": LINES.replace('"units":5', '"units":6')}, "output_text comes to 12 nano-USD"),
        ({"lines": LINES.replace('"list_nano":10', '"list_nano":9')}, "output_text comes to"),
        ({"lines": "[]"}, "its lines come to 0 nano-USD"),
        ({"lines": '{"x":1}'}, "its lines cannot be read"),
    ],
)
def test_a_chain_that_was_linked_anew_must_still_add_up(
    books: Books, fields: dict[str, str], says: str
) -> None:
    changed: dict[str, Any] = dict(fields)
    if "lines" in changed:
        changed["lines"] = msgspec.Raw(changed["lines"].encode())
    proof = after(books, lambda t: rewritten(t, "req_2", **changed))
    assert [p.request_id for p in proof.problems] == ["req_2"]
    assert says in proof.problems[0].says


def test_a_chain_in_two_pieces_is_none(books: Books) -> None:
    """Every hash is that of its bytes, and the second piece begins anywhere."""

    def part(transaction: Transaction) -> None:
        last = bytes(32)
        for receipt, _, _ in list(receipts.stored(transaction)):
            if receipt.organisation_id != "org_1" or receipt.sequence == 1:
                continue
            hashed = link(last, receipts.body(receipt))
            transaction.run(
                "UPDATE charge SET previous_hash = ?, hash = ? WHERE id = ?",
                (last, hashed, receipt.request_id),
            )
            last = hashed
        transaction.run("UPDATE chain SET hash = ? WHERE organisation_id = 'org_1'", (last,))

    problems = after(books, part).problems
    assert [(p.request_id, p.says) for p in problems] == [
        ("req_2", "it does not name the hash of the receipt before it")
    ]


def test_money_that_moved_without_a_receipt_is_found(books: Books) -> None:
    def change(transaction: Transaction) -> None:
        transaction.run("DELETE FROM charge WHERE id = 'req_4'")
        (last,) = transaction.rows("SELECT hash FROM charge WHERE id = 'req_3'")
        transaction.run(
            "UPDATE chain SET sequence = 3, hash = ? WHERE organisation_id = 'org_1'", last
        )

    problems = after(books, change).problems
    assert [(p.request_id, p.says) for p in problems] == [
        ("req_4", "it was charged without a receipt")
    ]


def cut(transaction: Transaction) -> None:
    """Undo the newest charge as if it had never been."""
    transaction.run("DELETE FROM charge WHERE id = 'req_4'")
    (last,) = transaction.rows("SELECT hash FROM charge WHERE id = 'req_3'")
    transaction.run("UPDATE chain SET sequence = 3, hash = ? WHERE organisation_id = 'org_1'", last)
    transaction.run("DELETE FROM entry WHERE txn_id = 'settle:req_4'")
    transaction.run("DELETE FROM txn WHERE id = 'settle:req_4'")
    transaction.run("UPDATE hold SET state = 'void' WHERE id = 'req_4'")
    transaction.run("UPDATE account SET posted_nano = posted_nano + 10 WHERE id = 'prepaid:org_1'")
    transaction.run("UPDATE account SET posted_nano = posted_nano - 10 WHERE id = 'revenue'")


def test_a_receipt_that_was_signed_cannot_be_cut_off(books: Books) -> None:
    (promo,) = books.rows("SELECT posted_nano FROM account WHERE id = 'promo:g'")
    assert promo == (10,), "the newest charge was paid from the prepaid account"
    assert after(books, cut).ok, "without a signature nothing can tell"
    sign(books)
    assert any("4 receipts were signed" in p.says for p in after(books, cut).problems)


def test_heads_kept_elsewhere_outlive_the_rows_that_say_them(books: Books) -> None:
    kept = sign(books).signed
    assert proof_of(books, kept).ok
    moved = msgspec.structs.replace(kept[0].statement, hash="00" * 32)
    forged = msgspec.structs.replace(kept[0], statement=moved)
    proof = proof_of(books, (forged,))
    assert [p.says for p in proof.problems] == [
        "the signature of its head is not that of its bytes",
        "another receipt was signed in its place",
    ]


@pytest.mark.parametrize("column", ["sequence", "hash", "signed_at_ms", "signature", "key_id"])
def test_a_signed_head_cannot_be_changed_unseen(books: Books, column: str) -> None:
    sign(books)
    (found,) = books.rows(f"SELECT {column} FROM signed_head WHERE organisation_id = 'org_1'")
    sql = f"UPDATE signed_head SET {column} = ? WHERE organisation_id = 'org_1'"
    assert not after(books, lambda t: t.run(sql, (flipped(found[0], 3, 3),))).ok


def test_a_head_is_signed_once_and_again_when_the_chain_has_grown(books: Books) -> None:
    assert len(sign(books).signed) == 3
    assert sign(books) == Signing((), ())
    books.hold("req_5", 20)
    books.charge("req_5")
    (grown,) = sign(books).signed
    assert (grown.statement.organisation_id, grown.statement.sequence) == ("org_1", 5)


def test_two_that_sign_at_once_sign_once(books: Books) -> None:
    class Overtaken(Database):
        """Another server is faster."""

        def write(self, change: Callable[[Connection], T]) -> T:
            sign(books)
            return super().write(change)

    late = Overtaken(books.database.backend, books.database.data_dir)
    assert len(sign_heads(late, key_of(books), NOW_MS + 1).signed) == 3
    assert books.rows("SELECT count(*), max(signed_at_ms) FROM signed_head") == [(3, NOW_MS)]


def test_a_broken_chain_is_not_signed(books: Books) -> None:
    def change(transaction: Transaction) -> None:
        lift(transaction, "charge")
        transaction.run("UPDATE charge SET model = 'dearer' WHERE id = 'req_2'")

    books.do(change)
    done = sign(books)
    assert (len(done.signed), done.broken) == (2, ("org_1",))


def test_an_end_that_its_receipts_do_not_reach_is_not_signed(books: Books) -> None:
    books.do(lambda t: t.run("UPDATE chain SET sequence = 5 WHERE organisation_id = 'org_1'"))
    done = sign(books)
    assert (len(done.signed), done.broken) == (2, ("org_1",))


def test_keys_are_made_once_and_missed_when_they_are_gone(books: Books, tmp_path: Path) -> None:
    file = books.database.data_dir / FILE_NAME
    before = key_of(books)
    make_keys(books.database.data_dir)
    assert key_of(books).id == before.id
    assert file.stat().st_mode & 0o077 == 0
    sign(books)
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(KeysLost, match="Restore it"):
        opened_keys(books.database)
    assert "which we do not have" in proof_of(books).problems[0].says
    file.write_text("rk_0 zz\n")
    with pytest.raises(KeysLost, match="cannot be read"):
        read_keys(books.database.data_dir)


def test_a_key_that_was_replaced_still_verifies(books: Books, tmp_path: Path) -> None:
    sign(books)
    other = tmp_path / "other"
    other.mkdir()
    make_keys(other)
    with (books.database.data_dir / FILE_NAME).open("a") as file:
        file.write((other / FILE_NAME).read_text())
    books.hold("req_5", 20)
    books.charge("req_5")
    (newer,) = sign(books).signed
    assert newer.statement.key_id == read_keys(other)[0].id
    assert proof_of(books).ok


def test_progress_is_told_page_by_page(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "PAGE", 4)
    told: list[int] = []
    books.database.read(lambda c: verify(Transaction(c), (), on_progress=told.append))
    assert told == [4, 6]
