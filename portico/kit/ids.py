"""Random, typed identifiers: `req_` and 32 hexadecimal characters (128 random bits)."""

import secrets


def new_id(kind: str) -> str:
    """A fresh identifier such as `req_9f0c...`.  `kind` says what it names."""
    return f"{kind}_{secrets.token_hex(16)}"
