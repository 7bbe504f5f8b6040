"""Things that an `Idempotency-Key` makes once, however often they are asked for."""

import hashlib
from collections.abc import Callable
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from portico.door.dialect import Dialect
from portico.door.exchange import Exchange
from portico.door.lines import JSON, line
from portico.door.resources.forms import Begun, Form
from portico.kit.clock import Clock
from portico.replay.claims import fingerprint
from portico.replay.model import Replayed, Wish
from portico.replay.once import Once
from portico.replay.rules import key_of

REPLAYED = b"idempotent-replayed: true\r\n"
T = TypeVar("T")


class Repeating:
    def __init__(self, clock: Clock, keep_ms: int) -> None:
        """keep_ms: how long an answer is kept under its key."""
        self._clock = clock
        self._keep_ms = keep_ms

    async def of_body(self, exchange: Exchange, project_id: str, body: bytes) -> Once | None:
        """None where there is no key.  Raises: Refusal: invalid_idempotency_key."""
        wish = await wish_of(exchange, project_id, body)
        return None if wish is None else Once(wish, self._clock, self._keep_ms)

    def of_form(self, exchange: Exchange, project_id: str, form: "Weighed") -> Once | None:
        """The same of a form that has come."""
        key = exchange.headers.get(b"idempotency-key")
        if key is None:
            return None
        print_ = form.fingerprint(_target(exchange))
        wish = Wish(project_id, key_of(key), print_, exchange.request_id)
        return Once(wish, self._clock, self._keep_ms)


class Weighed:
    """A form by what it says: whoever sends it again has another boundary between its parts.

    Where the request has no key, nothing is weighed."""

    def __init__(self, exchange: Exchange, form: Form) -> None:
        """Raises: Refusal: invalid_idempotency_key, before the file has come."""
        key = exchange.headers.get(b"idempotency-key")
        self._digest = None if key is None or not key_of(key) else hashlib.sha256()
        self._form = form
        self._begun = Begun("", "")

    def begin(self, begun: Begun) -> None:
        self._begun = begun

    def add(self, data: bytes) -> None:
        if self._digest is not None:
            self._digest.update(data)

    def fingerprint(self, target: bytes) -> bytes:
        assert self._digest is not None
        begun = self._begun
        said = (sorted(self._form.fields.items()), begun.filename, begun.media_type)
        rest = msgspec.json.encode(said)
        return hashlib.sha256(b"\0".join((target, rest, self._digest.digest()))).digest()


async def wish_of(exchange: Exchange, project_id: str, body: bytes) -> Wish | None:
    """Of its `Idempotency-Key`; None without one.  Raises: Refusal: invalid_idempotency_key."""
    key = exchange.headers.get(b"idempotency-key")
    if key is None:
        return None
    print_ = await fingerprint(_target(exchange), body)
    return Wish(project_id, key_of(key), print_, exchange.request_id)


def claiming(
    once: Once | None, shown: Callable[[T], object]
) -> Callable[[Connection, T], None] | None:
    """What a service does in the commit that makes a thing, in front of it.  shown: the answer."""
    if once is None:
        return None
    return lambda connection, made: once.claim(connection, msgspec.json.encode(shown(made)))


def answer_again(exchange: Exchange, again: Replayed, dialect: Dialect | None = None) -> None:
    """dialect: as for `answer_json`."""
    named = line("x-request-id", exchange.request_id)
    if dialect is not None:
        named = dialect.named(exchange.request_id.encode("ascii"))
    stored = again.stored
    exchange.reply(stored.status, JSON + REPLAYED + named, stored.body or b"")


def _target(exchange: Exchange) -> bytes:
    return exchange.method.encode("ascii") + b" " + exchange.raw_path
