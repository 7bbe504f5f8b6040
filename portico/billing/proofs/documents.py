"""A receipt, or an exported file, that its reader can check without us: bytes, hash, signature."""

import hashlib
from pathlib import Path

import msgspec

from portico.billing.proofs.heads import sign, vouches
from portico.billing.proofs.keys import SigningKey, key_id
from portico.billing.proofs.model import Signed, Statement
from portico.db.transaction import Transaction
from portico.ledger import receipts
from portico.ledger.rules import link
from portico.pricing.model import Discount

_CHUNK_BYTES = 1 << 20
SIGNATURE_SUFFIX = ".sig"
_discounts = msgspec.json.Decoder(tuple[Discount, ...])


class UnknownReceipt(Exception):
    """There is no charge for that request."""


class NotGenuine(Exception):
    """What does not fit, in one sentence."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """receipt: `ledger.receipts.Receipt`, the very bytes that were hashed behind `previous_hash`.

    discounts: of the terms it was rated by; they are in the lines' net amounts already.
    """

    receipt: msgspec.Raw
    previous_hash: str
    hash: str
    discounts: tuple[Discount, ...]
    signed: Signed


def document_of(
    transaction: Transaction, request_id: str, key: SigningKey, now_ms: int
) -> tuple[receipts.Receipt, Document]:
    """Raises: UnknownReceipt; NotGenuine, and nothing is signed."""
    found = receipts.of_request(transaction, request_id)
    if found is None:
        raise UnknownReceipt(f"There is no receipt for {request_id!r}: nothing was charged.")
    receipt, previous, hashed = found
    body = receipts.body(receipt)
    if link(previous, body) != hashed:
        raise NotGenuine(f"The receipt of {request_id} was changed: its hash is of other bytes.")
    terms = transaction.rows("SELECT discounts FROM terms WHERE id = ?", (receipt.terms_id,))
    discounts = _discounts.decode(terms[0][0]) if terms else ()
    statement = Statement(
        kind="receipt",
        organisation_id=receipt.organisation_id,
        sequence=receipt.sequence,
        hash=hashed.hex(),
        also=_discounts_hash(discounts),
        signed_at_ms=now_ms,
        key_id=key.id,
    )
    made = Document(
        receipt=msgspec.Raw(body),
        previous_hash=previous.hex(),
        hash=hashed.hex(),
        discounts=discounts,
        signed=sign(statement, key),
    )
    return receipt, made


def sign_file(
    path: Path, organisation_id: str, rows: int, key: SigningKey, now_ms: int
) -> tuple[Path, Signed]:
    """Write PATH.sig beside it.  organisation_id: "" for everybody's.  Raises: OSError."""
    statement = Statement(
        kind="export",
        organisation_id=organisation_id,
        sequence=rows,
        hash=_file_hash(path),
        signed_at_ms=now_ms,
        key_id=key.id,
    )
    signed = sign(statement, key)
    beside = path.with_name(path.name + SIGNATURE_SUFFIX)
    beside.write_bytes(msgspec.json.encode(signed) + b"\n")
    return beside, signed


def check_file(path: Path, trusted: set[str]) -> Statement:
    """What is shown to be genuine: a receipt, or an export with its signature beside it.

    trusted: ids of the keys to believe; none believes the key that the file names.
    Raises: NotGenuine, OSError.
    """
    beside = path.with_name(path.name + SIGNATURE_SUFFIX)
    try:
        if beside.exists():
            signed = msgspec.json.decode(beside.read_bytes(), type=Signed)
            hashed = _file_hash(path)
        else:
            document = msgspec.json.decode(path.read_bytes(), type=Document)
            signed, hashed = document.signed, _receipt_hash(document)
        public, signature = bytes.fromhex(signed.public_key), bytes.fromhex(signed.signature)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise NotGenuine(
            f"{path} is neither a signed receipt nor a signed export: {error}"
        ) from error
    said = signed.statement
    if said.hash != hashed:
        raise NotGenuine(f"{path} was changed after it was signed.")
    if not vouches(public, said, signature) or said.key_id != key_id(public):
        raise NotGenuine(f"The signature of {path} is not one of {said.key_id}.")
    if trusted and said.key_id not in trusted:
        raise NotGenuine(f"{path} was signed by {said.key_id}, which is not trusted here.")
    return said


def _receipt_hash(document: Document) -> str:
    """Its place must be the one that was signed."""
    body = bytes(document.receipt)
    hashed = link(bytes.fromhex(document.previous_hash), body).hex()
    receipt = msgspec.json.decode(body, type=receipts.Receipt)
    said = document.signed.statement
    place = (receipt.organisation_id, receipt.sequence)
    if hashed != document.hash or place != (said.organisation_id, said.sequence):
        return ""
    return hashed if said.also == _discounts_hash(document.discounts) else ""


def _discounts_hash(discounts: tuple[Discount, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(discounts)).hexdigest()


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
