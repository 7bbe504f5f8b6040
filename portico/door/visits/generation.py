"""One request to generate: what the journey knows as its Arrival and its Client."""

from dataclasses import dataclass
from typing import Protocol

import structlog

from portico import errors, journey
from portico.admission.service import Permit
from portico.callers.model import Caller
from portico.callers.presence import Presence
from portico.callers.salts import Salts
from portico.canon.delta import Delta
from portico.canon.prompt import Prompt
from portico.db.away import AWAY, away
from portico.dialects.body import KEPT, PROJECT, REMOTE, STATE
from portico.dialects.links import may_hold
from portico.door.credentials import credential_of
from portico.door.dialect import Breaking, Dialect, Writer
from portico.door.intake.decoding import body_of
from portico.door.intake.media import Media
from portico.door.visits.carrier import Carrier
from portico.door.visits.deferred import Deferred, Later, Retried, is_deferred
from portico.door.visits.heads import COST_COMMENT, COST_LINE, head_of, hints_of, served_by
from portico.kit.clock import Clock
from portico.kit.leaving import DRAINED, REVOKED, Left
from portico.replay.claim import Claim
from portico.replay.claims import Claims
from portico.replay.model import Replayed, Stored
from portico.resources.responses.keeper import Collecting, Keeper, Teller
from portico.resources.responses.states import Turn

log = structlog.get_logger("portico.door")


class Knowing(Protocol):
    async def open(self, body: bytes, caller: Caller, answer_id: str) -> Turn:
        """Raises: Refusal."""
        ...

    def close(self, turn: Turn) -> None:
        """It has ended, however it did."""
        ...


class Handed(Exception):
    """It was read and found right, and takes several rounds to answer."""

    def __init__(self, caller: Caller, prompt: Prompt) -> None:
        super().__init__()
        self.caller = caller
        self.prompt = prompt


class Rounds(Protocol):
    """Answers what takes several rounds, each of them a journey."""

    def wanted(self, prompt: Prompt) -> bool:
        """A cheap look; False for nearly all."""
        ...

    def check(self, prompt: Prompt, caller: Caller, *, background: bool) -> None:
        """May this caller have that?  Raises: Refusal."""
        ...

    async def run(self, visit: "Visit", handed: Handed, rooms: journey.Rooms) -> None:
        """Raises: Refusal, also in the middle of a stream; Left."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What every visit of a dialect has in common."""

    dialect: Dialect
    clock: Clock
    claims: Claims
    body_bytes_max: int
    compression: bool
    media: Media | None = None
    """Fetches files that a request names by URL, and looks into all it holds; None: nobody does."""
    salts: Salts | None = None
    """Keep callers apart in an engine's prefix cache; None: nothing does."""
    presence: Presence | None = None
    """Cuts off whose key ends; None: nobody does."""
    states: Knowing | None = None
    """Knows what a request follows, and who keeps what it is answered; None where nobody does."""
    rounds: Rounds | None = None
    """Has tools of remote servers called; None: nobody does."""


class Visit:
    """Arrival and Client in one: they belong to the same carrier, and this runs per request.

    The head of a stream waits for the first bytes of its body, so that whatever is refused before
    keeps its own status."""

    __slots__ = (
        "_end",
        "_exchange",
        "_hints",
        "_prompt",
        "_rest",
        "_terms",
        "_turn",
        "_writer",
        "address",
        "arrived_s",
        "claim",
        "credential",
        "entering",
        "keeper",
        "leaving",
        "request_id",
        "scope",
    )

    def __init__(self, exchange: Carrier, terms: "Terms", rest: str) -> None:
        """rest: what `{id}` stood for in the path.  Raises: Refusal: two_credentials."""
        self.request_id = exchange.request_id
        self.arrived_s = exchange.arrived_s
        self.leaving = exchange.leaving
        self.credential = credential_of(exchange.headers, exchange.query)
        self.scope = exchange.scope
        self.address = exchange.peer
        self._exchange = exchange
        self._terms = terms
        self._rest = rest
        self.claim: Claim | None = None
        self.entering: Caller | None = None
        """Who asks, until the head says what is left of his limits."""
        self.keeper: Collecting | None = None
        self._hints: dict[str, str] = {}
        self._prompt: Prompt | None = None
        self._turn: Turn | None = None
        self._writer: Writer | None = None
        self._end = b""

    async def read(self, caller: Caller) -> Prompt:
        exchange, terms = self._exchange, self._terms
        self.entering = caller
        if caller.lines:
            exchange.also += caller.lines
        if terms.presence is not None:
            terms.presence.enter(caller.credential_id, self.leaving)
        dialect = terms.dialect
        body = await body_of(exchange, terms.body_bytes_max, compression=terms.compression)
        key = exchange.headers.get(b"idempotency-key")
        try:
            self._prompt = prompt = await self._parsed(body, caller, self._hinted(caller))
        except errors.Refusal as refusal:
            await self._answered_before(key, caller, body, refusal)
            raise
        rounds = self._takes_rounds(prompt, caller)
        follows = self._turn is not None and bool(self._turn.follows)
        prompt.named = follows or exchange.answer_id is not self.request_id
        if terms.salts is not None:
            prompt.cache_salt = terms.salts.of(caller, prompt.model)
        if prompt.compatibility == "strict":
            dialect.strict(prompt)
        self._writer = writer = dialect.writer(prompt, exchange.answer_id, self._created_s())
        if self.keeper is not None and isinstance(writer, Teller):
            self.keeper.follow(writer, prompt.model)
            background = self._turn is not None and self._turn.background
            if background and isinstance(self.keeper, Keeper):
                raise Deferred(caller, prompt, self.keeper, writer, body)
        if key is not None:
            self.claim = await self._claimed(key, caller, prompt.framing, body)
        if rounds:
            raise Handed(caller, prompt)
        return prompt

    async def _answered_before(
        self, key: bytes | None, caller: Caller, body: bytes, refusal: errors.Refusal
    ) -> None:
        """What a request follows may have changed since it was answered, not least by its answer: a
        retry gets that all the same.  Raises: Replayed; Retried; Refusal, where the key says more."""
        if key is None or self._terms.states is None:
            return
        if is_deferred(body):
            raise Retried(caller, body, refusal)
        self.claim = await self._claimed(key, caller, "events", body)

    def _takes_rounds(self, prompt: Prompt, caller: Caller) -> bool:
        """Raises: Refusal: its caller may not have that."""
        rounds = self._terms.rounds
        if rounds is None or not rounds.wanted(prompt):
            return False
        background = self._turn is not None and self._turn.background
        rounds.check(prompt, caller, background=background)
        return True

    def _hinted(self, caller: Caller) -> dict[str, str]:
        """What the parser is told besides the body."""
        exchange = self._exchange
        self._hints = hints = hints_of(exchange.headers)
        hints[PROJECT] = caller.project_id
        if self._rest:
            hints |= {":rest": self._rest, ":query": exchange.query.decode("latin-1")}
        if self._terms.rounds is not None:
            hints[REMOTE] = ""
        return hints

    @property
    def answer_id(self) -> str:
        return self._exchange.answer_id

    def of_round(self, body: bytes) -> Prompt:
        """What an engine is asked in one round: `body`, with all else as the request has it.

        Raises: Refusal.
        """
        whole = self._prompt
        assert whole is not None
        prompt = self._terms.dialect.parse(body, self._hints)
        prompt.compatibility = whole.compatibility
        prompt.warnings = whole.warnings
        prompt.service_tier = whole.service_tier
        prompt.cache_salt = whole.cache_salt
        prompt.file_tokens_max = whole.file_tokens_max
        prompt.named = True
        return prompt

    def broken_off(self, refusal: errors.Refusal) -> bytes:
        """The answer, as far as it came; b"" where that is a stream, or where the dialect has no
        words for it but `refusal` itself."""
        if self._prompt is None or self._prompt.stream or not isinstance(self._writer, Breaking):
            return b""
        return self._writer.fail(refusal)

    def reply(self, body: bytes, charged_nano: int | None) -> None:
        """charged_nano: for what was made of it; None where nothing is ever charged."""
        assert self._prompt is not None
        cost = b"" if charged_nano is None else COST_LINE % charged_nano
        self._exchange.reply(200, head_of(self._prompt) + self._passage() + cost, body)

    async def _parsed(self, body: bytes, caller: Caller, hints: dict[str, str]) -> Prompt:
        """With all that `body` refers to in it: what came before, files behind URLs."""
        terms, turn = self._terms, None
        if terms.states is not None:
            turn = await terms.states.open(body, caller, self._exchange.answer_id)
            self._turn = turn
            body, self.keeper = turn.body, turn.keeper
            hints[STATE] = KEPT if turn.kept else ""
        try:
            if terms.media is not None and may_hold(body):
                body = await terms.media.inline(body, caller, self.leaving)
            prompt = terms.dialect.parse(body, hints)
            prompt.compatibility = caller.compatibility
            if turn is not None:
                prompt.warnings += turn.warnings
                prompt.service_tier = turn.tier or prompt.service_tier
            if prompt.media_characters and terms.media is not None:
                prompt = await self._fitted(terms.media, prompt, caller, hints)
        except errors.Refusal as refusal:
            raise refusal if turn is None else turn.as_sent(refusal) from None
        return prompt

    def _created_s(self) -> int:
        """When it was asked for, Unix time."""
        if self._turn is not None and self._turn.created_s is not None:
            return self._turn.created_s
        return self._terms.clock.wall_ms() // 1000

    async def _claimed(self, key: bytes, caller: Caller, framing: str, body: bytes) -> Claim:
        terms, exchange = self._terms, self._exchange
        # The framing, which only the query says: an array is no answer to who wants events.
        target = b"%b %b %b %b" % (
            b"" if terms.salts is None else terms.salts.of_prints(caller),
            exchange.method.encode("ascii"),
            exchange.raw_path,
            framing.encode("ascii"),
        )
        return await terms.claims.take(
            *(self.request_id, caller.project_id, key, target, body),
            content_ms_max=caller.content_ms_max,
            tenant=caller.organisation_id,
        )

    async def _fitted(
        self, media: Media, prompt: Prompt, caller: Caller, hints: dict[str, str]
    ) -> Prompt:
        """hints: that it was parsed with; those it has itself are fewer."""
        parse = self._terms.dialect.parse
        return await media.fit(prompt, caller, lambda said: parse(said, hints), self.leaving)

    def admitted(self, permit: Permit) -> None:
        self.entering = None
        self._exchange.also += permit.lines()
        if permit.allowance is not None:
            self._exchange.also += self._terms.dialect.limits(permit.allowance.standing)
        if self._prompt is not None and self._prompt.stream:
            self._exchange.on_silence = self._ping

    def served_by(self, deployment: str) -> None:
        assert self._prompt is not None
        self._exchange.also += served_by(deployment, self._prompt.service_tier)

    def _ping(self) -> None:
        """The engine, or the line in front of it, is taking its time."""
        prompt, writer, exchange = self._prompt, self._writer, self._exchange
        assert prompt is not None
        assert writer is not None
        data = writer.ping()
        if not data:
            return
        if not exchange.started:
            exchange.open(200, head_of(prompt) + self._passage())
        if self.claim is not None:
            self.claim.add(
                data
            )  # some keep-alives are numbered events: without them one is missing
        exchange.push(data)

    def compose(self, final: Delta) -> None:
        prompt, writer = self._prompt, self._writer
        assert prompt is not None
        assert writer is not None
        self._end = end = writer.write(final)
        if self.keeper is not None:
            self.keeper.compose(end)
        if self.claim is not None:
            cost = COST_COMMENT if self._may_comment(prompt) else b""
            self.claim.complete(head_of(prompt), end, stream=prompt.stream, cost=cost)

    async def send(self, delta: Delta) -> None:
        prompt, writer = self._prompt, self._writer
        assert prompt is not None
        assert writer is not None
        exchange = self._exchange
        data = self._end if delta.last else writer.write(delta)
        if not prompt.stream:
            if delta.last:
                lines = head_of(prompt) + self._passage()
                if delta.charged_nano is not None:
                    lines += COST_LINE % delta.charged_nano
                exchange.reply(200, lines, data)
            return
        if not data and not delta.last:
            return
        if not exchange.started:
            exchange.open(200, head_of(prompt) + self._passage())
        if delta.last:
            if delta.charged_nano is not None and self._may_comment(prompt):
                data = COST_COMMENT % delta.charged_nano + data
            exchange.end(data)
            return
        if self.claim is not None:
            self.claim.add(data)
        if not exchange.write_at_once(data):
            await exchange.write(data)

    def repeat(self, stored: Stored) -> None:
        """The answer that was given before, byte for byte.  Nothing ran, so nothing is charged."""
        assert stored.body is not None
        lines = b"%b%bidempotent-replayed: true\r\noriginal-request: %b\r\n%b" % (
            stored.head,
            self._passage(),
            stored.request_id.encode("ascii"),
            COST_LINE % 0,
        )
        if stored.stream:
            self._exchange.open(stored.status, lines)
            self._exchange.end(stored.body)
        else:
            self._exchange.reply(stored.status, lines, stored.body)

    def last_words(self, refusal: errors.Refusal) -> bytes:
        """Why a stream that has begun ends here: its terminal event, or its array's last item."""
        dialect, prompt = self._terms.dialect, self._prompt
        if prompt is not None and prompt.framing == "array":
            return b"," + dialect.envelope(refusal, self.request_id) + b"]"
        if isinstance(self._writer, Breaking):
            return self._writer.fail(refusal)
        return dialect.event(refusal, self.request_id)

    def let_go(self) -> None:
        """The end: nobody needs to be cut off, and a key of replay that no record answers for
        (refused before it ran, or left) is free again, as is a conversation."""
        if self._terms.presence is not None:
            self._terms.presence.go(self.leaving)
        if self.claim is not None and not self.claim.ended:
            self._terms.claims.release(self.claim)
        if self._turn is not None and self._terms.states is not None:
            self._terms.states.close(self._turn)

    def _may_comment(self, prompt: Prompt) -> bool:
        return prompt.stream and prompt.framing == "events" and self._terms.dialect.comments

    def _passage(self) -> bytes:
        """Header lines about this request, whatever it is answered."""
        spent_ms = (self._terms.clock.monotonic_s() - self.arrived_s) * 1000
        return self._terms.dialect.passage(self.request_id.encode("ascii"), spent_ms)


class Generation:
    """The handler of a dialect's one route that generates."""

    def __init__(
        self,
        dialect: Dialect,
        rooms: journey.Rooms,
        clock: Clock,
        claims: Claims,
        *,
        body_bytes_max: int,
        compression: bool,
        media: Media | None = None,
        salts: Salts | None = None,
        presence: Presence | None = None,
        states: Knowing | None = None,
        later: Later | None = None,
        rounds: Rounds | None = None,
    ) -> None:
        """later: takes what is to be answered when nobody waits."""
        self._rooms = rooms
        self._later = later
        self._terms = Terms(
            *(dialect, clock, claims, body_bytes_max, compression, media, salts, presence, states),
            rounds,
        )

    async def handle(self, exchange: Carrier, rest: str) -> None:
        """Raises: Refusal, while the answer has not begun; Left."""
        visit = Visit(exchange, self._terms, rest)
        try:
            await self._serve(visit)
        except Replayed as answered:
            visit.repeat(answered.stored)
        except (Deferred, Retried) as found:
            await self._put_off(exchange, found)
        except Left:
            why = _cut_off(exchange.leaving.reason)
            if why is None:
                raise
            _break_off(exchange, visit, why)
        except errors.Refusal as refusal:
            if visit.entering is not None:
                exchange.also += self._rooms.admission.places_lines(visit.entering)
            _break_off(exchange, visit, refusal)
        except Exception as failure:
            if not exchange.started:
                raise
            _break_off(exchange, visit, _why(failure, exchange.request_id))
        finally:
            visit.let_go()

    async def _put_off(self, exchange: Carrier, found: Deferred | Retried) -> None:
        """Raises: Refusal; Left."""
        if isinstance(found, Deferred):
            assert self._later is not None
            await self._later.defer(exchange, found)
        elif self._later is None:
            raise found.refusal
        else:
            await self._later.again(exchange, found)

    async def _serve(self, visit: Visit) -> None:
        try:
            await journey.serve(visit, visit, self._rooms)
        except Handed as handed:
            assert self._terms.rounds is not None
            await self._terms.rounds.run(visit, handed, self._rooms)


def _cut_off(reason: str) -> errors.Refusal | None:
    """What those are told whom we cut off; None of those who went themselves."""
    if reason == DRAINED:
        return errors.DRAINING("This server is shutting down now.", retry_after_ms=2_000)
    if reason == REVOKED:
        return errors.KEY_REVOKED("This API key has ended while the answer was made.")
    return None


def _why(failure: Exception, request_id: str) -> errors.Refusal:
    """What a stream is told that nobody has a word for; logged."""
    if isinstance(failure, AWAY):
        return away(failure, request_id)
    log.error("a stream failed", request_id=request_id, exc_info=failure)
    return errors.INTERNAL("Something went wrong here.")


def _break_off(exchange: Carrier, visit: Visit, refusal: errors.Refusal) -> None:
    """Say why, as the stream's terminal event if it has begun."""
    if not exchange.started:
        raise refusal
    exchange.end(visit.last_words(refusal))
