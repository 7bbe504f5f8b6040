"""Responses that are made while nobody waits: asked for, looked in on, cancelled."""

import asyncio
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from portico import errors
from portico.callers.model import Caller
from portico.canon.prompt import Prompt
from portico.db.readers import Readers
from portico.db.within import within
from portico.db.writer import Writer
from portico.dialects.writing import PING
from portico.door.endpoints.answering import Verifier, identify
from portico.door.exchange import Exchange
from portico.door.lines import JSON
from portico.door.visits.carrier import Carrier
from portico.door.visits.deferred import Deferred, Retried
from portico.door.visits.heads import STREAM
from portico.errors import Refusal
from portico.keeping.model import KeptResponse
from portico.keeping.room import Room
from portico.kit.clock import Clock
from portico.kit.leaving import Left
from portico.replay.claims import fingerprint
from portico.replay.model import Wish
from portico.replay.once import Done, once
from portico.replay.rules import key_of
from portico.resources.background import rules, store
from portico.resources.background.lives import Live, Lives
from portico.resources.background.model import Limits, Wanted
from portico.resources.responses import service as responses
from portico.resources.responses.model import ENDED, Response
from portico.resources.responses.rules import said_in

CANCELLED = "cancelled"
_LOOK_S = 0.5
"""How often what is made by another server is looked at."""
_LAST_WORDS_MS = 2_000
_DONE = b"data: [DONE]\n\n"


class Background:
    """One event loop owns this object."""

    def __init__(
        self,
        callers: Verifier,
        readers: Readers,
        writer: Writer,
        lives: Lives,
        clock: Clock,
        limits: Limits,
        room: Room,
        *,
        check: Callable[[Caller, Prompt], object],
        keep_ms: Callable[[Caller], int],
        replay_ms: int,
        ping_s: float,
    ) -> None:
        """check: whether its model can be had; raises Refusal.  keep_ms: how long what has ended is kept for a caller.  replay_ms: how long an answer is
        kept under an `Idempotency-Key`."""
        self._callers = callers
        self._readers = readers
        self._writer = writer
        self._lives = lives
        self._clock = clock
        self._limits = limits
        self._room = room
        self._check = check
        self._keep_ms = keep_ms
        self._replay_ms = replay_ms
        self._ping_s = ping_s

    async def defer(self, exchange: Carrier, deferred: Deferred) -> None:
        """It is on disk before its caller hears of it.

        Raises: Refusal: background_full, body_too_large; those of `Idempotency-Key`, of a model that
        cannot be had; Left.
        """
        try:
            kept = self._checked(deferred)
        except Refusal as refusal:
            await self.again(exchange, Retried(deferred.caller, deferred.body, refusal))
            return
        stream = deferred.prompt.stream
        events = deferred.writer.ping() if stream else b""
        change = partial(self._put, Wanted(kept, deferred.body, events))
        done = await self._made(exchange, kept.project_id, deferred.body, change)
        if not done.again:
            self._room.grew(kept.project_id, deferred.keeper.kept_bytes + len(deferred.body))
        self._lives.news.set()
        await self._answer(exchange, deferred.caller, done, stream=stream)

    async def again(self, exchange: Carrier, retried: Retried) -> None:
        """What was asked for before under this key was, whatever has changed since.

        Raises: Refusal: the one it was met with; those of `Idempotency-Key`; Left."""
        caller, body = retried.caller, retried.body

        def refuse(_: Connection) -> Done:
            raise retried.refusal

        done = await self._made(exchange, caller.project_id, body, refuse)
        said = said_in(body)
        await self._answer(exchange, caller, done, stream=said is not None and said.stream is True)

    def _checked(self, deferred: Deferred) -> KeptResponse:
        """Raises: Refusal."""
        self._check(deferred.caller, deferred.prompt)
        kept = deferred.keeper.waiting()
        if kept is None:
            raise errors.BODY_TOO_LARGE(
                "The request is larger than what is kept of one.", field="input"
            )
        return kept

    async def _made(
        self,
        exchange: Carrier,
        project_id: str,
        body: bytes,
        change: Callable[[Connection], Done],
    ) -> Done:
        """Once for each `Idempotency-Key`.  Raises: Refusal."""
        key = exchange.headers.get(b"idempotency-key")
        if key is not None:
            printed = await fingerprint(exchange.raw_path, body)
            wish = Wish(project_id, key_of(key), printed, exchange.request_id)
            change = partial(self._once, wish, change)
        return await self._writer.run(change)

    async def _answer(self, exchange: Carrier, caller: Caller, done: Done, *, stream: bool) -> None:
        """Raises: Left."""
        if stream:
            await self._follow(exchange, caller, responses.id_in(done.body), 0)
            return
        replayed = b"idempotent-replayed: true\r\n" if done.again else b""
        exchange.reply(200, JSON + replayed + _named(exchange), done.body)

    async def follow(
        self, exchange: Exchange, caller: Caller, response: Response, after: int
    ) -> None:
        """The events of a stream behind the one numbered `after`; -1: all of them.

        Raises: Refusal: invalid_value, of one that does not stream; Left.
        """
        if not (response.background and response.stream):
            raise rules.not_streamed(response.id)
        await self._follow(exchange, caller, response.id, after + 1)

    async def cancel(self, exchange: Exchange, response_id: str) -> None:
        """POST /v1/responses/{id}/cancel.  One that has ended stays as it is, and is told.

        Raises: Refusal: invalid_value, of one that somebody waits for."""
        caller = await identify(self._callers, exchange)
        found = await responses.find(self._readers, caller, response_id, self._clock.wall_ms())
        if not found.background:
            raise rules.not_synchronous(response_id)
        if found.state not in ENDED:
            await self._writer.run(partial(self._cancel, caller, found))
            live = self._lives.get(found.id)
            if live is not None:
                live.leaving.leave(CANCELLED)
            now_ms = self._clock.wall_ms()
            found = await responses.find(self._readers, caller, response_id, now_ms)
        exchange.reply(200, JSON + _named(exchange), found.body)

    def _put(self, wanted: Wanted, connection: Connection) -> Done:
        """Raises: Refusal: background_full; zero_retention, where its project has turned to it."""
        kept = wanted.response
        with within(connection, kept.organisation_id):
            count = store.open_count(connection, kept.project_id)
            if count >= self._limits.per_project_max:
                raise rules.too_many(count, self._limits.per_project_max)
            store.put(connection, wanted)
        return Done(200, kept.body, again=False)

    def _once(
        self, wish: Wish, change: Callable[[Connection], Done], connection: Connection
    ) -> Done:
        def made() -> tuple[int, bytes]:
            done = change(connection)
            return done.status, done.body

        return once(connection, wish, self._clock.wall_ms(), self._replay_ms, made)

    def _cancel(self, caller: Caller, found: Response, connection: Connection) -> None:
        now_ms = self._clock.wall_ms()
        times = (now_ms, now_ms + self._keep_ms(caller))
        with within(connection, caller.organisation_id):
            body = rules.cancelled(found.body)
            store.cancel(connection, caller.project_id, found.id, body, times)

    async def _follow(
        self, exchange: Carrier, caller: Caller, response_id: str, start: int
    ) -> None:
        """Raises: Left."""
        exchange.open(200, STREAM + _named(exchange))
        at: int | None = start
        with exchange.leaving:
            while at is not None:
                live = self._lives.get(response_id)
                if live is None:
                    at = await self._from_disk(exchange, caller, response_id, at)
                else:
                    at = await self._from_here(exchange, live, at)
            exchange.end(_DONE)
            return
        raise Left(exchange.leaving.reason)

    async def _from_here(self, exchange: Carrier, live: Live, start: int) -> int | None:
        """Gives the number of the next event; None where all has been said."""
        if start < len(live.events):
            more = live.events[start:]
            await exchange.write(b"".join(more))
            return start + len(more)
        if live.said_its_end:
            return None
        if not await live.change(self._ping_s):
            await exchange.write(PING)
        return start

    async def _from_disk(
        self, exchange: Carrier, caller: Caller, response_id: str, start: int
    ) -> int | None:
        """The same, until it is made here."""
        quiet_s = 0.0
        while self._lives.get(response_id) is None:
            found, events = await self._readers.run(
                partial(self._read, caller, response_id, start), tenant=caller.organisation_id
            )
            if events:
                await exchange.write(b"".join(events))
                start, quiet_s = start + len(events), 0.0
            if found is None or (events and rules.ends(events[-1])):
                return None
            if found.state in ENDED and not self._may_say_more(found):
                await exchange.write(rules.last_event(found.body, found.state, start))
                return None
            await asyncio.sleep(_LOOK_S)
            quiet_s += _LOOK_S
            if quiet_s >= self._ping_s:
                await exchange.write(PING)
                quiet_s = 0.0
        return start

    def _may_say_more(self, found: Response) -> bool:
        """It ends in one commit, and its last words are on their way from another server."""
        ended_ms = found.ended_at_ms or 0
        return found.state != "cancelled" and self._clock.wall_ms() < ended_ms + _LAST_WORDS_MS

    def _read(
        self, caller: Caller, response_id: str, start: int, connection: Connection
    ) -> tuple[Response | None, list[bytes]]:
        found = responses.one(connection, caller, response_id, self._clock.wall_ms())
        return found, store.events(connection, caller.organisation_id, response_id, start)


def _named(exchange: Carrier) -> bytes:
    return b"x-request-id: %b\r\n" % exchange.request_id.encode("ascii")
