"""From a request to a service and back: who asks, what exactly, in which transaction, how often.

Writes run in the server's writer, reads on its reader threads; the event loop waits for neither.
The rights are read with every request.  Where something is changed they are read once more in the
very transaction, so that nobody acts on rights he has just lost.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from portico import errors
from portico.accounts.actors.caps import CAPS, Caps
from portico.accounts.actors.model import Errand, Rights
from portico.accounts.actors.roles import MAKES_OWNERS
from portico.accounts.admin_keys.service import rights_of
from portico.admin.operation import Ask, Operation, Secrets, Told
from portico.admin.turnstile import Turnstile
from portico.callers.last_use import LastUse
from portico.callers.rules import digest, kind_of
from portico.db.readers import Readers
from portico.db.reports import Reports
from portico.db.within import within
from portico.db.writer import Writer
from portico.dialects.body import checked, json_object, without_bom
from portico.dialects.losses import header
from portico.door.credentials import credential_of
from portico.door.exchange import Exchange
from portico.door.intake.decoding import body_of
from portico.door.lines import JSON, line
from portico.door.routes import Route
from portico.kit.clock import Clock
from portico.replay.claims import fingerprint
from portico.replay.model import Wish
from portico.replay.once import Done, once
from portico.replay.rules import key_of

ROOT = "/admin/v1"
_BODY_BYTES_MAX = 1_048_576
_MADE_BEFORE = 409
"""The status that is kept for an answer which cannot be given twice."""
T = TypeVar("T")


class Desk:
    """One event loop owns this object.

    keep_ms: how long answers are kept under an `Idempotency-Key`.
    """

    def __init__(
        self,
        readers: Readers,
        reports: Reports,
        writer: Writer,
        clock: Clock,
        secrets: Secrets,
        last_use: LastUse,
        turnstile: Turnstile,
        *,
        caps: Caps = CAPS,
        keep_ms: int,
        compression: bool,
    ) -> None:
        self._readers = readers
        self._reports = reports
        self._writer = writer
        self._clock = clock
        self._secrets = secrets
        self._last_use = last_use
        self._turnstile = turnstile
        self._caps = caps
        self._keep_ms = keep_ms
        self._compression = compression

    def route(self, operation: Operation) -> Route:
        return Route(
            operation.method,
            ROOT + operation.path,
            partial(self._serve, operation),
            operation.summary,
            operation.body,
            operation.scope,
            query=operation.query,
            answer=operation.answer,
        )

    async def _serve(self, operation: Operation, exchange: Exchange, rest: str) -> None:
        """Raises: Refusal; Left."""
        credential = credential_of(exchange.headers, exchange.query)
        digests: tuple[bytes, ...] = (b"",)
        if kind_of(credential) is not None:
            digests = tuple(digest(pepper.secret, credential) for pepper in self._secrets.peppers)
        self._turnstile.enter(digests[-1], exchange.peer)
        try:
            _check_credential(credential)
            await self._ask(operation, exchange, rest, digests)
        except errors.Refusal as refusal:
            if refusal.status == errors.INVALID_KEY.status:
                self._turnstile.failed(digests[-1], exchange.peer)
            raise

    async def _ask(
        self, operation: Operation, exchange: Exchange, rest: str, digests: tuple[bytes, ...]
    ) -> None:
        find = self._finder(operation.scope, exchange.peer, digests)
        query = dict(parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True))
        _check_text("the URL", [rest, *query.values()])

        def run(connection: Connection, by: Rights, body: Any) -> Told:
            errand = Errand(connection, by, self._clock, self._caps)
            with within(connection, by.organisation_id):
                return operation.run(Ask(errand, rest, query, body, self._secrets))

        if operation.long:
            by = await self._read(self._readers.run(find))
            self._seen(digests[-1], by)
            whose = by.organisation_id or ""
            told = await self._read(self._reports.run(lambda c: run(c, by, None), whose=whose))
            _answer(exchange, msgspec.json.encode(told), [])
            return
        if operation.reads:

            def read(connection: Connection) -> tuple[Rights, Told]:
                by = find(connection)
                return by, run(connection, by, None)

            by, told = await self._read(self._readers.run(read))
            self._seen(digests[-1], by)
            _answer(exchange, msgspec.json.encode(told), [])
            return
        # Before its body is read: who may not is not worth it.
        by = await self._read(self._readers.run(find))
        self._seen(digests[-1], by)
        raw = await body_of(exchange, _BODY_BYTES_MAX, compression=self._compression)
        body, ignored = _read_body(operation, raw)
        try:
            answer = await self._change(
                operation, exchange, raw, find, lambda connection, by: run(connection, by, body)
            )
        except errors.Refusal as refusal:
            if refusal.code == errors.RIGHTS_EXCEEDED.code or refusal.value == MAKES_OWNERS:
                await self._note_reach(operation, by, rest, refusal)
            raise
        _answer(exchange, answer, ignored)

    async def _note_reach(
        self, operation: Operation, by: Rights, rest: str, refusal: errors.Refusal
    ) -> None:
        """Somebody wanted to give what he has not got: that stays, though nothing else does."""
        told = {
            "asked": f"{operation.method} {operation.path}",
            "code": refusal.code,
            "value": refusal.value,
        }

        def note(connection: Connection) -> None:
            errand = Errand(connection, by, self._clock)
            errand.note(by.organisation_id or "", "rights.refuse", rest, after=told)

        await self._writer.run(note)

    def _seen(self, digest: bytes, by: Rights) -> None:
        """Raises: Refusal: requests_per_minute_exceeded."""
        self._turnstile.opened(digest, by.actor.credential_id)
        self._last_use.note(by.actor.credential_id)

    def _finder(
        self, scope: str, address: str, digests: tuple[bytes, ...]
    ) -> Callable[[Connection], Rights]:
        """What whoever asks may do at the moment he is looked for; `scope` at least."""

        def find(connection: Connection) -> Rights:
            rights = rights_of(connection, digests, self._clock.wall_ms(), address)
            _check_scope(rights, scope)
            return rights

        return find

    async def _read(self, under_way: Awaitable[T]) -> T:
        try:
            return await under_way
        except DBAPIError as error:
            raise errors.STORAGE_UNAVAILABLE(
                "The database cannot be asked now.", retry_after_ms=2_000
            ) from error

    async def _change(
        self,
        operation: Operation,
        exchange: Exchange,
        raw: bytes,
        find: Callable[[Connection], Rights],
        run: Callable[[Connection, Rights], Told],
    ) -> bytes:
        """The answer, once the change is on disk."""
        named = exchange.headers.get(b"idempotency-key")
        if named is None or operation.method != "POST":
            told = await self._writer.run(lambda c: run(c, find(c)))
            return msgspec.json.encode(told)
        key = key_of(named)
        target = b"%b %b?%b" % (operation.method.encode(), exchange.raw_path, exchange.query)
        print_ = await fingerprint(target, raw)
        made: list[bytes] = []

        def change(connection: Connection) -> Done:
            by = find(connection)
            wish = Wish(by.actor.credential_id, key, print_, exchange.request_id)
            made.clear()  # a failed commit is tried again

            def first() -> tuple[int, bytes]:
                told = run(connection, by)
                made.append(msgspec.json.encode(told))
                return _kept(told, operation.secret)

            return once(connection, wish, self._clock.wall_ms(), self._keep_ms, first)

        done = await self._writer.run(change)
        if not done.again:
            return made[0]
        if done.status == _MADE_BEFORE:
            raise _made_before(done.body)
        exchange.also += b"idempotent-replayed: true\r\n"
        return done.body


def _check_credential(credential: str) -> None:
    """Raises: Refusal: missing_api_key, invalid_api_key."""
    if not credential:
        raise errors.MISSING_KEY(
            "The request has no API key.",
            remedy="Send an admin key as `Authorization: Bearer pk_admin_...`.",
        )
    if kind_of(credential) is None:
        raise errors.INVALID_KEY("This is not a Portico API key.")


def _check_scope(rights: Rights, scope: str) -> None:
    """Raises: Refusal: permission_denied, whatever the request is about: nothing was looked for."""
    if not rights.anywhere(scope):
        raise errors.PERMISSION_DENIED(
            f"This needs the scope {scope!r}, which this key does not have.",
            field="scope",
            value=scope,
        )


def _read_body(operation: Operation, raw: bytes) -> tuple[Any, list[str]]:
    """The body, and the members that nobody reads.  Raises: Refusal."""
    if operation.body is None:
        return None, []
    document = json_object(without_bom(raw) or b"{}")
    _check_text("the body", document)
    known = {field.encode_name for field in msgspec.structs.fields(operation.body)}
    return checked(document, operation.body), [name for name in document if name not in known]


def _check_text(where: str, value: Any) -> None:
    """NUL is a character that not every database can keep.  Raises: Refusal: invalid_value."""
    if isinstance(value, str):
        if "\0" in value:
            raise errors.INVALID_VALUE(f"There is a NUL character in {where}; leave it out.")
    elif isinstance(value, list):
        for each in value:
            _check_text(where, each)
    elif isinstance(value, dict):
        for each in value.values():
            _check_text(where, each)


def _kept(told: Told, secret: str) -> tuple[int, bytes]:
    """What of an answer may be kept: of one with a secret only which object it was about."""
    if not secret:
        return 200, msgspec.json.encode(told)
    return _MADE_BEFORE, msgspec.json.encode(told["id"])


def _made_before(body: bytes) -> errors.Refusal:
    made = msgspec.json.decode(body, type=str)
    return errors.CONFLICT(
        f"The request with this Idempotency-Key has made {made}; its secret was shown then, and is "
        "kept nowhere.",
        field="Idempotency-Key",
        value=made,
        remedy="Use what was made, or revoke it and send a new Idempotency-Key.",
    )


def _answer(exchange: Exchange, body: bytes, ignored: list[str]) -> None:
    lines = JSON + line("x-request-id", exchange.request_id)
    if ignored:
        said = [f'unknown_field; field="{name[:80]}"; action=ignored' for name in ignored]
        lines += line("portico-warnings", header(said))
    exchange.reply(200, lines, body)
