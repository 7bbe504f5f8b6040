"""Where each chain ends, signed: from then on no receipt before it can be changed, and none can be
taken away, by somebody who has the database and not the key."""

from dataclasses import dataclass
from pathlib import Path

from portico.billing.proofs.keys import KeysLost, SigningKey, is_signed, make_keys, read_keys
from portico.billing.proofs.model import Signed, Statement, words
from portico.db.database import Database
from portico.db.tables import signed_head
from portico.db.transaction import Transaction
from portico.ledger import receipts
from portico.ledger.receipts import Span
from portico.ledger.rules import GENESIS, link

_NEWEST = (
    "SELECT organisation_id, sequence, hash FROM signed_head WHERE (organisation_id, sequence) IN "
    "(SELECT organisation_id, max(sequence) FROM signed_head GROUP BY organisation_id)"
)


@dataclass(frozen=True, slots=True)
class Head:
    organisation_id: str
    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Signing:
    """broken: organisations whose chain does not lead from its last signed head to its end, which
    was left unsigned."""

    signed: tuple[Signed, ...]
    broken: tuple[str, ...]


def opened_keys(database: Database) -> tuple[SigningKey, ...]:
    """The keys of this deployment, made now where nothing was signed before.

    Raises: KeysLost; OSError.
    """
    keys = read_keys(database.data_dir)
    if keys:
        return keys
    if database.read(lambda c: Transaction(c).rows("SELECT 1 FROM signed_head LIMIT 1")):
        raise KeysLost(_missing(database.data_dir))
    make_keys(database.data_dir)
    return read_keys(database.data_dir)


def _missing(data_dir: Path) -> str:
    return (
        f"{data_dir} has no file receipt-keys, though receipts were signed. Restore it from a "
        "backup, or copy it from the server that has it."
    )


def sign_heads(database: Database, key: SigningKey, now_ms: int) -> Signing:
    """Sign the end of every chain that has grown since it was signed last.  Blocking.

    What was added is walked first; a chain that was changed is not signed.
    """
    ends, broken = database.read(lambda c: _grown(Transaction(c)))
    signed = tuple(_signed(head, key, now_ms) for head in ends)
    if signed:
        rows = [_row(each) for each in signed]
        database.write(lambda c: Transaction(c).insert(signed_head, rows, "ON CONFLICT DO NOTHING"))
    return Signing(signed, broken)


def sign(statement: Statement, key: SigningKey) -> Signed:
    signature = key.sign(words(statement))
    return Signed(statement=statement, public_key=key.public.hex(), signature=signature.hex())


def stored_heads(transaction: Transaction) -> list[tuple[Head, str, int, bytes]]:
    """(head, key id, when it was signed, signature), chain by chain, oldest first."""
    return [
        (Head(row[0], row[1], bytes(row[2])), row[3], row[4], bytes(row[5]))
        for row in transaction.rows(
            "SELECT organisation_id, sequence, hash, key_id, signed_at_ms, signature "
            "FROM signed_head ORDER BY organisation_id, sequence, key_id"
        )
    ]


def vouches(public: bytes, statement: Statement, signature: bytes) -> bool:
    return is_signed(public, words(statement), signature)


def head_statement(head: Head, key_id: str, signed_at_ms: int) -> Statement:
    return Statement(
        kind="head",
        organisation_id=head.organisation_id,
        sequence=head.sequence,
        hash=head.hash.hex(),
        signed_at_ms=signed_at_ms,
        key_id=key_id,
    )


def _grown(transaction: Transaction) -> tuple[list[Head], tuple[str, ...]]:
    """The ends to be signed, and the organisations whose chain does not lead there."""
    newest = {row[0]: Head(row[0], row[1], bytes(row[2])) for row in transaction.rows(_NEWEST)}
    ends, broken = [], []
    for owner, sequence, hashed in transaction.rows(
        "SELECT organisation_id, sequence, hash FROM chain ORDER BY organisation_id"
    ):
        end, start = Head(owner, sequence, bytes(hashed)), newest.get(owner)
        start = start or Head(owner, 0, GENESIS)
        if end == start:
            continue
        if _leads(transaction, start, end):
            ends.append(end)
        else:
            broken.append(owner)
    return ends, tuple(broken)


def _leads(transaction: Transaction, start: Head, end: Head) -> bool:
    owner, sequence, last = start.organisation_id, start.sequence, start.hash
    span = Span(owner, after=(owner, sequence))
    for receipt, _, hashed in receipts.stored(transaction, span):
        if hashed != link(last, receipts.body(receipt)):
            return False
        sequence, last = receipt.sequence, hashed
    return Head(owner, sequence, last) == end


def _signed(head: Head, key: SigningKey, now_ms: int) -> Signed:
    return sign(head_statement(head, key.id, now_ms), key)


def _row(signed: Signed) -> tuple[str, int, str, bytes, int, bytes]:
    said = signed.statement
    return (
        said.organisation_id,
        said.sequence,
        said.key_id,
        bytes.fromhex(said.hash),
        said.signed_at_ms,
        bytes.fromhex(signed.signature),
    )
