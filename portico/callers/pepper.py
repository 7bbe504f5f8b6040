"""The secret that keys are hashed with, in a file of its own beside the database, so that a leaked
database alone says nothing about any key.

One line per pepper, `<id> <64 hexadecimal digits>`; the last one is for new keys, the others still
find old ones.  Without this file no key can be recognised any more: back it up with the database.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "pepper"
_BYTES = 32


class PepperLost(Exception):
    """The file is missing or damaged, though keys were made with it."""


@dataclass(frozen=True, slots=True)
class Pepper:
    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Pepper(id={self.id!r})"


def make_pepper(data_dir: Path) -> None:
    """Write the first pepper, for the owner's eyes only.  Does nothing where there is one."""
    line = f"p1 {secrets.token_hex(_BYTES)}\n"
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


def add_pepper(data_dir: Path) -> Pepper:
    """A new last line: new keys are hashed with it, old ones go on being found by the others.

    Whole or not at all.  Servers know it from their next start on.  Raises: PepperLost; OSError.
    """
    known = read_peppers(data_dir)
    taken = {pepper.id for pepper in known}
    number = next(n for n in range(len(known) + 1, len(known) + 1_000) if f"p{n}" not in taken)
    pepper = Pepper(f"p{number}", secrets.token_bytes(_BYTES))
    lines = "".join(f"{each.id} {each.secret.hex()}\n" for each in (*known, pepper))
    draft = data_dir / f"{FILE_NAME}.{secrets.token_hex(4)}"
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, lines.encode())
        os.fsync(file)
        draft.rename(data_dir / FILE_NAME)
    finally:
        os.close(file)
        draft.unlink(missing_ok=True)
    return pepper


def read_peppers(data_dir: Path) -> tuple[Pepper, ...]:
    """Every pepper, the one for new keys last.  Raises: PepperLost."""
    path = data_dir / FILE_NAME
    try:
        lines = path.read_text("ascii").splitlines()
        peppers = tuple(_pepper(line) for line in lines if line.strip())
    except (OSError, ValueError) as error:
        raise PepperLost(f"{path} cannot be read: {error}.  Restore it from a backup.") from error
    if not peppers:
        raise PepperLost(f"{path} is empty.  Restore it from a backup.")
    return peppers


def _pepper(line: str) -> Pepper:
    name, digits = line.split()
    secret = bytes.fromhex(digits)
    if len(secret) != _BYTES:
        raise ValueError(f"pepper {name} has {len(secret)} bytes instead of {_BYTES}")
    return Pepper(name, secret)
