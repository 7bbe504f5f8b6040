"""What is signed, word for word.  Pure."""

from typing import Literal

import msgspec

_FIRST_LINE = b"portico signature 1\n"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a signature stands for.

    kind: "head": here an organisation's chain ended; "receipt": this link is in it; "export": these
    are the bytes of a file.
    sequence: of the link; of an export, its number of rows.
    hash: SHA-256 in hexadecimal digits: of the link, which stands for all before it; of the file.
    also: SHA-256 of what else the document says: of a receipt, its discounts; else "".
    """

    kind: Literal["head", "receipt", "export"]
    organisation_id: str
    sequence: int
    hash: str
    also: str = ""
    signed_at_ms: int
    key_id: str


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """public_key, signature: Ed25519, in hexadecimal digits.  The key is here for convenience: who
    trusts it has to have it, or its id, from elsewhere."""

    statement: Statement
    public_key: str
    signature: str


def words(statement: Statement) -> bytes:
    """The bytes that are signed: a line that no other document begins with, then compact JSON with
    the fields in the order above."""
    return _FIRST_LINE + msgspec.json.encode(statement)
