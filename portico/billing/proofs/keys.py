"""Ed25519 keys that receipts are signed with, in a file beside the database: whoever can change the
database alone cannot sign what he made of it.

One line per key, `<id> <64 hexadecimal digits>` (the private seed); the last one signs, the others
still verify.  The id is the beginning of the SHA-256 of the public key.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FILE_NAME = "receipt-keys"
_SEED_BYTES = 32
_ID_DIGITS = 16


class KeysLost(Exception):
    """The file is missing or damaged, though receipts were signed with what it held."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    id: str
    public: bytes
    private: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


def key_of(seed: bytes) -> SigningKey:
    """seed: 32 bytes.  Raises: ValueError."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return SigningKey(key_id(public), public, private)


def key_id(public: bytes) -> str:
    return f"rk_{hashlib.sha256(public).hexdigest()[:_ID_DIGITS]}"


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def make_keys(data_dir: Path) -> None:
    """Write the first key, for the owner's eyes only.  Does nothing where there is one."""
    seed = secrets.token_bytes(_SEED_BYTES)
    line = f"{key_of(seed).id} {seed.hex()}\n"
    draft = data_dir / f"{FILE_NAME}.{secrets.token_hex(4)}"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, line.encode())
        os.fsync(file)
        os.link(draft, data_dir / FILE_NAME)  # whole or not at all, and never over another's
    except FileExistsError:
        return
    finally:
        os.close(file)
        draft.unlink()


def read_keys(data_dir: Path) -> tuple[SigningKey, ...]:
    """Every key, the one that signs last; none where there is no file.  Raises: KeysLost."""
    path = data_dir / FILE_NAME
    if not path.exists():
        return ()
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
        keys = tuple(_key(name, digits) for name, digits in lines)
    except (OSError, ValueError) as error:
        raise KeysLost(f"{path} cannot be read: {error}.  Restore it from a backup.") from error
    if not keys:
        raise KeysLost(f"{path} is empty.  Restore it from a backup.")
    return keys


def _key(name: str, digits: str) -> SigningKey:
    key = key_of(bytes.fromhex(digits))
    if key.id != name:
        raise ValueError(f"the key {name} is another one, {key.id}")
    return key
