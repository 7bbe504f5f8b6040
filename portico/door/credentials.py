"""The one key of a request, wherever the SDK put it."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from portico import errors

_COMMA = ord(",")
"""Looked for as a number: for `bytes in bytes` the interpreter first makes, and drops, an error."""
_HEADERS = ((b"x-api-key", "x-api-key"), (b"x-goog-api-key", "x-goog-api-key"))


def credential_of(headers: Mapping[bytes, bytes], query: bytes) -> str:
    """The key as sent, "" when there is none.

    Raises: Refusal: two_credentials, when two places (or one header twice) name different keys:
    checking one and charging the other is how limits get skipped.
    """
    authorization = headers.get(b"authorization", b"")
    if (
        b"x-api-key" not in headers
        and b"x-goog-api-key" not in headers
        and (not query or b"key=" not in query)
    ):
        return _bearer(authorization)
    found: dict[str, str] = {}
    if authorization:
        _note(found, "Authorization", _bearer(authorization))
    for header, shown in _HEADERS:
        # One that came twice was joined with a comma, which no key has.
        for key in headers.get(header, b"").decode("latin-1").split(","):
            _note(found, shown, key.strip())
    for name, value in parse_qsl(query.decode("latin-1")):
        if name == "key":
            _note(found, "?key=", value)
    return next(iter(found.values()), "")


def _bearer(authorization: bytes) -> str:
    """The token of a Bearer header; "" for any other scheme.  A header that came twice was
    joined with a comma; each part must then be the same."""
    if authorization[:7] == b"Bearer " and _COMMA not in authorization:
        return authorization[7:].decode("latin-1").strip()
    tokens = []
    for part in authorization.decode("latin-1").split(","):
        scheme, _, token = part.strip().partition(" ")
        tokens.append(token.strip() if scheme.lower() == "bearer" else "")
    if len(set(tokens)) > 1:
        raise _two("Authorization", "Authorization")
    return tokens[0]


def _note(found: dict[str, str], place: str, key: str) -> None:
    if not key:
        return
    for other, known in found.items():
        if known != key:
            raise _two(other, place)
    found[place] = key


def _two(one: str, other: str) -> errors.Refusal:
    return errors.TWO_CREDENTIALS(
        f"The request carries two different keys, in {one} and in {other}.", field=other
    )
