"""A receipt and an export can be checked by their reader: any other byte, and they are not genuine."""

from pathlib import Path

import msgspec
import pytest

from portico.billing.credits import Credit, grant
from portico.billing.proofs.documents import (
    Document,
    NotGenuine,
    UnknownReceipt,
    check_file,
    document_of,
    sign_file,
)
from portico.billing.proofs.heads import sign
from portico.billing.proofs.keys import SigningKey, key_of
from portico.db.database import Database
from portico.db.transaction import Transaction
from portico.ledger import service as ledger
from portico.ledger.model import Bill, Settlement
from tests.billing.books import LINES, NOW_MS, Books

KEY = key_of(bytes(range(32)))
OTHER = key_of(bytes(32))
_TERMS = "'t', 'org_1', 'prepaid', '', 1, 1, ?, '', 0, 'me', 0"


@pytest.fixture
def books(database: Database) -> Books:
    made = Books(database)
    made.do(lambda t: grant(t, Credit("g", "org_1", 1_000, "paid", None, ""), NOW_MS))
    discounts = '[{"kind":"contract","numerator":1,"denominator":1}]'
    made.do(lambda t: t.run(f"INSERT INTO terms VALUES ({_TERMS})", (discounts,)))
    bill = Bill("proj_1", "key_1", "m", "standard", "completed", LINES, "t", 10, 10)
    made.hold("req_1", 50)
    made.do(lambda t: ledger.settle(t, [Settlement("req_1", "settled", bill)], NOW_MS))
    return made


def receipt_file(books: Books, folder: Path, key: SigningKey = KEY) -> Path:
    _, document = books.do(lambda t: document_of(t, "req_1", key, NOW_MS))
    path = folder / "receipt.json"
    path.write_bytes(msgspec.json.encode(document))
    return path


def test_a_receipt_says_what_was_charged_and_where_it_stands(books: Books, tmp_path: Path) -> None:
    path = receipt_file(books, tmp_path)
    receipt = msgspec.json.decode(path.read_bytes())["receipt"]
    assert (receipt["request_id"], receipt["sequence"], receipt["net_nano"]) == ("req_1", 1, "10")
    assert receipt["lines"][0]["units"] == 5
    said = check_file(path, {KEY.id})
    assert (said.kind, said.organisation_id, said.sequence) == ("receipt", "org_1", 1)


def test_no_byte_of_a_receipt_can_be_changed(books: Books, tmp_path: Path) -> None:
    path = receipt_file(books, tmp_path)
    whole = path.read_bytes()
    believed = []
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            check_file(path, {KEY.id})
        except NotGenuine:
            continue
        believed.append(whole[max(at - 20, 0) : at + 20])
    assert believed == []


def test_another_key_is_believed_only_where_none_is_named(books: Books, tmp_path: Path) -> None:
    path = receipt_file(books, tmp_path, OTHER)
    with pytest.raises(NotGenuine, match="not trusted here"):
        check_file(path, {KEY.id})
    assert check_file(path, set()).key_id == OTHER.id


def test_who_signs_with_a_key_of_his_own_cannot_name_ours(books: Books, tmp_path: Path) -> None:
    document = msgspec.json.decode(receipt_file(books, tmp_path, OTHER).read_bytes(), type=Document)
    said = msgspec.structs.replace(document.signed.statement, key_id=KEY.id)
    forged = msgspec.structs.replace(document, signed=sign(said, OTHER))
    path = tmp_path / "forged.json"
    path.write_bytes(msgspec.json.encode(forged))
    with pytest.raises(NotGenuine, match="is not one of"):
        check_file(path, {KEY.id})


def test_a_request_that_was_not_charged_has_no_receipt(books: Books) -> None:
    with pytest.raises(UnknownReceipt, match="'req_9'"):
        books.do(lambda t: document_of(t, "req_9", KEY, NOW_MS))


def test_a_receipt_that_was_changed_is_not_signed(books: Books) -> None:
    def change(transaction: Transaction) -> None:
        if transaction.dialect == "sqlite":
            transaction.run("DROP TRIGGER charge_refuses_update")
        else:
            transaction.run("ALTER TABLE charge DISABLE TRIGGER USER")
        transaction.run("UPDATE charge SET model = 'dearer'")
        with pytest.raises(NotGenuine, match="was changed"):
            document_of(transaction, "req_1", KEY, NOW_MS)

    books.do(change)


def test_an_export_is_genuine_until_a_byte_of_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "november.csv"
    path.write_text("a,b\n")
    beside, _ = sign_file(path, "org_1", 1, KEY, NOW_MS)
    assert (beside.name, check_file(path, {KEY.id}).sequence) == ("november.csv.sig", 1)
    path.write_text("a,c\n")
    with pytest.raises(NotGenuine, match="changed after it was signed"):
        check_file(path, {KEY.id})


def test_a_receipt_is_no_signature_for_a_file(books: Books, tmp_path: Path) -> None:
    signed = msgspec.json.decode(receipt_file(books, tmp_path).read_bytes())["signed"]
    path = tmp_path / "x.csv"
    path.write_text("x")
    (tmp_path / "x.csv.sig").write_bytes(msgspec.json.encode(signed))
    with pytest.raises(NotGenuine):
        check_file(path, {KEY.id})


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"receipt":1}', "\xff"])
def test_what_is_no_receipt_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(NotGenuine, match="neither a signed receipt nor a signed export"):
        check_file(path, set())
